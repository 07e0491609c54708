import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect, test } from 'vitest';
import {
  asOnlyRestore,
  countOtherClients,
  findLivingNodes,
  findRealms,
  hasSchema,
  migrate,
  putSchemaAside,
} from '../src/index.ts';
import { startDatabase } from './real-postgres.ts';

const { server, store } = await startDatabase();
const MARK = 'a'.repeat(64);
const NODE = {
  ...{ id: 'n1', proxyUrl: '', adminUrl: '', version: '0', startedAt: 0, state: 'up' as const, beat: 1, seenAt: 0 },
  ...{ clockOffsetMs: 0, degraded: [], keyId: '', knownKeys: [], journal: '' },
} as const;

async function run(sql: string): Promise<pg.QueryResult> {
  const client = new pg.Client(server.address);
  await client.connect();
  return client.query(sql).finally(() => client.end());
}

/** The least that a row of a realm is. */
async function makeRealm(closed: boolean): Promise<void> {
  await store.in('main').transaction(({ tables }) =>
    tables.realms.insert({
      ...{
        id: 'realm',
        epoch: 'e'.repeat(32),
        supersedes: [],
        closed,
        held: true,
        heldRun: null,
        head: 0,
        headHash: '',
      },
      ...{ generation: 0, longestLeaseMs: 1, journal: '', policyVersion: 0, notBefore: 0, mapVersion: 0, settings: {} },
    }),
  );
}

test('a database says which realms it has, whether they are closed, and which export they came from', async () => {
  expect(await findRealms(server.address)).toEqual({ names: [], mark: undefined, closed: true });
  await makeRealm(true);
  await run(`comment on table "realms" is 'loaded ${MARK}'`);
  expect(await findRealms(server.address)).toEqual({ names: ['main'], mark: MARK, closed: true });
  await store.in('main').transaction(({ tables }) => tables.realms.update({}, { closed: false }));
  expect(await findRealms(server.address)).toMatchObject({ closed: false });
});

test('a server that lives is seen by its connections, and a node by its beats', async () => {
  expect(await countOtherClients(server.address)).toBeGreaterThan(0);
  await store.in('main').transaction(({ tables }) => tables.nodes.insert({ ...NODE, degraded: [] }));
  expect(await findLivingNodes(server.address, 50)).toEqual([]);
  let beating = true;
  const beat = async (): Promise<void> => {
    for (let count = 2; beating; count++) {
      await store.in('main').transaction(({ tables }) => tables.nodes.update({}, { beat: count }));
      await sleep(5);
    }
  };
  const beats = beat();
  await expect.poll(() => findLivingNodes(server.address, 200)).toEqual(['n1']);
  beating = false;
  await beats;
});

test('of two restores at once one works, and what ended lets the next one', async () => {
  await asOnlyRestore(server.address, async () => {
    await expect(asOnlyRestore(server.address, async () => undefined)).rejects.toThrow('another restore works');
  });
  expect(await asOnlyRestore(server.address, async () => 'done')).toBe('done');
});

test('what a database held is put aside whole, and an empty one is in its place', async () => {
  await putSchemaAside(server.address, 'before_restore_1');
  expect(await findRealms(server.address)).toEqual({ names: [], mark: undefined, closed: true });
  expect((await run('select "realm" from "before_restore_1"."realms"')).rows).toEqual([{ realm: 'main' }]);
  // What says to the next try that nothing of before is in the place of the database any more.
  expect(await hasSchema(server.address, 'before_restore_1')).toBe(true);
  expect(await hasSchema(server.address, 'before_restore_2')).toBe(false);
  expect(await hasSchema(server.address, 'BEFORE_RESTORE_1')).toBe(false);
  await migrate(server.address);
  expect(await findRealms(server.address)).toMatchObject({ names: [] });
});
