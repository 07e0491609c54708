import { createHash, randomBytes } from 'node:crypto';
import {
  ContentInfo,
  EncapsulatedContent,
  EncapsulatedContentInfo,
  id_signedData,
  SignedData,
} from '@peculiar/asn1-cms';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import { type MadePart, makeZip } from '@sallyport/support';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PackageError, readPackage } from '../src/index.ts';
import { readPropertyList } from '../src/package/property-list.ts';
import { sourceOf } from './byte-source.ts';

/** Made by plistlib of Python 3.11: a binary list with the facts of `INFO`. */
const BINARY_INFO = Buffer.from(
  'YnBsaXN0MDDXAQIDBAUGBwgJCgsMDQ5fEBNDRkJ1bmRsZURpc3BsYXlOYW1lXxASQ0ZCdW5kbGVJZGVudGlmaWVyXxAaQ0ZCdW5kbGVTaG9ydFZlcnNpb25TdHJpbmdfEA9DRkJ1bmRsZVZlcnNpb25fEBBNaW5pbXVtT1NWZXJzaW9uXxAYTlNDYW1lcmFVc2FnZURlc2NyaXB0aW9uXlVJRGV2aWNlRmFtaWx5VUZpZWxkXxARY29tLmV4YW1wbGUuZmllbGRVMS40LjBSNzdUMTYuMGkARgD8AHIAIABGAG8AdABvAHOiDxAQARACCBctQl9xhJ+utMjO0dbp7O4AAAAAAAABAQAAAAAAAAARAAAAAAAAAAAAAAAAAAAA8A==',
  'base64',
);
const INFO = {
  CFBundleIdentifier: 'com.example.field',
  CFBundleShortVersionString: '1.4.0',
  CFBundleVersion: '77',
  MinimumOSVersion: '16.0',
  NSCameraUsageDescription: 'Für Fotos',
  UIDeviceFamily: [1, 2],
};
/** A property list as XML. */
function listOf(value: unknown): string {
  const of = (one: unknown): string => {
    if (one instanceof Date) return `<date>${one.toISOString()}</date>`;
    if (Buffer.isBuffer(one)) return `<data>\n${one.toString('base64')}\n</data>`;
    if (Array.isArray(one)) return `<array>${one.map(of).join('')}</array>`;
    if (typeof one === 'string') return `<string>${one}</string>`;
    if (typeof one === 'number') return `<integer>${one}</integer>`;
    const entries = Object.entries(one as object).filter(([, member]) => member !== undefined);
    return `<dict>${entries.map(([key, member]) => `<key>${key}</key>${of(member)}`).join('')}</dict>`;
  };
  const type = '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">';
  return `<?xml version="1.0" encoding="UTF-8"?>\n${type}\n<plist version="1.0">\n${of(value)}\n</plist>\n`;
}

const CERTIFICATE = randomBytes(300);
const SIGNER = createHash('sha256').update(CERTIFICATE).digest('hex');
const PROFILE = {
  Entitlements: { 'application-identifier': 'ABCDE12345.com.example.field' },
  ExpirationDate: new Date(Date.now() + 86_400_000),
  DeveloperCertificates: [CERTIFICATE],
};
const FACTS = {
  kind: 'ipa',
  os: 'ios',
  id: 'com.example.field',
  version: '1.4.0',
  build: '77',
  minOsVersion: '16.0',
  signers: [SIGNER],
  permissions: ['Camera'],
};

function signedMessage(content: string): Buffer {
  const single = new OctetString(Buffer.from(content));
  const signed = new SignedData({
    encapContentInfo: new EncapsulatedContentInfo({
      eContentType: '1.2.840.113549.1.7.1',
      eContent: new EncapsulatedContent({ single }),
    }),
  });
  const info = new ContentInfo({ contentType: id_signedData, content: AsnConvert.serialize(signed) });
  return Buffer.from(AsnConvert.serialize(info));
}

function profileWith(over: object = {}): Buffer {
  return signedMessage(listOf({ ...PROFILE, ...over }));
}

