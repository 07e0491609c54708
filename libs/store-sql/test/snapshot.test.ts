import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { inspect } from 'node:util';
import { type AnyRow, TABLE_NAMES, TABLES } from '@sallyport/access/store';
import { randomFrom } from '@sallyport/support';
import pg from 'pg';
import { afterAll, expect, test } from 'vitest';
import {
  type DatabaseAddress,
  type LoadablePart,
  loadRealm,
  migrate,
  readSnapshot,
  realmScript,
  tableNamed,
  watchRows,
} from '../src/index.ts';
import { toSnake } from '../src/names.ts';
import { LEFT_OUT } from '../src/realm-tables.ts';
import { startDatabase } from './real-postgres.ts';

const SEED = Number(process.env['SEED'] ?? randomInt(2 ** 31));
const MARK = 'a'.repeat(64);
const { server, store } = await startDatabase();
const admin = new pg.Client(server.address);
await admin.connect();
afterAll(() => admin.end());

let databases = 0;

/** A database of its own on the same server, empty. */
async function emptyDatabase(): Promise<DatabaseAddress> {
  const database = `other${++databases}`;
  await admin.query(`create database ${database}`);
  return { ...server.address, database };
}

/** Whole numbers from 0 on, the same for one seed. */
function randomOf(seed: number): (below: number) => number {
  const random = randomFrom(seed);
  return (below) => Math.floor(random() * below);
}

const TEXTS = ['', '\\.', '\t', '\n\\.\n', '\\N', '"', "'", '\r\n', 'ünï', '🛡', 'a\\b\\\\', '\u2028', '{}', '\\x00'];

interface Column {
  readonly table_name: string;
  readonly column_name: string;
  readonly data_type: string;
  readonly is_nullable: 'YES' | 'NO';
}

/** Rows of any values that the columns hold, in every table there is. */
async function fillRealm(client: pg.Client, realm: string, random: (below: number) => number): Promise<void> {
  const { rows } = await client.query<Column>(
    `select table_name, column_name, data_type, is_nullable from information_schema.columns
     where table_schema = 'public' order by table_name, ordinal_position`,
  );
  for (const table of new Set(rows.map(({ table_name }) => table_name))) {
    if (table in LEFT_OUT) continue;
    const columns = rows.filter(({ table_name }) => table_name === table);
    const count = table === 'realms' ? 1 : random(12);
    for (let i = 0; i < count; i++) {
      const values = columns.map((column) => valueFor(column, { realm, random, i }));
      const names = columns.map(({ column_name }) => `"${column_name}"`).join();
      await client.query(`insert into "${table}" (${names}) values (${columns.map((_, at) => `$${at + 1}`)})`, values);
    }
  }
}

function valueFor(
  { table_name: table, column_name: column, data_type: type, is_nullable: nullable }: Column,
  { realm, random, i }: { realm: string; random: (below: number) => number; i: number },
): unknown {
  if (column === 'realm') return realm;
  if (table === 'realms' && column === 'id') return 'realm';
  if (table === 'realms' && column === 'closed') return false;
  if (column === 'hash' && type === 'text') return `${i}`.repeat(8);
  if (nullable === 'YES' && random(3) === 0) return null;
  const text = `${TEXTS[random(TEXTS.length)]}${i}-${random(2 ** 30)}`;
  const values: Readonly<Record<string, () => unknown>> = {
    text: () => text,
    bigint: () => i * 1_000_000 + random(1_000_000),
    boolean: () => random(2) === 1,
    bytea: () => Buffer.from(text),
    json: () => JSON.stringify({ text, list: [random(9), null, { deep: '\\.' }] }),
  };
  return values[type]!();
}

