import { type MadePart, makeZip } from '@sallyport/support';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PackageError, readPackage } from '../src/index.ts';
import { readPart, readZip } from '../src/package/zip.ts';
import { sourceOf } from './byte-source.ts';

const MANIFEST = {
  name: 'manifest.webmanifest',
  content: Buffer.from('{"id":"field.web","version":"1.2","start_url":"/"}'),
};
const PAGE = { name: 'pages/index.html', content: Buffer.from('<p>hello') };
const MIB = 1024 * 1024;

function web(...parts: readonly MadePart[]): Buffer {
  return makeZip([MANIFEST, ...parts]);
}

/** A part before the manifest that only who reads from the beginning finds. */
function hidden(): Buffer {
  const before = makeZip([{ ...PAGE, name: 'evil.html' }]);
  const headerAt = before.readUInt32LE(before.length - 6);
  const whole = makeZip([{ ...MANIFEST, lie: { headerAt } }]);
  const bytes = Buffer.concat([before.subarray(0, headerAt), whole]);
  bytes.writeUInt32LE(bytes.readUInt32LE(bytes.length - 6) + headerAt, bytes.length - 6);
  return bytes;
}

test('a part whose sizes stand behind it is taken', async () => {
  const facts = await readPackage(
    sourceOf(
      makeZip([
        { ...MANIFEST, streamed: true },
        { ...PAGE, streamed: true },
      ]),
    ),
  );
  expect(facts).toMatchObject({ id: 'field.web' });
});

test('a web app is read out of its manifest', async () => {
  const facts = await readPackage(sourceOf(web(PAGE)));
  expect(facts).toMatchObject({ kind: 'web', os: 'browser', id: 'field.web', version: '1.2', signers: [] });
});

test.each([
  ['nothing', Buffer.alloc(0), 'ERR_PACKAGE_FORMAT', /no directory/],
  ['no zip file', Buffer.alloc(100, 'x'), 'ERR_PACKAGE_FORMAT', /no directory/],
  ['a file that is cut off', web(PAGE).subarray(0, -10), 'ERR_PACKAGE_FORMAT', /no directory/],
  ['a file without its beginning', web(PAGE).subarray(10), 'ERR_PACKAGE_FORMAT', /does not end where it says/],
  ['something behind the directory', Buffer.concat([web(PAGE), Buffer.of(1)]), 'ERR_PACKAGE_FORMAT', /no directory/],
  [
    'two directories',
    makeZip([MANIFEST], { comment: makeZip([MANIFEST]).subarray(-22) }),
    'ERR_PACKAGE_FORMAT',
    /two directories/,
  ],
  ['two manifests', web(MANIFEST), 'ERR_PACKAGE_NAME', /two parts have one name/],
  ['manifests of two kinds', web({ ...PAGE, name: 'AndroidManifest.xml' }), 'ERR_PACKAGE_FORMAT', /two kinds/],
  ['no manifest', makeZip([PAGE]), 'ERR_PACKAGE_FORMAT', /has no AndroidManifest/],
  [
    'an app bundle',
    makeZip([
      { ...PAGE, name: 'BundleConfig.pb' },
      { ...PAGE, name: 'base/manifest/AndroidManifest.xml' },
    ]),
    'ERR_PACKAGE_FORMAT',
    /app bundle \(AAB\).*bundletool build-apks --mode=universal/,
  ],
  [
    'a set of APKs',
    makeZip([
      { ...PAGE, name: 'toc.pb' },
      { ...PAGE, name: 'universal.apk' },
    ]),
    'ERR_PACKAGE_FORMAT',
    /set of APKs.*unzip app.apks universal.apk/,
  ],
  ['a name with ../', web({ ...PAGE, name: '../x' }), 'ERR_PACKAGE_NAME', /leads out/],
  ['a name with /../', web({ ...PAGE, name: 'a/../../x' }), 'ERR_PACKAGE_NAME', /leads out/],
  ['a name from the root', web({ ...PAGE, name: '/etc/x' }), 'ERR_PACKAGE_NAME', /leads out/],
  ['a name of a drive', web({ ...PAGE, name: 'C:x' }), 'ERR_PACKAGE_NAME', /leads out/],
  ['a name with \\', web({ ...PAGE, name: '..\\x' }), 'ERR_PACKAGE_NAME', /leads out/],
  ['a name with a NUL', web({ ...PAGE, name: 'a\0.html' }), 'ERR_PACKAGE_NAME', /leads out/],
  ['an empty name', web({ ...PAGE, name: '' }), 'ERR_PACKAGE_NAME', /no fit name/],
  ['a part of 4 GiB', web({ ...PAGE, lie: { bytes: 0xffffffff } }), 'ERR_PACKAGE_LARGE', /4 GiB/],
  [
    'a part that lies behind the end',
    web({ ...PAGE, lie: { packedBytes: 0xfffffffe } }),
    'ERR_PACKAGE_FORMAT',
    /behind its end/,
  ],
  ['more parts than it has', makeZip([MANIFEST], { count: 9 }), 'ERR_PACKAGE_FORMAT', /no entry/],
  ['fewer parts than it has', makeZip([MANIFEST, PAGE], { count: 1 }), 'ERR_PACKAGE_FORMAT', /longer than its parts/],
  ['as many parts as zip64 has', makeZip([MANIFEST], { count: 0xffff }), 'ERR_PACKAGE_LARGE', /zip64/],
  ['a manifest that is none', makeZip([{ ...MANIFEST, content: Buffer.from('[') }]), 'ERR_PACKAGE_MANIFEST', /no JSON/],
  [
    'an id that is none',
    makeZip([{ ...MANIFEST, content: Buffer.from('{"id":"../x","version":"1"}') }]),
    'ERR_PACKAGE_MANIFEST',
    /no id/,
  ],
  [
    'a version that is none',
    makeZip([{ ...MANIFEST, content: Buffer.from('{"id":"x","version":"latest"}') }]),
    'ERR_PACKAGE_MANIFEST',
    /version/,
  ],
  [
    'a manifest with another name in its header',
    makeZip([{ ...MANIFEST, lie: { headerName: 'other' } }]),
    'ERR_PACKAGE_FORMAT',
    /do not say the same/,
  ],
  ['a link', web({ ...PAGE, mode: 0o120777 }), 'ERR_PACKAGE_NAME', /no file and no folder/],
  [
    'two parts of the same bytes',
    web(PAGE, { ...PAGE, name: 'b', lie: { headerAt: 0 } }),
    'ERR_PACKAGE_FORMAT',
    /over each/,
  ],
  [
    'a part that has another name of its own',
    web({ ...PAGE, lie: { headerName: 'pages/index.htm_' } }),
    'ERR_PACKAGE_FORMAT',
    /do not say the same/,
  ],
  [
    'a part that has another size of its own',
    web({ ...PAGE, lie: { headerBytes: 1 } }),
    'ERR_PACKAGE_FORMAT',
    /do not say the same/,
  ],
  ['a part that the directory does not name', hidden(), 'ERR_PACKAGE_FORMAT', /do not say the same/],
] as const)('refuses %s', async (_what, bytes, code, words) => {
  await expect(readPackage(sourceOf(bytes))).rejects.toMatchObject({ code, message: expect.stringMatching(words) });
});

