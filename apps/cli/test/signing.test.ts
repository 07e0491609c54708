import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatRelease, packagePath, releasePath, targetsOfRelease, UPDATE_CHUNK_BYTES } from '@sallyport/channel';
import { makeZip } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { othersIn, SignedBefore, targetsOfPackage } from '../src/commands/signing.ts';

const folder = mkdtempSync(join(tmpdir(), 'signing-'));
afterAll(() => rmSync(folder, { recursive: true }));
const film = { name: 'film.bin', content: Buffer.alloc(UPDATE_CHUNK_BYTES, 7), stored: true };
const manifest = { name: 'manifest.webmanifest', content: Buffer.from('{"id":"field.web","version":"1.2"}') };
const content = makeZip([manifest, film]);
const file = join(folder, 'field.zip');
writeFileSync(file, content);
const release = { id: 'r1', notes: { en: 'better' } };
const own = await targetsOfPackage(file, release);
const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

test('what a person signs is made from the package itself, as Security makes it from what was sent', () => {
  const sha256 = hashOf(content);
  const chunks = [content.subarray(0, UPDATE_CHUNK_BYTES), content.subarray(UPDATE_CHUNK_BYTES)].map(hashOf);
  const document = {
    ...{ release: 'r1', app: 'field.web', version: '1.2', build: '', os: 'browser', minOsVersion: '' },
    ...{ notes: release.notes, permissions: [], sha256, bytes: content.length, chunkBytes: UPDATE_CHUNK_BYTES, chunks },
  };
  expect(own).toEqual(targetsOfRelease(document));
  expect(own[releasePath('r1')]!.hashes.sha256).toBe(hashOf(formatRelease(document)));
  expect(own[packagePath(sha256)]).toEqual({ length: content.length, hashes: { sha256 } });
});

test('a server that asks for a signature over another package, or other words about it, gets none', async () => {
  const other = await targetsOfPackage(file, { ...release, notes: { en: 'worse' } });
  const swapped = { ...own, [packagePath(hashOf(content))]: { length: 1, hashes: { sha256: 'ab'.repeat(32) } } };
  for (const asked of [other, swapped, {}])
    expect(() => othersIn(asked, { own, before: {} })).toThrow('another package than this one');
});

test('files that were not signed before are named, and those that were need no second look', () => {
  const target = { length: 1, hashes: { sha256: 'cd'.repeat(32) } };
  const asked = { ...own, 'packages/x': target, 'releases/y.json': target };
  const before = new SignedBefore(join(folder, 'tim.json'));
  expect(othersIn(asked, { own, before: before.read() })).toEqual(['packages/x', 'releases/y.json']);
  before.write({ 'packages/x': target, 'releases/y.json': { ...target, length: 2 } });
  expect(othersIn(asked, { own, before: before.read() })).toEqual(['releases/y.json']);
  before.write(asked);
  expect(othersIn(asked, { own, before: before.read() })).toEqual([]);
});
