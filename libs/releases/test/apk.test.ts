import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ApkKey, makeApk, makeApkKey, scratchFolder, signApk, signRotated } from '@sallyport/support';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openFileSource, PackageError, type PackageFacts, readPackage } from '../src/index.ts';
import { sourceOf } from './byte-source.ts';

const V2 = 0x7109871a;
const V3 = 0xf05368c0;
const folder = scratchFolder();
const [one, two] = [await makeApkKey(folder, 'one'), await makeApkKey(folder, 'two')];
const made = await makeApk(folder, { id: 'com.example.field', version: '1.2.0', build: 7, minSdk: 28 });
const [signed, byTwo, rotated] = await Promise.all([
  signApk(made, join(folder, 'signed.apk'), one),
  signApk(made, join(folder, 'two.apk'), two, ['--v3-signing-enabled', 'false']),
  signRotated(made, join(folder, 'rotated.apk'), [one, two]),
]);
const bytes = readFileSync(signed);

function fingerprint({ certificate }: ApkKey): string {
  return new X509Certificate(readFileSync(certificate)).fingerprint256.replaceAll(':', '').toLowerCase();
}

async function read(path: string): Promise<PackageFacts> {
  const source = await openFileSource(path);
  return readPackage(source).finally(() => source.close());
}

/** Where the signing block is, and what is in it by scheme. */
function blockOf(apk: Buffer): { at: number; end: number; schemes: Map<number, Buffer> } {
  const end = apk.readUInt32LE(apk.length - 6);
  const at = end - Number(apk.readBigUInt64LE(end - 24)) - 8;
  const schemes = new Map<number, Buffer>();
  for (let pair = at + 8; pair < end - 24; ) {
    const length = Number(apk.readBigUInt64LE(pair));
    schemes.set(apk.readUInt32LE(pair + 8), apk.subarray(pair + 12, pair + 8 + length));
    pair += 8 + length;
  }
  return { at, end, schemes };
}

/** The same package with other signatures. */
function withSchemes(apk: Buffer, schemes: readonly (readonly [id: number, value: Buffer])[]): Buffer {
  const { at, end } = blockOf(apk);
  const pairs = schemes.map(([id, value]) => {
    const head = Buffer.alloc(12);
    head.writeBigUInt64LE(BigInt(value.length + 4));
    head.writeUInt32LE(id, 8);
    return Buffer.concat([head, value]);
  });
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(pairs.reduce((sum, pair) => sum + pair.length, 24)));
  const block = Buffer.concat([size, ...pairs, size, Buffer.from('APK Sig Block 42')]);
  const tail = Buffer.from(apk.subarray(end));
  tail.writeUInt32LE(at + block.length, tail.length - 6);
  return Buffer.concat([apk.subarray(0, at), block, tail]);
}

test('an APK is read out of its manifest and its signature', async () => {
  expect(await read(signed)).toEqual({
    kind: 'apk',
    os: 'android',
    id: 'com.example.field',
    version: '1.2.0',
    build: '7',
    minOsVersion: '9',
    signers: [fingerprint(one)],
    permissions: ['android.permission.CAMERA', 'android.permission.INTERNET'],
  });
});

test('a signature of scheme v2 alone counts, too', async () => {
  expect((await read(byTwo)).signers).toEqual([fingerprint(two)]);
});

test('of a key that was handed on both are named, the newer one first', async () => {
  expect((await read(rotated)).signers).toEqual([fingerprint(two), fingerprint(one)]);
});

const [v2, v3] = [blockOf(bytes).schemes.get(V2)!, blockOf(bytes).schemes.get(V3)!];
const v2OfTwo = blockOf(readFileSync(byTwo)).schemes.get(V2)!;

test.each([
  ['an APK that nobody signed', readFileSync(made), /no signature/],
  ['an APK whose signatures were taken away', withSchemes(bytes, []), /no signature of scheme/],
  ['one whose signature of scheme v3 was taken away', withSchemes(bytes, [[V2, v2]]), /v3 was taken away/],
  [
    'schemes that disagree',
    withSchemes(bytes, [
      [V2, v2OfTwo],
      [V3, v3],
    ]),
    /different signers/,
  ],
  [
    'one scheme twice',
    withSchemes(bytes, [
      [V2, v2],
      [V2, v2OfTwo],
      [V3, v3],
    ]),
    /twice/,
  ],
  [
    'a scheme that is cut off',
    withSchemes(bytes, [
      [V2, v2.subarray(0, -9)],
      [V3, v3],
    ]),
    /cut off/,
  ],
] as const)('refuses %s', async (_what, apk, words) => {
  await expect(readPackage(sourceOf(apk))).rejects.toMatchObject({
    code: 'ERR_PACKAGE_SIGNATURE',
    message: expect.stringMatching(words),
  });
});

test('no byte of a signed APK can be changed: it is refused, or says what it said', async () => {
  const before = await readPackage(sourceOf(bytes));
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, byte) => {
      const changed = Buffer.from(bytes);
      changed[at] = changed[at]! ^ byte;
      const outcome = await readPackage(sourceOf(changed)).catch((error: unknown) => error);
      if (!(outcome instanceof PackageError)) expect(outcome).toEqual(before);
    }),
    { numRuns: 400 },
  );
});