/** Every row of a realm as text, by table. */
async function textOf(address: DatabaseAddress, realm: string): Promise<Record<string, string[]>> {
  const client = new pg.Client(address);
  await client.connect();
  const text: Record<string, string[]> = {};
  for (const name of TABLE_NAMES.map(toSnake)) {
    const { rows } = await client.query<{ row: string }>(
      `select t::text as row from "${name}" t where "realm" = $1 order by 1`,
      [realm],
    );
    text[name] = rows.map(({ row }) => row);
  }
  await client.end();
  return text;
}

interface Taken extends LoadablePart {
  readonly text: string;
}

interface Copy {
  readonly order: { realm: string; migration: string; mark: string };
  readonly parts: readonly Taken[];
}

async function* once(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text);
}

/** A realm in memory, for small ones. */
function take(address: DatabaseAddress, realm: string, between?: () => Promise<unknown>): Promise<Copy> {
  return readSnapshot(address, { realm, replicated: true }, async ({ migration, parts }) => {
    const read: Taken[] = [];
    for (const { name, columns, rows } of parts) {
      const chunks: Uint8Array[] = [];
      for await (const bytes of rows()) chunks.push(Buffer.from(bytes));
      const text = Buffer.concat(chunks).toString();
      read.push({ name, columns, text, rows: once(text) });
      await between?.();
    }
    return { order: { realm, migration, mark: MARK }, parts: read };
  });
}

async function* fresh(parts: readonly Taken[]): AsyncIterable<LoadablePart> {
  for (const part of parts) yield { ...part, rows: once(part.text) };
}

test('every table of the schema is in a snapshot, or named as left out with the reason', async () => {
  await admin.query(`create table if not exists "journal_entries" ("realm" text primary key)`);
  const { rows } = await admin.query<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = 'public'`,
  );
  await fillRealm(admin, 'tables', randomOf(1));
  const { parts } = await take(server.address, 'tables');
  const names = parts.map(({ name }) => name);
  expect([...names, ...Object.keys(LEFT_OUT)].sort()).toEqual(
    expect.arrayContaining(rows.map(({ name }) => name).sort()),
  );
  expect(names.filter((name) => name in LEFT_OUT)).toEqual([]);
  for (const table of TABLE_NAMES) {
    const columns = parts.find(({ name }) => name === toSnake(table))!.columns;
    expect(columns).toEqual(expect.arrayContaining(['realm', ...Object.keys(TABLES[table].columns).map(toSnake)]));
  }
  await admin.query(`drop table "journal_entries"`);
});

test(`a realm of any values is loaded row by row as it was, and nothing of another realm (seed ${SEED})`, async () => {
  const random = randomOf(SEED);
  for (let round = 0; round < 3; round++) {
    const [realm, other] = [`realm ${round} ünï'"\\`, `beside ${round}`];
    await fillRealm(admin, realm, random);
    await fillRealm(admin, other, random);
    const { order, parts } = await take(server.address, realm);
    const target = await emptyDatabase();
    const { rows, migrated } = await loadRealm(target, order, fresh(parts));
    expect(migrated).toEqual([]);
    const wanted = await textOf(server.address, realm);
    const found = await textOf(target, realm);
    expect({ ...found, realms: [] }, `seed ${SEED}`).toEqual({ ...wanted, realms: [] });
    expect(Object.fromEntries(rows)).toEqual(
      Object.fromEntries(Object.entries(wanted).map(([name, all]) => [name, all.length])),
    );
    // The realm itself is as it was, but closed.
    expect(found['realms']).not.toEqual(wanted['realms']);
    const client = new pg.Client(target);
    await client.connect();
    expect((await client.query(`select "realm", "closed" from "realms"`)).rows).toEqual([{ realm, closed: true }]);
    await client.query('update "realms" set "closed" = false');
    await client.end();
    expect((await textOf(target, realm))['realms']).toEqual(wanted['realms']);
  }
});

