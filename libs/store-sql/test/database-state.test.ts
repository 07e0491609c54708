import pg from 'pg';
import { expect, test } from 'vitest';
import { readAskedStandbys, readPosition, readServers, readVersion } from '../src/index.ts';
import { startDatabase } from './real-postgres.ts';

const { server, store } = await startDatabase();

test('a database tells its version, and itself as its only server', async () => {
  expect(await readVersion(store)).toMatch(/^\d+/);
  expect(await readServers(store)).toEqual([
    { name: 'local', role: 'primary', sync: '', state: 'running', address: '', lagBytes: 0, lagMs: 0 },
  ]);
});

test.each([
  ['', 0],
  ['*', 1],
  ['db2, db3', 1],
  ['"first 2 (a)"', 1],
  ['2 (db2, db3)', 2],
  ['FIRST 1 (db2, db3)', 1],
  ['any 3 (db2, db3, db4)', 3],
])('by synchronous_standby_names = %j, commits wait for %i standbys', async (names, asked) => {
  const owner = new pg.Client(server.address);
  await owner.connect();
  const set = async (value: string): Promise<void> => {
    await owner.query(`alter system set synchronous_standby_names = '${value}'`);
    await owner.query('select pg_reload_conf()');
    const known = async () => (await owner.query('show synchronous_standby_names')).rows;
    await expect.poll(known).toEqual([{ synchronous_standby_names: value }]);
  };
  await set(names);
  expect(await readAskedStandbys(store)).toBe(asked);
  await set('');
  await owner.end();
});

test('the position of a database goes on with every commit, and names the same data directory', async () => {
  const before = await readPosition(store);
  await store.in('main').transaction(({ tables }) => tables.groups.insert({ name: 'staff', createdAt: 0 }));
  const after = await readPosition(store);
  expect(after.system).toBe(before.system);
  expect(after.walBytes).toBeGreaterThan(before.walBytes);
});
