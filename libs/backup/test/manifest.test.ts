import { scratchFolder } from '@sallyport/support';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  EXPORT_FORMAT,
  EXPORT_OBJECTS,
  formatManifest,
  listExports,
  type Manifest,
  macBytesOf,
  newExportName,
  objectPath,
  openFolderTarget,
  parseManifest,
  realmFolder,
  timeOfName,
} from '../src/index.ts';

const TAKEN_AT = Date.UTC(2026, 10, 26, 14, 15, 0);
const HASH = '5'.repeat(64);

const manifest: Manifest = {
  format: EXPORT_FORMAT,
  realm: 'main',
  name: '20261126T141500Z-9f2c01ab',
  product: '0.1.0',
  migration: '0018_log_subjects',
  takenAt: new Date(TAKEN_AT).toISOString(),
  epoch: 'e'.repeat(32),
  log: { head: 7, hash: HASH },
  audit: { seq: 12, hash: HASH },
  recipients: ['age1qqqq'],
  parts: [{ name: 'users', rows: 2, bytes: 120, sha256: HASH }],
  data: { bytes: 400, sha256: HASH },
  mac: { kek: 1, check: 'c'.repeat(32), tag: 'b'.repeat(32) },
};

test('a manifest is read as it was written, and its MAC is over all of it', () => {
  expect(parseManifest(formatManifest(manifest))).toEqual(manifest);
  const changes: Partial<Manifest>[] = [
    { realm: 'other' },
    { log: { head: 8, hash: HASH } },
    { parts: [] },
    { data: { bytes: 401, sha256: HASH } },
    { mac: { ...manifest.mac, kek: 2 } },
  ];
  for (const change of changes) expect(macBytesOf({ ...manifest, ...change })).not.toEqual(macBytesOf(manifest));
});

test('a manifest of another format is refused as such, whatever else is in it', () => {
  for (const format of [0, 2, 99])
    expect(() => parseManifest(JSON.stringify({ format, other: true }))).toThrowError(
      expect.objectContaining({ code: 'ERR_BACKUP_FORMAT' }),
    );
});

test('a manifest with anything missing, wrong, more or written otherwise is refused', () => {
  const refused = (text: string): void =>
    expect(() => parseManifest(text), text).toThrowError(expect.objectContaining({ code: 'ERR_BACKUP_MANIFEST' }));
  for (const field of Object.keys(manifest)) {
    const { [field as keyof Manifest]: _, ...rest } = manifest;
    refused(formatManifest(rest as Manifest));
    refused(formatManifest({ ...manifest, [field]: null } as unknown as Manifest));
  }
  refused(formatManifest({ ...manifest, more: 1 } as unknown as Manifest));
  refused(formatManifest({ ...manifest, name: '../../etc' }));
  refused(formatManifest({ ...manifest, log: { head: -1, hash: HASH } }));
  refused(JSON.stringify(manifest));
  refused(`${formatManifest(manifest)} `);
  for (const text of ['', 'null', '[]', '"x"', '{']) refused(text);
});

test('the name of an export says when it was taken, to the second', () => {
  const name = newExportName(TAKEN_AT + 999);
  expect(name).toMatch(/^20261126T141500Z-[0-9a-f]{8}$/);
  expect(timeOfName(name)).toBe(TAKEN_AT);
  for (const other of ['', 'journal', '20261326T141500Z-9f2c01ab', `${name}x`, `x${name}`])
    expect(timeOfName(other), other).toBeUndefined();
});

test('every realm has a folder of its own, of a name that every target takes', () => {
  expect(realmFolder('main')).toBe('main');
  expect(realmFolder('../x')).toBe('_2e_2e_2fx');
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (one, other) => {
      expect(realmFolder(one)).toMatch(/^[A-Za-z0-9_-]+$/);
      expect(realmFolder(one) === realmFolder(other)).toBe(one === other);
    }),
  );
});

test('exports are listed by time, those without a manifest as not whole, and nothing else', async () => {
  const target = await openFolderTarget(scratchFolder());
  const put = (path: string): Promise<void> =>
    target.put(
      path,
      (async function* () {
        yield Buffer.from('content');
      })(),
    );
  const [first, second] = [newExportName(TAKEN_AT), newExportName(TAKEN_AT + 60_000)];
  await put(objectPath('main', second, EXPORT_OBJECTS.data));
  for (const object of Object.values(EXPORT_OBJECTS)) await put(objectPath('main', first, object));
  await put('main/journal/abc/1');
  await put(objectPath('main2', first, EXPORT_OBJECTS.manifest));
  const listed = await listExports(target, 'main');
  expect(listed.map(({ name, whole }) => [name, whole])).toEqual([
    [first, true],
    [second, false],
  ]);
  expect(listed[0]!.takenAt).toBe(TAKEN_AT);
  expect(Object.fromEntries(listed[1]!.objects)).toEqual({ 'data.age': 7 });
});
