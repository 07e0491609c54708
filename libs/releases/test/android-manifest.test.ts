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

/** A pool of texts that all are the one long one of the chunk (ResStringPool). */
function poolOf(count: number, characters: number, utf8: boolean): Buffer {
  const long = Buffer.alloc(utf8 ? characters + 4 : characters * 2 + 4, 'a');
  if (utf8) long.writeUInt32BE((((0x80 | (characters >> 8)) * 256 + (characters & 0xff)) * 65_537) >>> 0);
  else long.writeUInt32LE((0x8000 | (characters >> 16)) + (characters & 0xffff) * 65_536);
  const chunk = Buffer.alloc(28 + count * 4);
  chunk.writeUInt16LE(1);
  chunk.writeUInt16LE(28, 2);
  chunk.writeUInt32LE(chunk.length + long.length, 4);
  chunk.writeUInt32LE(count, 8);
  chunk.writeUInt32LE(utf8 ? 0x100 : 0, 16);
  chunk.writeUInt32LE(chunk.length, 20);
  const head = Buffer.from('0300080000000000', 'hex');
  head.writeUInt32LE(8 + chunk.length + long.length, 4);
  return Buffer.concat([head, chunk, long]);
}

test.each([
  ['UTF-16', false, 1_000_000],
  ['UTF-8', true, 30_000],
] as const)(
  'a manifest whose texts are one text again and again takes no memory for each: %s',
  (_, utf8, characters) => {
    expect(() => readAndroidManifest(poolOf(65_536, characters, utf8))).toThrow(/lie over each other/);
    // One of them is as it should be: what is missing then is an element.
    expect(() => readAndroidManifest(poolOf(1, characters, utf8))).toThrow(/not one element/);
  },
);