test('a bomb is refused before it is unpacked, and one that lies about its size when it has unpacked to that', async () => {
  const zeros = { ...MANIFEST, content: Buffer.alloc(64 * MIB) };
  const honest = sourceOf(makeZip([zeros]));
  await expect(readPackage(honest)).rejects.toMatchObject({ code: 'ERR_PACKAGE_LARGE' });
  expect(honest.mostRead).toBeLessThan(MIB);
  const lying = makeZip([{ ...zeros, lie: { bytes: 1_000 } }]);
  await expect(readPackage(sourceOf(lying))).rejects.toMatchObject({ code: 'ERR_PACKAGE_LARGE' });
});

test('of a large package no more than some MiB are read at a time', async () => {
  const film = { name: 'film.bin', content: Buffer.alloc(40 * MIB, 7), stored: true };
  const source = sourceOf(web(film));
  await readPackage(source);
  expect(source.mostRead).toBeLessThan(MIB);
});

test('a part that was damaged is refused', async () => {
  const bytes = makeZip([{ ...MANIFEST, stored: true }]);
  bytes[60] = bytes[60]! ^ 1;
  await expect(readPackage(sourceOf(bytes))).rejects.toMatchObject({ code: 'ERR_PACKAGE_FORMAT' });
});

test('whatever bytes are changed, cut off or added, a package is read whole or refused by a code', async () => {
  const good = web(PAGE);
  const change = fc.record({ at: fc.nat(good.length - 1), byte: fc.integer({ min: 1, max: 255 }), cut: fc.nat(40) });
  await fc.assert(
    fc.asyncProperty(change, async ({ at, byte, cut }) => {
      const bytes = Buffer.from(good.subarray(0, good.length - cut));
      if (at < bytes.length) bytes[at] = bytes[at]! ^ byte;
      const outcome = await readPackage(sourceOf(bytes)).catch((error: unknown) => error);
      if (!(outcome instanceof PackageError)) expect(outcome).toHaveProperty('kind');
    }),
    { numRuns: 500 },
  );
});

test('a part is given as it was', async () => {
  const zip = await readZip(sourceOf(web(PAGE)));
  expect(String(await readPart(zip, zip.entries.get(PAGE.name)!))).toBe('<p>hello');
});
