import { TABLE_NAMES, TABLES } from '@sallyport/access/store';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { sealedStoreContract } from '../../access/test/sealed-store.contract.ts';
import { migrate, SqlStore } from '../src/index.ts';
import { toSnake } from '../src/names.ts';
import { startDatabase } from './real-postgres.ts';
import { slowWay } from './slow-way.ts';

const { server, store } = await startDatabase();
sealedStoreContract((realm) => store.in(realm), 'postgresql');

/** Columns that only nodes of the version before use. */
const RETIRED: Readonly<Record<string, readonly string[]>> = {
  codes: ['secret_hash'],
  users: ['disabled_by'],
};

test('migrations run once and fit the shapes of the domain', async () => {
  expect(await migrate(server.address)).toEqual([]);
  const client = new pg.Client(server.address);
  await client.connect();
  const { rows } = await client.query(
    `select table_name, column_name, data_type from information_schema.columns where table_schema = 'public'`,
  );
  await client.end();
  const types = { text: 'text', int: 'bigint', bool: 'boolean', bytes: 'bytea', json: 'json' };
  for (const name of TABLE_NAMES) {
    const found = Object.fromEntries(
      rows
        .filter((row) => row.table_name === toSnake(name) && !RETIRED[name]?.includes(row.column_name as string))
        .map((row) => [row.column_name, row.data_type]),
    );
    const wanted = Object.entries(TABLES[name].columns).map(([column, type]) => [
      toSnake(column),
      types[type as 'text'],
    ]);
    expect(found).toEqual({ realm: 'text', ...Object.fromEntries(wanted) });
  }
});

test('code that does not know what newer code did to the schema refuses to start, and changes nothing', async () => {
  const client = new pg.Client(server.address);
  await client.connect();
  const { rows } = await client.query('select migration from schema_least');
  await client.query(`update schema_least set migration = '9999_future'`);
  await expect(migrate(server.address)).rejects.toMatchObject({ code: 'ERR_STORE_SCHEMA' });
  await client.query('update schema_least set migration = $1', [rows[0].migration]);
  expect(await migrate(server.address)).toEqual([]);
  await client.end();
});

test('a database that is not there is "unavailable", never "not found"', async () => {
  const gone = new SqlStore({ ...server.address, host: '/tmp/no-such-socket' });
  await expect(gone.in('r').transaction(({ tables }) => tables.users.find({ id: 'u' }))).rejects.toMatchObject({
    code: 'ERR_STORE_UNAVAILABLE',
  });
  await gone.close();
});

test('a value that no column can hold is "invalid", never an outage, and the next transaction works', async () => {
  const realm = store.in('values');
  const works = [
    () => realm.transaction(({ tables }) => tables.groups.insert({ name: 'a\0b', createdAt: 1 })),
    () => realm.transaction(({ tables }) => tables.groups.find({ name: 'a\0b' })),
    () => realm.transaction(({ tables }) => tables.groups.list({ where: { createdAt: 1e25 } })),
    () => realm.transaction(({ tables }) => tables.groups.list({ offset: 1e25 })),
    () => realm.transaction(({ tables }) => tables.groups.list({ where: { createdAt: 0.5 } })),
  ];
  for (const work of works) await expect(work()).rejects.toMatchObject({ code: 'ERR_STORE_INVALID' });
  expect(await realm.transaction(({ tables }) => tables.groups.count())).toBe(0);
});

test('a statement that is wrong is our own fault, not an outage', async () => {
  const work = store.in('faults').transaction(({ tables }) => tables.groups.list({ where: { nothing: 1 } as object }));
  await expect(work).rejects.toMatchObject({ code: '42703' });
});

test('a connection cut in the middle is "unavailable", and the next transaction works', async () => {
  const realm = store.in('cut');
  const work = realm.transaction(async ({ tables, now }) => {
    await now();
    const killer = new pg.Client(server.address);
    await killer.connect();
    await killer.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'sallyport-security'`,
    );
    await killer.end();
    await tables.users.list();
  });
  await expect(work).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' });
  expect(await realm.transaction(({ tables }) => tables.users.count())).toBe(0);
});

test('the password role is needed, also on the socket', async () => {
  const client = new pg.Client({ ...server.address, password: 'wrong' });
  await expect(client.connect()).rejects.toMatchObject({ code: '28P01' });
});

test('transactions that wait for a connection because there are many wait for their turn', async () => {
  const small = new SqlStore(server.address, { poolSize: 1 });
  // Longer together than a connection may take to be made.
  const slow = (): Promise<number> =>
    small.in('busy').transaction(async ({ tables }) => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      return tables.users.count();
    });
  expect(await Promise.all(Array.from({ length: 6 }, slow))).toEqual([0, 0, 0, 0, 0, 0]);
  await small.close();
});

test('servers that all take longer than usual get longer, so that a busy machine finds its database again', async () => {
  const ways = [await slowWay(server.address, 1_500), await slowWay(server.address, 1_500)];
  const slow = new SqlStore({ ...server.address, hosts: ways.map(({ host }) => host) }, { poolSize: 6 });
  onTestFinished(() => slow.close());
  const read = (): Promise<number> => slow.in('slow').transaction(({ tables }) => tables.users.count());
  const all = (): Promise<number[]> => Promise.all(Array.from({ length: 6 }, read));
  await expect.poll(() => all().catch(() => []), { timeout: 90_000 }).toEqual([0, 0, 0, 0, 0, 0]);
});
