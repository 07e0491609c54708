export { PackageError, type PackageErrorCode } from './errors.ts';
export { type BundleFacts, readAppBundle } from './package/app-bundle.ts';
export { type ByteSource, type FileSource, openFileSource } from './package/byte-source.ts';
export type { PackageFacts } from './package/facts.ts';
export { readPackage } from './package/read-package.ts';
export { universalApk } from './package/universal-apk.ts';
