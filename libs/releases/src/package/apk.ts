import { PackageError } from '../errors.ts';
import { type AndroidManifest, readAndroidManifest } from './android-manifest.ts';
import { verifyApk } from './apk-signature.ts';
import type { PackageFacts } from './facts.ts';
import { readPart, type Zip } from './zip.ts';

export const APK_MANIFEST = 'AndroidManifest.xml';

/** Versions of Android by API level, from the lowest that a scheme v2 is known to. */
const ANDROID_VERSIONS: Readonly<Record<number, string>> = {
  ...{ 24: '7.0', 25: '7.1', 26: '8.0', 27: '8.1', 28: '9', 29: '10', 30: '11', 31: '12', 32: '12.1' },
  ...{ 33: '13', 34: '14', 35: '15', 36: '16' },
};
const FIRST_LEVEL = 24;
const LAST_LEVEL = 36;

/** Reads an APK whose signatures hold. @throws PackageError */
export async function readApk(zip: Zip): Promise<PackageFacts> {
  const signers = await verifyApk(zip);
  const manifest = readAndroidManifest(await readPart(zip, zip.entries.get(APK_MANIFEST)!));
  return {
    kind: 'apk',
    ...androidFacts(manifest),
    signers,
    permissions: manifest.permissions,
  };
}

/** Which app for Android a manifest is of, and for which systems. @throws PackageError */
export function androidFacts({
  id,
  version,
  build,
  minSdk,
}: AndroidManifest): Pick<PackageFacts, 'os' | 'id' | 'version' | 'build' | 'minOsVersion'> {
  return {
    os: 'android',
    id,
    version: plainVersion(version),
    build: String(build),
    minOsVersion: androidVersion(minSdk),
  };
}

/** A version of an app as devices compare them. @throws PackageError */
function plainVersion(version: string): string {
  if (/^[0-9]+(\.[0-9]+)*$/.test(version)) return version;
  throw new PackageError('ERR_PACKAGE_MANIFEST', 'its version is no numbers with dots, like 1.4.2');
}

/** Levels below the first that verifies such signatures are for that one; later ones than are known are the last and one more. */
function androidVersion(level: number): string {
  if (level > LAST_LEVEL) return String(Number(ANDROID_VERSIONS[LAST_LEVEL]) + level - LAST_LEVEL);
  return level < FIRST_LEVEL ? '' : ANDROID_VERSIONS[level]!;
}