function ipa(info: Buffer | object = INFO, profile: Buffer = profileWith(), more: readonly MadePart[] = []) {
  const content = Buffer.isBuffer(info) ? info : Buffer.from(listOf(info));
  return makeZip([
    { name: 'Payload/Field.app/Info.plist', content },
    { name: 'Payload/Field.app/embedded.mobileprovision', content: profile },
    ...more,
  ]);
}

test.each([
  ['as XML', INFO],
  ['as a binary list', BINARY_INFO],
])('an IPA is read out of its Info.plist, %s, and its profile', async (_what, info) => {
  expect(await readPackage(sourceOf(ipa(info)))).toEqual(FACTS);
});

test('a profile may be for all apps under a name', async () => {
  const profile = profileWith({ Entitlements: { 'application-identifier': 'ABCDE12345.com.example.*' } });
  expect(await readPackage(sourceOf(ipa(INFO, profile)))).toEqual(FACTS);
});

test.each([
  ['no version', { ...INFO, CFBundleShortVersionString: undefined }, /CFBundleShortVersionString/],
  ['a version of words', { ...INFO, CFBundleShortVersionString: 'one' }, /CFBundleShortVersionString/],
  ['an id that leads elsewhere', { ...INFO, CFBundleIdentifier: '../../etc' }, /CFBundleIdentifier/],
  ['a list in place of a version of the system', { ...INFO, MinimumOSVersion: ['16'] }, /MinimumOSVersion/],
  ['no list at all', Buffer.from('not a list'), /no XML/],
  ['an array', Buffer.from(listOf(['x'])), /no dictionary/],
  ['one entry twice', Buffer.from(listOf(INFO).replace('<key>UIDeviceFamily', '<key>CFBundleVersion')), /twice/],
  ['a binary list that is cut off', BINARY_INFO.subarray(0, 60), /cut off|fit width/],
] as const)('refuses an Info.plist with %s', async (_what, info, words) => {
  await expect(readPackage(sourceOf(ipa(info)))).rejects.toMatchObject({
    code: 'ERR_PACKAGE_MANIFEST',
    message: expect.stringMatching(words),
  });
});

test.each([
  ['none', undefined, /no embedded profile/],
  ['no signed message', Buffer.from('<plist></plist>'), /cannot be read/],
  ['nothing in it', signedMessage(''), /no XML/],
  ['another app', profileWith({ Entitlements: { 'application-identifier': 'ABCDE12345.com.other' } }), /another app/],
  [
    'a name that only begins so',
    profileWith({ Entitlements: { 'application-identifier': 'ABCDE12345.com.example' } }),
    /another app/,
  ],
  ['a day that is over', profileWith({ ExpirationDate: new Date(Date.now() - 1) }), /is over/],
  ['no day', profileWith({ ExpirationDate: 'soon' }), /is over/],
  ['nobody who signs', profileWith({ DeveloperCertificates: [] }), /nobody who signs/],
  ['texts as certificates', profileWith({ DeveloperCertificates: ['x'] }), /is none/],
] as const)('refuses a profile with %s', async (_what, profile, words) => {
  const content = profile === undefined ? ipaWithoutProfile() : ipa(INFO, profile);
  await expect(readPackage(sourceOf(content))).rejects.toThrow(words);
});

function ipaWithoutProfile(): Buffer {
  return makeZip([{ name: 'Payload/Field.app/Info.plist', content: Buffer.from(listOf(INFO)) }]);
}

test('a package of two apps, or of two kinds, is refused', async () => {
  const info = Buffer.from(listOf(INFO));
  const two = ipa(INFO, profileWith(), [{ name: 'Payload/Other.app/Info.plist', content: info }]);
  await expect(readPackage(sourceOf(two))).rejects.toThrow('two apps');
  const kinds = ipa(INFO, profileWith(), [{ name: 'AndroidManifest.xml', content: info }]);
  await expect(readPackage(sourceOf(kinds))).rejects.toThrow('two kinds');
});

