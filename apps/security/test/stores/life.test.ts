import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createKeyring,
  EpochFence,
  fencedStore,
  openWitness,
  readRealm,
  revoke,
  type StoreErrorCode,
  sealWitness,
} from '@sallyport/access';
import { nodeCrypto } from '@sallyport/channel/node';
import type { SqlStore } from '@sallyport/store-sql';
import { scratchFolder } from '@sallyport/support';
import { expect, test } from 'vitest';
import { guardLife } from '../../src/stores/life.ts';
import { scene } from '../scene.ts';

const BY = { actor: 'olga', reason: 'unit test' };

/** A node's guard of a database in memory, whose position the test sets. */
async function guarded() {
  const { context, lines } = await scene();
  const { access: bare, log } = context;
  const place = { system: '7', walBytes: 1_000, connections: 1 };
  const server = {
    get connections() {
      return place.connections;
    },
    query: async () => [{ system: place.system, walBytes: String(place.walBytes) }],
  } as unknown as SqlStore;
  const folder = scratchFolder();
  const start = () => {
    const fence = new EpochFence();
    const access = { ...bare, store: fencedStore(bare.store, fence) };
    return { fence, access, life: guardLife({ file: join(folder, 'database.json'), server, access, fence, log }) };
  };
  const revoked = async (id: string) => revoke(bare, { requestId: id, kind: 'before', subject: 'now' }, BY);
  const witness = async ({ life }: ReturnType<typeof start>) => {
    await life.check();
    return life.witnessFor(await readRealm(bare.store))!;
  };
  const remembered = (): object => JSON.parse(readFileSync(join(folder, 'database.json'), 'utf8')) as object;
  return { bare, place, start, revoked, witness, remembered, lines };
}

test('what a Proxy keeps says how far the database is, and nothing speaks against that database', async () => {
  const of = await guarded();
  await of.revoked('r-1');
  const node = of.start();
  const text = await of.witness(node);
  const { epoch, head, headHash } = await readRealm(of.bare.store);
  expect(openWitness(of.bare, text)).toMatchObject({ epoch, head, headHash, system: '7', walBytes: 1_000 });
  of.place.walBytes = 2_000;
  await of.revoked('r-2');
  await node.life.hear(text, 'p1');
  expect(node.fence.refusal).toBeUndefined();
  expect(node.life.witnessFor({ epoch: 'another', head, headHash })).toBeUndefined();
});

test.each([
  ['its log of changes', (of: Awaited<ReturnType<typeof guarded>>) => Object.assign(of.place, { walBytes: 500 })],
  ['its data directory', (of: Awaited<ReturnType<typeof guarded>>) => Object.assign(of.place, { system: '8' })],
])('a proof that the database went back, by %s, ends what is given, also after a restart', async (_what, goBack) => {
  const of = await guarded();
  const text = await of.witness(of.start());
  // The file of the node went back with the machine.
  const back = await guarded();
  goBack(back);
  const node = back.start();
  const sealed = openWitness(of.bare, text)!;
  const { epoch } = await readRealm(back.bare.store);
  await node.life.hear(sealWitness(back.bare, { ...sealed, epoch }), 'p1');
  expect(node.fence.refusal).toContain('Proxy p1');
  await expect(readRealm(node.access.store)).rejects.toMatchObject({
    code: 'ERR_STORE_FENCED' satisfies StoreErrorCode,
  });
  expect(await back.start().life.check()).toContain('Proxy p1');
});

test('a journal is asked for what it was seen to hold, and for nothing that was only committed', async () => {
  const of = await guarded();
  const known = async (node: ReturnType<typeof of.start>) => openWitness(of.bare, await of.witness(node))!.journaled;
  const journal = { held: 1, isAhead: false, doubt: () => undefined, look: async () => true };
  const node = of.start();
  node.life.useJournal(journal);
  await of.revoked('r-1');
  await of.revoked('r-2');
  expect(await known(node)).toBe(1);
  expect(of.remembered()).toMatchObject({ head: 2, journaled: 1 });
  // The next run has not opened its journal yet when it looks first.
  const next = of.start();
  await next.life.check();
  expect(of.remembered()).toMatchObject({ head: 2, journaled: 1 });
  next.life.useJournal({ ...journal, held: 2 });
  await next.life.check();
  expect(of.remembered()).toMatchObject({ journaled: 2 });
});

test('what is not sealed by the keys of the realm stops nothing, whoever says it, and is in the log', async () => {
  const of = await guarded();
  const node = of.start();
  const crypto = nodeCrypto();
  const keyring = createKeyring(crypto, new Map([[1, crypto.randomBytes(32)]]), 1);
  const { epoch } = await readRealm(of.bare.store);
  const audit = { seq: 9, hash: '' };
  const made = {
    epoch,
    supersedes: [],
    system: '7',
    walBytes: 9_999,
    head: 9,
    headHash: 'f',
    journaled: 0,
    audit,
    at: 0,
  };
  for (const text of [sealWitness({ keyring, store: { realm: 'main' } }, made), 'made.up'])
    await node.life.hear(text, 'p1');
  expect(node.fence.refusal).toBeUndefined();
  expect(of.lines.join()).toContain('is not sealed by keys of this node');
});

test('a new connection to the database is held against what is known before anything is told', async () => {
  const of = await guarded();
  const node = of.start();
  expect(await node.life.isSettled()).toBe(true);
  of.place.connections += 1;
  of.place.walBytes = 999;
  expect(await node.life.isSettled()).toBe(false);
  expect(node.fence.refusal).toContain('older');
});
