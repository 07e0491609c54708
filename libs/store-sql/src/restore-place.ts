import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { connectToPrimary, type DatabaseAddress } from './primary.ts';
import { quoteName } from './realm-tables.ts';

const CONNECT_WITHIN_MS = 20_000;

/** What is in a database that somebody wants to restore into. */
export interface FoundRealms {
  readonly names: readonly string[];
  /** Of the export that the rows came from, as `loadRealm` left it, also when they live since; undefined for rows of none. */
  readonly mark: string | undefined;
  /** All of them are closed: nothing is given from them. */
  readonly closed: boolean;
}

async function withClient<T>(address: DatabaseAddress, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connectToPrimary(address, CONNECT_WITHIN_MS);
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function hasTable(client: pg.Client, name: string): Promise<boolean> {
  const { rows } = await client.query<{ there: boolean }>('select to_regclass($1) is not null as "there"', [name]);
  return rows[0]!.there;
}

const REALMS = `select "realm", coalesce(to_jsonb("realms")->>'closed', 'false') = 'true' as "closed" from "realms"`;
const MARK = `select obj_description('realms'::regclass, 'pg_class') as "mark"`;

/** Looks which realms a database holds. */
export function findRealms(address: DatabaseAddress): Promise<FoundRealms> {
  return withClient(address, async (client) => {
    if (!(await hasTable(client, 'realms'))) return { names: [], mark: undefined, closed: true };
    const { rows } = await client.query<{ realm: string; closed: boolean }>(REALMS);
    const [marked] = (await client.query<{ mark: string | null }>(MARK)).rows;
    const mark = /^loaded ([0-9a-f]{64})$/.exec(marked?.mark ?? '')?.[1];
    return { names: rows.map(({ realm }) => realm), mark, closed: rows.every(({ closed }) => closed) };
  });
}

/** How many others are connected: a server that lives always is. */
export function countOtherClients(address: DatabaseAddress): Promise<number> {
  return withClient(address, async (client) => {
    const { rows } = await client.query<{ count: string }>(
      `select count(*) as "count" from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()
        and datname = current_database()`,
    );
    return Number(rows[0]!.count);
  });
}

/** Nodes whose beats go on within so long, ms: for them the database is not to be taken away. */
export function findLivingNodes(address: DatabaseAddress, withinMs: number): Promise<readonly string[]> {
  return withClient(address, async (client) => {
    if (!(await hasTable(client, 'nodes'))) return [];
    const read = async (): Promise<Map<string, string>> => {
      const { rows } = await client.query<{ id: string; beat: string }>('select "id", "beat" from "nodes"');
      return new Map(rows.map(({ id, beat }) => [id, beat]));
    };
    const before = await read();
    if (before.size === 0) return [];
    await sleep(withinMs);
    return [...(await read())].filter(([id, beat]) => before.get(id) !== beat).map(([id]) => id);
  });
}

/**
 * Puts everything of a database aside, under another name of its schema, and makes an empty one in its place: nothing is lost. One
 * restore at a time: a second one finds the empty schema.
 */
export function putSchemaAside(address: DatabaseAddress, name: string): Promise<void> {
  return withClient(address, async (client) => {
    const { rows } = await client.query<{ schema: string }>('select current_schema() as "schema"');
    const schema = quoteName(rows[0]!.schema);
    await client.query('begin');
    await client.query(`alter schema ${schema} rename to ${quoteName(name)}`);
    await client.query(`create schema ${schema}`);
    await client.query('commit');
  });
}

/** True when a database has such a schema, as `putSchemaAside` leaves it. */
export function hasSchema(address: DatabaseAddress, name: string): Promise<boolean> {
  return withClient(address, async (client) => {
    const { rows } = await client.query('select 1 from pg_namespace where nspname = $1', [name]);
    return rows.length > 0;
  });
}

/** Runs work while no other restore works on this database. @throws Error when another one does */
export function asOnlyRestore<T>(address: DatabaseAddress, work: () => Promise<T>): Promise<T> {
  return withClient(address, async (client) => {
    const { rows } = await client.query<{ held: boolean }>(
      `select pg_try_advisory_lock(hashtextextended('sallyport restore', 0)) as "held"`,
    );
    if (!rows[0]!.held) throw new Error('another restore works on this database');
    return work();
  });
}
