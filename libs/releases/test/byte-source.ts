import type { ByteSource } from '../src/index.ts';
import { PackageError } from '../src/index.ts';

/** Bytes as a source that notes how many were asked for at once. */
export function sourceOf(bytes: Buffer): ByteSource & { mostRead: number } {
  const source = {
    size: bytes.length,
    mostRead: 0,
    async read(at: number, length: number) {
      if (at < 0 || at + length > bytes.length) throw new PackageError('ERR_PACKAGE_FORMAT', 'the package is cut off');
      source.mostRead = Math.max(source.mostRead, length);
      return Buffer.from(bytes.subarray(at, at + length));
    },
  };
  return source;
}
