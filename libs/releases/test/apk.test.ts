import { createPrivateKey, sign, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ApkKey, makeApk, makeApkKey, scratchFolder, signApk, signRotated } from '@sallyport/support';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openFileSource, PackageError, type PackageFacts, readPackage } from '../src/index.ts';
import { sourceOf } from './byte-source.ts';

const V2 = 0x7109871a;
const V3 = 0xf05368c0;
const V31 = 0x1b93ad61;
const PROOF = 0x3ba06f8c;
const ROTATION_LEVEL = 0x559f8b02;
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

function prefixed(...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([u32(content.length), content]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** A list of bytes with lengths in front, such as what a scheme has signed: digests, certificates, levels, attributes. */
function take(bytes: Buffer, at: number): Buffer {
  return bytes.subarray(at + 4, at + 4 + bytes.readUInt32LE(at));
}

/** What a signer of scheme v3 has signed, of its only signer. */
function statementOf(scheme: Buffer): Buffer {
  return take(take(take(scheme, 0), 0), 0);
}

/** An attribute with its id, as a signer of scheme v3 has signed it. */
function attributeOf(scheme: Buffer, id: number): Buffer {
  const statement = statementOf(scheme);
  let at = 0;
  for (const _ of ['digests', 'certificates']) at += 4 + statement.readUInt32LE(at);
  const attributes = take(statement, at + 8);
  for (let next = 0; next < attributes.length; next += 4 + attributes.readUInt32LE(next))
    if (take(attributes, next).readUInt32LE() === id) return take(attributes, next);
  throw new Error('no such attribute');
}

/** A signature of scheme v3 or v3.1 as apksigner of later years makes it: by the specification, for the digests of the same package. */
function schemeBy(
  { key, certificate }: ApkKey,
  levels: readonly [number, number],
  attributes: readonly Buffer[],
): Buffer {
  const privateKey = createPrivateKey({ key: readFileSync(key), format: 'der', type: 'pkcs8' });
  const der = new X509Certificate(readFileSync(certificate));
  const digests = take(statementOf(v3), 0);
  const range = Buffer.concat(levels.map(u32));
  const signed = Buffer.concat([
    ...[prefixed(digests), prefixed(prefixed(der.raw)), range],
    prefixed(...attributes.map((one) => prefixed(one))),
  ]);
  const signature = prefixed(u32(0x0201), prefixed(sign('sha256', signed, privateKey)));
  const spki = der.publicKey.export({ type: 'spki', format: 'der' });
  return prefixed(prefixed(prefixed(signed), range, prefixed(signature), prefixed(spki)));
}

const LATEST = 0x7fffffff;
const proof = attributeOf(blockOf(readFileSync(rotated)).schemes.get(V3)!, PROOF);
const toLater = (level: number): Buffer => Buffer.concat([u32(ROTATION_LEVEL), u32(level)]);
const v3Before = schemeBy(one, [28, LATEST], [toLater(33)]);
const v31 = schemeBy(two, [33, LATEST], [proof]);

const handedOn = withSchemes(bytes, [
  [V2, v2],
  [V3, v3Before],
  [V31, v31],
]);

test('a key that was handed on for Android 13 and later (scheme v3.1) is read, with that of older systems', async () => {
  expect((await readPackage(sourceOf(handedOn))).signers).toEqual([fingerprint(two), fingerprint(one)]);
  const withoutV2 = withSchemes(bytes, [
    [V31, v31],
    [V3, v3Before],
  ]);
  expect((await readPackage(sourceOf(withoutV2))).signers).toEqual([fingerprint(two), fingerprint(one)]);
});

const foreign = Buffer.from(proof);
foreign[foreign.length - 1] = foreign[foreign.length - 1]! ^ 1;
test.each([
  ['taken away', [V3, v3Before], undefined, /v3.1 was taken away/],
  ['added to a package that has none', [V3, v3], v31, /do not agree from which system/],
  ['of other systems than scheme v3 says', [V3, v3Before], schemeBy(two, [34, LATEST], [proof]), /do not agree/],
  [
    'for systems that do not know it',
    [V3, schemeBy(one, [28, LATEST], [toLater(30)])],
    schemeBy(two, [30, LATEST], [proof]),
    /level 30/,
  ],
  [
    'of a key that nobody handed on',
    [V3, v3Before],
    schemeBy(two, [33, LATEST], []),
    /no proof that the key was handed on/,
  ],
  [
    'of a key that somebody else handed on',
    [V3, v3Before],
    schemeBy(two, [33, LATEST], [foreign]),
    /proof of rotation is wrong/,
  ],
  [
    'of a key that the proof does not lead to',
    [V3, v3Before],
    schemeBy(one, [33, LATEST], [proof]),
    /of other signers/,
  ],
  [
    'for a system that is not released',
    [V3, v3Before],
    schemeBy(two, [33, LATEST], [proof, u32(0xc2a6b3ba)]),
    /not released/,
  ],
  [
    'behind another key than that of scheme v3',
    [V3, schemeBy(two, [28, LATEST], [proof, toLater(33)])],
    v31,
    /do not fit each other/,
  ],
  ['without one of scheme v3', [V2, v2], v31, /v3 was taken away/],
  [
    'of a package that was changed',
    [V3, v3Before],
    Buffer.concat([v31.subarray(0, -1), Buffer.of(v31.at(-1)! ^ 1)]),
    /not that of its certificate/,
  ],
] as const)('refuses a signature of scheme v3.1 that is %s', async (_what, newer, newest, words) => {
  const apk = withSchemes(bytes, [
    [V2, v2],
    ...(newer[0] === V2 ? [] : [newer]),
    ...(newest ? [[V31, newest] as const] : []),
  ]);
  await expect(readPackage(sourceOf(apk))).rejects.toMatchObject({
    code: 'ERR_PACKAGE_SIGNATURE',
    message: expect.stringMatching(words),
  });
});

test('what later systems would believe and nothing here verifies (scheme v3.2) is refused', async () => {
  const later = withSchemes(bytes, [
    [V2, v2],
    [V3, v3],
    [0x70e1c89f, v3],
  ]);
  await expect(readPackage(sourceOf(later))).rejects.toThrow('v3.2 are not taken');
  const hybrid = Buffer.concat([u32(0xbf940529), u32(37)]);
  const without = withSchemes(bytes, [[V3, schemeBy(one, [28, LATEST], [hybrid])]]);
  await expect(readPackage(sourceOf(without))).rejects.toThrow('v3.2 was taken away');
});

test('no byte of a signed APK can be changed: it is refused, or says what it said', async () => {
  const before = new Map(
    await Promise.all([bytes, handedOn].map(async (apk) => [apk, await readPackage(sourceOf(apk))] as const)),
  );
  const [which, byte] = [fc.constantFrom(...before.keys()), fc.integer({ min: 1, max: 255 })];
  await fc.assert(
    fc.asyncProperty(which, fc.nat(handedOn.length - 1), byte, async (apk, place, change) => {
      const changed = Buffer.from(apk);
      const at = place % apk.length;
      changed[at] = changed[at]! ^ change;
      const outcome = await readPackage(sourceOf(changed)).catch((error: unknown) => error);
      if (!(outcome instanceof PackageError)) expect(outcome).toEqual(before.get(apk));
    }),
    { numRuns: 400 },
  );
});