test('rows are read from the text of COPY as the store reads them', async () => {
  await fillRealm(admin, 'read', randomOf(SEED));
  const { parts } = await take(server.address, 'read');
  for (const { name, columns, text } of parts) {
    const table = tableNamed(name)!;
    const read: AnyRow[] = [];
    async function* cut(): AsyncIterable<Uint8Array> {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; at += 7) yield bytes.subarray(at, at + 7);
    }
    const passed: Uint8Array[] = [];
    for await (const bytes of watchRows({ table, columns, rows: cut() }, (row) => read.push(row)))
      passed.push(Buffer.from(bytes));
    expect(Buffer.concat(passed).toString()).toBe(text);
    const stored = await store
      .in('read')
      .transaction(({ tables }) =>
        (tables as object as Readonly<Record<string, { list(): Promise<readonly AnyRow[]> }>>)[table]!.list(),
      );
    const texts = (rows: readonly AnyRow[]): string[] =>
      rows.map((row) => inspect(row, { sorted: true, depth: 9 })).sort();
    expect(texts(read), `${name}, seed ${SEED}`).toEqual(texts(stored));
  }
});

test('rows of an older schema are loaded into that one, and then migrated', async () => {
  const [old, target] = [await emptyDatabase(), await emptyDatabase()];
  await migrate(old, '0013_bindings');
  const client = new pg.Client(old);
  await client.connect();
  await fillRealm(client, 'old', randomOf(SEED));
  await client.end();
  const { order, parts } = await take(old, 'old');
  expect(order.migration).toBe('0013_bindings');
  const { migrated } = await loadRealm(target, order, fresh(parts));
  expect(migrated[0]).toBe('0014_retention');
  await migrate(old);
  expect({ ...(await textOf(target, 'old')), realms: [] }).toEqual({ ...(await textOf(old, 'old')), realms: [] });
});

test('a snapshot is of one moment, whatever is written meanwhile', async () => {
  await fillRealm(admin, 'moment', randomOf(2));
  const before = await textOf(server.address, 'moment');
  let written = 0;
  const { parts } = await take(server.address, 'moment', () =>
    admin.query(`insert into "groups" ("realm", "name", "created_at") values ('moment', $1, 1)`, [`g${written++}`]),
  );
  const groups = parts.find(({ name }) => name === 'groups')!.text;
  expect(groups.split('\n').length - 1).toBe(before['groups']!.length);
  expect(written).toBeGreaterThan(20);
});

test('who logs in waits for no snapshot, and a migration waits for its end', async () => {
  await fillRealm(admin, 'busy', randomOf(3));
  let migrated = false;
  let migrating: Promise<unknown> | undefined;
  await readSnapshot(server.address, { realm: 'busy', replicated: false }, async ({ parts }) => {
    const rows = parts
      .find(({ name }) => name === 'realms')!
      .rows()
      [Symbol.asyncIterator]();
    expect((await rows.next()).done).toBe(false);
    migrating = migrate(server.address).then(() => {
      migrated = true;
    });
    for (let i = 0; i < 20; i++)
      await admin.query(`update "installations" set "last_seen_at" = $1 where "realm" = 'busy'`, [i]);
    expect(migrated).toBe(false);
    expect((await rows.next()).done).toBe(true);
  });
  await migrating;
  expect(migrated).toBe(true);
});

test('a load that ends in the middle leaves no realm, and the next one finishes', async () => {
  await fillRealm(admin, 'half', randomOf(4));
  const { order, parts } = await take(server.address, 'half');
  const target = await emptyDatabase();
  const fault = new Error('the target is gone');
  for (const at of [0, 1, parts.length - 1]) {
    async function* broken(): AsyncIterable<LoadablePart> {
      for (const [i, part] of parts.entries()) {
        async function* rows(): AsyncIterable<Uint8Array> {
          yield Buffer.from(part.text);
          if (i === at) throw fault;
        }
        yield { ...part, rows: rows() };
      }
    }
    await expect(loadRealm(target, order, broken())).rejects.toBe(fault);
    expect((await textOf(target, 'half'))['realms']).toEqual([]);
  }
  await loadRealm(target, order, fresh(parts));
  // Killed after its transaction: the same export is there, another one is refused.
  expect((await loadRealm(target, order, fresh([]))).rows.size).toBe(0);
  const other = { ...order, mark: 'b'.repeat(64) };
  await expect(loadRealm(target, other, fresh(parts))).rejects.toMatchObject({ code: 'ERR_STORE_CONFLICT' });
});

