import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PackageError } from '../src/index.ts';
import { readAndroidManifest } from '../src/package/android-manifest.ts';

test('a manifest of rubbish is refused by a code, never read past its end', () => {
  const chunk = fc
    .tuple(fc.constantFrom(1, 0x180, 0x102, 0x103, 7), fc.constantFrom(8, 16, 28), fc.uint8Array({ maxLength: 80 }))
    .map(([type, head, rest]) => {
      const bytes = Buffer.alloc(8 + rest.length);
      bytes.writeUInt16LE(type);
      bytes.writeUInt16LE(head, 2);
      bytes.writeUInt32LE(bytes.length, 4);
      bytes.set(rest, 8);
      return bytes;
    });
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 6 }), (chunks) => {
      const body = Buffer.concat(chunks);
      const head = Buffer.from('0300080000000000', 'hex');
      head.writeUInt32LE(8 + body.length, 4);
      expect(() => readAndroidManifest(Buffer.concat([head, body]))).toThrow(PackageError);
    }),
    { numRuns: 1_000 },
  );
});
