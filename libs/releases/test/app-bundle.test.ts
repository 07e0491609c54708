import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  type ApkKey,
  type MadePart,
  makeApkKey,
  makeBundle,
  makeZip,
  scratchFolder,
  signBundle,
} from '@sallyport/support';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PackageError, readAppBundle, readPackage } from '../src/index.ts';
import { readBundleManifest } from '../src/package/bundle-manifest.ts';
import { readPart, readZip } from '../src/package/zip.ts';
import { sourceOf } from './byte-source.ts';

const MIB = 1024 * 1024;
const MANIFEST = 'base/manifest/AndroidManifest.xml';
const folder = scratchFolder();
const key = await makeApkKey(folder, 'one');
const parts = await makeBundle(folder, { id: 'com.example.field', version: '1.2.0', build: 7, minSdk: 28 });
const bytes = readFileSync(await signBundle(parts, join(folder, 'signed.aab'), key));

function fingerprint({ certificate }: ApkKey): string {
  return new X509Certificate(readFileSync(certificate)).fingerprint256.replaceAll(':', '').toLowerCase();
}

/** The parts of a zip file, unpacked, but for one. */
async function partsOf(zipped: Buffer, but = ''): Promise<MadePart[]> {
  const zip = await readZip(sourceOf(zipped));
  const entries = [...zip.entries.values()].filter(({ name }) => name !== but);
  return Promise.all(entries.map(async (entry) => ({ name: entry.name, content: await readPart(zip, entry) })));
}

const signedParts = await partsOf(bytes);

/** The signed bundle with some parts otherwise. */
function changed(change: (part: MadePart) => MadePart | undefined, ...more: readonly MadePart[]): Buffer {
  return makeZip([...signedParts.flatMap((part) => change(part) ?? []), ...more]);
}

function flipped({ name, content }: MadePart): MadePart {
  return { name, content: Buffer.concat([content, Buffer.from(' ')]) };
}

test('an app bundle is read out of the manifest of its base and its signature', async () => {
  expect(await readAppBundle(sourceOf(bytes))).toEqual({
    os: 'android',
    id: 'com.example.field',
    version: '1.2.0',
    build: '7',
    minOsVersion: '9',
    signers: [fingerprint(key)],
    permissions: ['android.permission.CAMERA', 'android.permission.INTERNET'],
  });
});

test('another package is none, and no bundle is taken for an APK', async () => {
  expect(await readAppBundle(sourceOf(makeZip([{ name: 'page.html', content: Buffer.alloc(1) }])))).toBeUndefined();
  await expect(readPackage(sourceOf(bytes))).rejects.toThrow('app bundle (AAB)');
});

/** A block as OpenSSL makes it, which signs attributes in place of the file (RFC 5652, 5.4). */
function blockOf(signed: Uint8Array): Buffer {
  const order = ['cms', '-sign', '-binary', '-outform', 'DER', '-md', 'sha256', '-keyform', 'DER'];
  return execFileSync('openssl', [...order, '-signer', key.certificate, '-inkey', key.key], { input: signed });
}

test('a block that signs attributes is read, and holds for its own file of signatures only', async () => {
  const { content: file } = signedParts.find(isAbout('.SF'))!;
  const withBlock = (block: Buffer): Buffer =>
    changed((part) => (isAbout('.EC')(part) ? { name: part.name, content: block } : part));
  const { signers } = (await readAppBundle(sourceOf(withBlock(blockOf(file)))))!;
  expect(signers).toEqual([fingerprint(key)]);
  const another = readAppBundle(sourceOf(withBlock(blockOf(Buffer.from('another')))));
  await expect(another).rejects.toThrow('the file of signatures is not as it was signed');
  const forged = blockOf(file);
  forged[forged.length - 1]! ^= 1;
  await expect(readAppBundle(sourceOf(withBlock(forged)))).rejects.toThrow('is not as it was signed');
});

const isAbout = (end: string) => (part: MadePart) => part.name.startsWith('META-INF/') && part.name.endsWith(end);
const without = (end: string) => changed((part) => (isAbout(end)(part) ? undefined : part));
const other = (end: string) => changed((part) => (isAbout(end)(part) ? flipped(part) : part));

test.each([
  ['nobody has signed', makeZip(parts), /nobody has signed it/],
  ['whose manifest of digests is gone', without('MANIFEST.MF'), /nobody has signed it/],
  ['whose block is gone', without('.EC'), /has not one block/],
  ['with another manifest of digests', other('MANIFEST.MF'), /the manifest is not as it was signed/],
  [
    'with another file of signatures',
    other('.SF'),
    /file of signatures is not as it was signed|manifest cannot be read/,
  ],
  [
    'with another part',
    changed((part) => (part.name === 'base/resources.pb' ? flipped(part) : part)),
    /a part is not as/,
  ],
  [
    'with a part more',
    changed((part) => part, { name: 'base/dex/evil.dex', content: Buffer.alloc(9) }),
    /just what is there/,
  ],
  ['with a part less', changed((part) => (part.name === 'base/resources.pb' ? undefined : part)), /just what is there/],
  [
    'with a block that is none',
    changed((part) => (isAbout('.EC')(part) ? { ...part, content: Buffer.from('0') } : part)),
    /its block cannot be read/,
  ],
  [
    'with a part that was renamed',
    changed((part) => (part.name === 'base/resources.pb' ? { ...part, name: 'base/resources.pc' } : part)),
    /a part has no digest/,
  ],
])('a bundle %s is refused', async (_what, bundle, words) => {
  const refused = await readAppBundle(sourceOf(bundle)).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(PackageError);
  expect(refused).toMatchObject({ code: 'ERR_PACKAGE_SIGNATURE', message: expect.stringMatching(words) });
});