test('rows that do not fit are refused whole', async () => {
  await fillRealm(admin, 'bad', randomOf(5));
  const { order, parts } = await take(server.address, 'bad');
  const target = await emptyDatabase();
  const refused = async (changed: readonly Taken[], over: Partial<typeof order> = {}): Promise<void> => {
    const loading = loadRealm(target, { ...order, ...over }, fresh(changed));
    await expect(loading).rejects.toMatchObject({ code: 'ERR_STORE_INVALID' });
    expect((await textOf(target, 'bad'))['realms']).toEqual([]);
  };
  const change = (name: string, to: Partial<Taken>): Taken[] =>
    parts.map((part) => (part.name === name ? { ...part, ...to } : part));
  const realms = parts.find(({ name }) => name === 'realms')!;
  await refused(parts.slice(1));
  await refused([...parts, parts[0]!]);
  await refused(change('users', { name: 'pg_authid' }));
  await refused(change('realms', { text: '' }));
  await refused(change('realms', { text: realms.text.slice(0, 9) }));
  await refused(change('realms', { columns: [...realms.columns.slice(0, -1), 'surprise'] }));
  await refused(change('groups', { columns: ['realm', 'name', 'created_at'], text: 'other\tg\t1\n' }));
  await refused(parts, { realm: 'another' });
  await expect(loadRealm(target, { ...order, migration: '9999_future' }, fresh(parts))).rejects.toMatchObject({
    code: 'ERR_STORE_SCHEMA',
  });
  const older = { ...order, migration: '0013_bindings' };
  await expect(loadRealm(target, older, fresh(parts))).rejects.toMatchObject({ code: 'ERR_STORE_SCHEMA' });
});

test('a realm that is not there is said to be missing', async () => {
  const snapshot = readSnapshot(server.address, { realm: 'nobody', replicated: false }, async () => undefined);
  await expect(snapshot).rejects.toMatchObject({ code: 'ERR_ACCESS_NOT_FOUND' });
});

test('a closed copy is replaced by a newer one, as a whole; one that was opened, or a load that fails, leaves it as it was', async () => {
  const random = randomOf(SEED + 1);
  await fillRealm(admin, 'copied', random);
  const target = await emptyDatabase();
  const first = await take(server.address, 'copied');
  await loadRealm(target, first.order, fresh(first.parts));
  await admin.query(`delete from "users" where "realm" = 'copied'`);
  await admin.query(`insert into "groups" ("realm", "name", "created_at") values ('copied', 'new', 1)`);
  const second = await take(server.address, 'copied');
  const order = { ...second.order, mark: 'b'.repeat(64) };
  await expect(loadRealm(target, order, fresh(second.parts))).rejects.toMatchObject({ code: 'ERR_STORE_CONFLICT' });
  const broken = second.parts.map((part) => (part.name === 'users' ? { ...part, text: 'no row' } : part));
  const before = await textOf(target, 'copied');
  await expect(loadRealm(target, { ...order, replacesCopy: true }, fresh(broken))).rejects.toThrow();
  expect(await textOf(target, 'copied')).toEqual(before);
  await loadRealm(target, { ...order, replacesCopy: true }, fresh(second.parts));
  const wanted = await textOf(server.address, 'copied');
  expect({ ...(await textOf(target, 'copied')), realms: [] }).toEqual({ ...wanted, realms: [] });
  const client = new pg.Client(target);
  await client.connect();
  expect((await client.query('select "closed" from "realms"')).rows).toEqual([{ closed: true }]);
  const copyAgain = () => loadRealm(target, { ...order, mark: MARK, replacesCopy: true }, fresh(second.parts));
  await client.query('update "realms" set "closed" = false');
  await expect(copyAgain()).rejects.toMatchObject({ code: 'ERR_STORE_CONFLICT' });
  // It took over, and was closed again, to go back: what it has lived through is in it alone.
  await client.query(`update "realms" set "closed" = true, "epoch" = '${'9'.repeat(32)}'`);
  await client.end();
  await expect(copyAgain()).rejects.toMatchObject({ code: 'ERR_STORE_CONFLICT' });
});

