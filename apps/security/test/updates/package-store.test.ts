import { createHash } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { makeZip, scratchFolder } from '@sallyport/support';
import { expect, test } from 'vitest';
import { PackageStore } from '../../src/updates/package-store.ts';

const DAY = 86_400_000;
const PART = 1_000;

interface Content {
  readonly content: Buffer;
  readonly sha256: string;
}

/** The zip file of a web app, of some thousand bytes. */
function webApp(version: string): Content {
  const manifest = JSON.stringify({ id: 'com.example.web', version });
  const content = makeZip([
    { name: 'manifest.webmanifest', content: Buffer.from(manifest) },
    { name: 'film.bin', content: Buffer.alloc(5_000, version), stored: true },
  ]);
  return { content, sha256: createHash('sha256').update(content).digest('hex') };
}

/** Sends a package part by part from a place on, each part to the next one of the nodes; gives how many bytes are there. */
async function send(nodes: readonly PackageStore[], { content, sha256 }: Content, by: string, until = content.length) {
  let there = 0;
  for (let part = 0; there < until; part++)
    there = await nodes[part % nodes.length]!.take({
      ...{ sha256, by, at: there, bytes: content.length },
      content: content.subarray(there, there + PART),
    });
  return there;
}

test('two nodes on one folder take the parts of one package in turns, and both keep it, once', async () => {
  const folder = scratchFolder();
  const nodes = [new PackageStore(folder), new PackageStore(folder)] as const;
  const app = webApp('1.0');
  expect(await send(nodes, app, 'ci')).toBe(app.content.length);
  const draft = { sha256: app.sha256, by: 'ci' };
  const views = await Promise.all(nodes.map((node) => node.finish(draft)));
  expect(views[0]).toMatchObject({ id: 'com.example.web', version: '1.0', bytes: app.content.length });
  expect(views[1]).toEqual(views[0]);
  expect(readdirSync(folder).sort()).toEqual([app.sha256, 'drafts']);
  expect(readdirSync(join(folder, 'drafts'))).toEqual([]);
});

test('of two who send the same package neither touches what the other has sent, be it wrong or broken off', async () => {
  const store = new PackageStore(scratchFolder());
  const app = webApp('1.0');
  const wrong = { ...app, content: Buffer.alloc(app.content.length, 'x') };
  await send([store], app, 'ci', 3 * PART);
  await send([store], wrong, 'eve');
  await expect(store.finish({ sha256: app.sha256, by: 'eve' })).rejects.toThrow('do not have the hash');
  // Who begins again goes on behind what came before.
  const parts = { sha256: app.sha256, by: 'ci', bytes: app.content.length };
  expect(await store.take({ ...parts, at: 0, content: app.content.subarray(0, PART) })).toBe(3 * PART);
  await send([store], app, 'ci');
  expect((await store.finish({ sha256: app.sha256, by: 'ci' })).version).toBe('1.0');
  // What was wrong is forgotten: the right bytes of the same one are taken.
  const other = webApp('2.0');
  await send([store], { ...other, content: Buffer.alloc(other.content.length) }, 'eve');
  await expect(store.finish({ sha256: other.sha256, by: 'eve' })).rejects.toThrow('do not have the hash');
  await send([store], other, 'eve');
  expect((await store.finish({ sha256: other.sha256, by: 'eve' })).version).toBe('2.0');
});

test('drafts that nobody goes on with are given up after a day, and only so many packages come at once', async () => {
  const folder = scratchFolder();
  const store = new PackageStore(folder);
  const app = webApp('1.0');
  await send([store], app, 'ci', PART);
  expect(await store.sweep(Date.now() + DAY / 2)).toBe(1);
  expect(await store.sweep(Date.now() + 2 * DAY)).toBe(0);
  await expect(
    store.take({ sha256: app.sha256, by: 'ci', at: PART, bytes: 9_999, content: Buffer.alloc(1) }),
  ).rejects.toThrow('begin again');
  for (let i = 0; i < 16; i++) await send([store], webApp(`1.${i}`), 'ci', PART);
  await expect(send([store], webApp('2.0'), 'ci', PART)).rejects.toThrow('on their way already');
  expect(existsSync(join(folder, webApp('2.0').sha256))).toBe(false);
  mkdirSync(join(folder, 'elsewhere'));
  writeFileSync(join(folder, 'elsewhere', 'x'), '');
  expect(await store.sweep(Date.now() + 2 * DAY)).toBe(0);
  await send([store], webApp('2.0'), 'ci', PART);
});

test('what is kept is a copy: who still writes to the draft changes no package', async () => {
  const folder = scratchFolder();
  const store = new PackageStore(folder);
  const app = webApp('1.7');
  await send([store], app, 'ci');
  const [draft = ''] = readdirSync(join(folder, 'drafts'));
  const writer = openSync(join(folder, 'drafts', draft), 'r+');
  await store.finish({ sha256: app.sha256, by: 'ci' });
  writeSync(writer, Buffer.from('changed'), 0, 7, 0);
  closeSync(writer);
  const kept = Buffer.concat((await store.read(app.sha256, 0).toArray()) as Buffer[]);
  expect(kept.equals(app.content)).toBe(true);
});
