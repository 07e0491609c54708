import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { openS3Target } from '@sallyport/backup';
import { makeZip, scratchFolder } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { startS3 } from '../../../../libs/backup/test/s3-server.ts';
import { bucketPlace } from '../../src/updates/package-place.ts';
import { PackageStore } from '../../src/updates/package-store.ts';

const folder = scratchFolder();
const s3 = await startS3(folder);
afterAll(() => s3.close());

/** The zip file of a web app with more bytes than a bucket takes at once. */
const film = randomBytes(9_000_000);
const content = makeZip([
  { name: 'manifest.webmanifest', content: Buffer.from('{"id":"com.example.web","version":"1.0"}') },
  { name: 'film.bin', content: film, stored: true },
]);
const sha256 = createHash('sha256').update(content).digest('hex');

/** A node with a folder of its own for what comes, and a bucket that it shares with others. */
function node(name: string): PackageStore {
  return new PackageStore(
    join(folder, name),
    bucketPlace({ open: () => openS3Target({ ...s3.place, prefix: 'apps' }) }),
  );
}

async function send(store: PackageStore, by: string, from = 0): Promise<number> {
  let there = from;
  while (there < content.length)
    there = await store.take({
      ...{ sha256, by, at: there, bytes: content.length },
      content: content.subarray(there, there + 2_000_000),
    });
  return there;
}

async function bytesOf(store: PackageStore, from: number): Promise<Buffer> {
  return Buffer.concat((await store.read(sha256, from).toArray()) as Buffer[]);
}

test('a package in a bucket is there for every node, from any byte on, and gone once it is dropped', async () => {
  const [one, other] = [node('one'), node('other')];
  expect(await other.names()).toEqual([]);
  await expect(other.get(sha256)).rejects.toMatchObject({ code: 'ERR_ACCESS_NOT_FOUND' });
  await send(one, 'ci');
  const kept = await one.finish({ sha256, by: 'ci' });
  expect(kept).toMatchObject({ id: 'com.example.web', bytes: content.length });
  expect(await other.get(sha256)).toEqual(kept);
  expect(await other.names()).toEqual([sha256]);
  for (const from of [0, 1, 8_388_608, content.length - 1])
    expect((await bytesOf(other, from)).equals(content.subarray(from)), `from ${from}`).toBe(true);
  // Nothing is left where a node works.
  for (const name of ['one', 'other']) expect(readdirSync(join(folder, name, 'drafts'))).toEqual([]);
  // Sent once more, nothing is.
  expect(await other.take({ sha256, by: 'ci', at: 0, bytes: content.length, content: Buffer.alloc(1) })).toBe(
    content.length,
  );
  await other.drop(sha256);
  expect(await one.names()).toEqual([]);
  await expect(bytesOf(one, 0)).rejects.toMatchObject({ code: 'ERR_TARGET_MISSING' });
});

test('parts that come at another node begin again there', async () => {
  const [one, other] = [node('three'), node('four')];
  const part = { sha256, by: 'ci', bytes: content.length };
  await one.take({ ...part, at: 0, content: content.subarray(0, 1_000) });
  await expect(other.take({ ...part, at: 1_000, content: content.subarray(1_000, 2_000) })).rejects.toThrow(
    'begin again',
  );
  await send(other, 'ci');
  expect((await other.finish({ sha256, by: 'ci' })).version).toBe('1.0');
  await other.drop(sha256);
});

test('a bucket that does not answer says nothing of packages, and is asked again', async () => {
  let isAway = true;
  const place = bucketPlace({
    open: async () => {
      if (isAway) throw Object.assign(new Error('the bucket is away'), { code: 'ERR_TARGET_GONE' });
      return openS3Target({ ...s3.place, prefix: 'later' });
    },
  });
  const store = new PackageStore(join(folder, 'five'), place);
  await expect(store.get(sha256)).rejects.toMatchObject({ code: 'ERR_SECURITY_PACKAGES' });
  await expect(send(store, 'ci')).rejects.toMatchObject({ code: 'ERR_SECURITY_PACKAGES' });
  expect(existsSync(join(folder, 'five', 'drafts'))).toBe(false);
  isAway = false;
  expect(await send(store, 'ci')).toBe(content.length);
  expect((await store.finish({ sha256, by: 'ci' })).bytes).toBe(content.length);
});

test('a package that is not at a node, or not whole, is said so before a byte of it: nodes that share no place', async () => {
  const [one, other] = [new PackageStore(join(folder, 'mine')), new PackageStore(join(folder, 'yours'))];
  await send(one, 'ci');
  const kept = await one.finish({ sha256, by: 'ci' });
  await expect(one.ensure(kept)).resolves.toBeUndefined();
  const refused = { code: 'ERR_SECURITY_PACKAGES' };
  await expect(other.ensure(kept)).rejects.toMatchObject({
    ...refused,
    message: expect.stringContaining('not at this'),
  });
  truncateSync(join(folder, 'mine', sha256), 9);
  await expect(one.ensure(kept)).rejects.toMatchObject({ ...refused, message: expect.stringContaining('has 9 bytes') });
  const away = new PackageStore(
    join(folder, 'away'),
    bucketPlace({ open: () => openS3Target({ ...s3.place, bucket: 'none' }) }),
  );
  await expect(away.ensure(kept)).rejects.toMatchObject(refused);
});