test.skipIf(spawnSync('psql', ['--version']).status !== 0)(
  `a realm of any values comes back from its SQL script, closed; an open one is not replaced by it (seed ${SEED})`,
  async () => {
    await fillRealm(admin, 'script', randomOf(SEED + 2));
    const script = await readSnapshot(server.address, { realm: 'script', replicated: true }, async (snapshot) => {
      const chunks: Uint8Array[] = [];
      for await (const bytes of realmScript(snapshot)) chunks.push(Buffer.from(bytes));
      return Buffer.concat(chunks);
    });
    const target = await emptyDatabase();
    const run = () => {
      const { host, port, user, password, database } = target;
      const env = { ...process.env, PGHOST: host, PGPORT: `${port}`, PGUSER: user, PGPASSWORD: password };
      return spawnSync('psql', ['-Xq', '-d', database, '-f', '-'], { env, input: script, encoding: 'utf8' });
    };
    // Again on what it left: a copy is made anew.
    for (let i = 0; i < 2; i++)
      expect(run()).toMatchObject({ status: 0, stderr: expect.not.stringContaining('ERROR') });
    const wanted = await textOf(server.address, 'script');
    expect({ ...(await textOf(target, 'script')), realms: [] }, `seed ${SEED}`).toEqual({ ...wanted, realms: [] });
    expect(await migrate(target)).toEqual([]);
    const client = new pg.Client(target);
    await client.connect();
    expect((await client.query('select "closed" from "realms"')).rows).toEqual([{ closed: true }]);
    await client.query('update "realms" set "closed" = false');
    const refused = run();
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toContain('its realm is open');
    expect((await client.query('select "closed" from "realms"')).rows).toEqual([{ closed: false }]);
    // Closed, and no earlier state of what comes: it has taken over, or gone on by itself.
    const now = (await client.query('select "epoch", "head" from "realms"')).rows;
    for (const lived of [`"epoch" = '${'9'.repeat(32)}'`, '"head" = "head" + 1']) {
      await client.query(`update "realms" set "closed" = true, ${lived}`);
      const kept = (await client.query('select * from "realms"')).rows;
      expect(run()).toMatchObject({ status: 3, stderr: expect.stringContaining('has lived on by itself') });
      expect((await client.query('select * from "realms"')).rows).toEqual(kept);
      await client.query('update "realms" set "epoch" = $1, "head" = $2', [now[0].epoch, now[0].head]);
    }
    expect(run().status).toBe(0);
    await client.end();
  },
);

test('what stands in the row of a realm adds no line to its SQL script', async () => {
  const linesWith = async (epoch: string): Promise<number> => {
    let text = '';
    const snapshot = {
      epoch,
      takenAt: 0,
      migration: '0001_start',
      parts: [],
      head: 0,
      headHash: '',
      audit: { seq: 0, hash: '' },
    };
    for await (const bytes of realmScript(snapshot as never)) text += Buffer.from(bytes).toString();
    return text.split(/[\r\n]/).length;
  };
  const honest = await linesWith('0'.repeat(32));
  for (const between of ['\n', '\r', '\r\n']) expect(await linesWith(`0${between}\\! false`)).toBe(honest);
});