test('a bundle of which any byte is another one is refused, or says the same', async () => {
  const whole = await readAppBundle(sourceOf(bytes));
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, by) => {
      const other = Buffer.from(bytes);
      other[at] = other[at]! ^ by;
      const read = await readAppBundle(sourceOf(other)).catch((error: unknown) => {
        expect(error).toBeInstanceOf(PackageError);
      });
      if (read) expect(read).toEqual(whole);
    }),
    { numRuns: 150 },
  );
});

test('a bundle that is cut off anywhere is refused', async () => {
  for (let length = 0; length < bytes.length; length += 97)
    await expect(readAppBundle(sourceOf(bytes.subarray(0, length)))).rejects.toBeInstanceOf(PackageError);
});

test('a part that unpacks to more than it says is left, and a large one is read in pieces', async () => {
  const large = { name: 'base/assets/film.bin', content: Buffer.alloc(40 * MIB) };
  const signed = readFileSync(await signBundle([...parts, large], join(folder, 'large.aab'), key));
  const source = sourceOf(signed);
  expect(await readAppBundle(source)).toMatchObject({ version: '1.2.0' });
  expect(source.mostRead).toBeLessThan(2 * MIB);
  const bomb = [...(await partsOf(signed, large.name)), { ...large, lie: { bytes: MIB } }];
  await expect(readAppBundle(sourceOf(makeZip(bomb)))).rejects.toMatchObject({ code: 'ERR_PACKAGE_LARGE' });
});

/** An XmlNode of aapt2. */
function node(name: string, ...inside: readonly Uint8Array[]): Uint8Array {
  const element = new BinaryWriter().tag(3, WireType.LengthDelimited).string(name);
  for (const part of inside) element.raw(part);
  return new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(element.finish()).finish();
}

function child(of: Uint8Array): Uint8Array {
  return new BinaryWriter().tag(5, WireType.LengthDelimited).bytes(of).finish();
}

function named(name: string, value: string): Uint8Array {
  const attribute = new BinaryWriter().tag(2, WireType.LengthDelimited).string(name);
  attribute.tag(3, WireType.LengthDelimited).string(value);
  return new BinaryWriter().tag(4, WireType.LengthDelimited).bytes(attribute.finish()).finish();
}

function nested(depth: number): Uint8Array {
  let inner = node('a');
  for (let i = 0; i < depth; i++) inner = node('a', child(inner));
  return node('manifest', child(inner));
}

test.each([
  ['no message', Buffer.from('<manifest/>'), /no message of aapt2/],
  ['nothing', Buffer.alloc(0), /one element around all/],
  ['another element', node('resources'), /one element around all/],
  ['no version', node('manifest', named('package', 'a.b')), /versionName is no plain text/],
  ['an id twice', node('manifest', named('package', 'a.b'), named('package', 'a.c')), /says something twice/],
  ['a root twice', Buffer.concat([node('manifest'), node('manifest')]), /says something twice/],
  ['elements without end', nested(10_000), /nested too deeply/],
  ['too many elements', node('manifest', ...Array.from({ length: 20_001 }, () => child(node('a')))), /too many/],
  ['groups within groups', Buffer.alloc(MIB, 0x0b), /no message of aapt2/],
])('a manifest of a bundle with %s is refused', (_what, manifest, words) => {
  expect(() => readBundleManifest(Buffer.from(manifest))).toThrow(PackageError);
  expect(() => readBundleManifest(Buffer.from(manifest))).toThrow(words);
});

test('a manifest of which any bytes are other ones is refused or read, and nothing else', () => {
  const manifest = parts.find(({ name }) => name === MANIFEST)!.content;
  const change = fc.tuple(fc.nat(manifest.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
      const other = Buffer.from(manifest);
      for (const [at, byte] of changes) other[at] = byte;
      try {
        readBundleManifest(other);
      } catch (error) {
        expect(error).toBeInstanceOf(PackageError);
      }
    }),
    { numRuns: 500 },
  );
});

test('modules ask for what they ask together, and are of one app', async () => {
  const feature = await makeBundle(folder, { id: 'com.example.other', version: '1.2.1', build: 7 });
  const manifest = feature.find(({ name }) => name === MANIFEST)!;
  const mixed = makeZip([...parts, { ...manifest, name: 'film/manifest/AndroidManifest.xml' }]);
  await expect(readAppBundle(sourceOf(mixed))).rejects.toThrow('its modules are of two apps');
});
