import { expect, test } from 'vitest';
import { readPosition, readServers, readVersion } from '../src/index.ts';
import { startDatabase } from './real-postgres.ts';

const { store } = await startDatabase();

test('a database tells its version, and itself as its only server', async () => {
  expect(await readVersion(store)).toMatch(/^\d+/);
  expect(await readServers(store)).toEqual([
    { name: 'local', role: 'primary', sync: '', state: 'running', address: '', lagBytes: 0, lagMs: 0 },
  ]);
});

test('the position of a database goes on with every commit, and names the same data directory', async () => {
  const before = await readPosition(store);
  await store.in('main').transaction(({ tables }) => tables.groups.insert({ name: 'staff', createdAt: 0 }));
  const after = await readPosition(store);
  expect(after.system).toBe(before.system);
  expect(after.walBytes).toBeGreaterThan(before.walBytes);
});