test('an app that only who reads a package from its beginning finds is refused', async () => {
  const other = makeZip([{ name: 'Payload/Other.app/Info.plist', content: Buffer.from(listOf(INFO)) }]);
  const otherBytes = other.readUInt32LE(other.length - 6);
  const own = ipa();
  const directoryAt = own.readUInt32LE(own.length - 6);
  // The other app lies between the parts and the directory, which does not name it.
  const bytes = Buffer.concat([own.subarray(0, directoryAt), other.subarray(0, otherBytes), own.subarray(directoryAt)]);
  bytes.writeUInt32LE(directoryAt + otherBytes, bytes.length - 6);
  await expect(readPackage(sourceOf(bytes))).rejects.toMatchObject({
    code: 'ERR_PACKAGE_FORMAT',
    message: expect.stringContaining('do not say the same'),
  });
});

test('an Info.plist of more than it may have, or nested without end, costs no more than that', async () => {
  const long = Buffer.concat([Buffer.from('bplist00'), Buffer.alloc(5 * 1024 * 1024)]);
  await expect(readPackage(sourceOf(ipa(long)))).rejects.toThrow('too long');
  const nested = Buffer.from(`<plist>${'<array>'.repeat(20_000)}${'</array>'.repeat(20_000)}</plist>`);
  await expect(readPackage(sourceOf(ipa(nested)))).rejects.toMatchObject({ code: 'ERR_PACKAGE_MANIFEST' });
  const bomb = `<!DOCTYPE plist [<!ENTITY a "${'a'.repeat(1_000)}">${Array.from({ length: 20 }, (_, i) => `<!ENTITY b${i} "${`&${i === 0 ? 'a' : `b${i - 1}`};`.repeat(10)}">`).join('')}]>`;
  const expanded = Buffer.from(
    `${bomb}<plist><dict><key>CFBundleIdentifier</key><string>&b19;</string></dict></plist>`,
  );
  await expect(readPackage(sourceOf(ipa(expanded)))).rejects.toMatchObject({ code: 'ERR_PACKAGE_MANIFEST' });
});

test('no byte of a binary list makes reading it end in anything but facts or a refusal', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(BINARY_INFO.length - 1), fc.integer({ min: 1, max: 255 }), async (at, byte) => {
      const changed = Buffer.from(BINARY_INFO);
      changed[at] = changed[at]! ^ byte;
      const outcome = await readPackage(sourceOf(ipa(changed))).catch((error: unknown) => error);
      if (outcome instanceof Error) expect(outcome).toBeInstanceOf(PackageError);
    }),
    { numRuns: 500 },
  );
});

test('a binary list whose texts are one text again and again takes no memory for each', async () => {
  const count = 4_000;
  const long = 200_000;
  // Keys of two letters, one long text, and a dictionary in which each key has it.
  const keys = Array.from({ length: count }, (_, i) =>
    Buffer.from([0x54, ...Buffer.from(i.toString(36).padStart(4, '0'))]),
  );
  const head = Buffer.from([0x5f, 0x12, 0, 0, 0, 0]);
  head.writeUInt32BE(long, 2);
  const dictionary = Buffer.from([0xdf, 0x12, 0, 0, 0, 0]);
  dictionary.writeUInt32BE(count, 2);
  const refs = Buffer.alloc(count * 4);
  for (let i = 0; i < count; i++) {
    refs.writeUInt16BE(i, i * 2);
    refs.writeUInt16BE(count, (count + i) * 2);
  }
  const parts = [...keys, Buffer.concat([head, Buffer.alloc(long, 'a')]), Buffer.concat([dictionary, refs])];
  const offsets = Buffer.alloc(parts.length * 4);
  let at = 8;
  for (const [i, part] of parts.entries()) {
    offsets.writeUInt32BE(at, i * 4);
    at += part.length;
  }
  const trailer = Buffer.alloc(32);
  trailer.set([4, 2], 6);
  trailer.writeBigUInt64BE(BigInt(parts.length), 8);
  trailer.writeBigUInt64BE(BigInt(parts.length - 1), 16);
  trailer.writeBigUInt64BE(BigInt(at), 24);
  const list = Buffer.concat([Buffer.from('bplist00'), ...parts, offsets, trailer]);
  expect(() => readPropertyList(list)).toThrow(/lie over each other/);
});
