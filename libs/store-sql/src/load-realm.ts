import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { StoreError } from '@sallyport/access';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { migrate } from './migrate.ts';
import { connectToPrimary, type DatabaseAddress } from './primary.ts';
import { quoteName, realmTables, type TableOfRealm } from './realm-tables.ts';

const CONNECT_WITHIN_MS = 20_000;
/** Rows as text are put in at whatever speed; the limits of the server's settings are for others. */
const SESSION = `set statement_timeout = 0; set idle_in_transaction_session_timeout = 0; set lock_timeout = '20s';
  set maintenance_work_mem = '256MB'; set work_mem = '64MB'`;

/** `untouched`: no epoch has begun on the rows since they were loaded. */
const REALMS = `select "realm", to_jsonb("realms")->>'closed' = 'true' as "closed",
    coalesce('loaded ' || (to_jsonb("realms")->>'epoch') = (select col_description(attrelid, attnum) from pg_attribute
      where attrelid = '"realms"'::regclass and attname = 'epoch'), false) as "untouched"
  from "realms"`;

/** One table to load, as `readSnapshot` gave it. */
export interface LoadablePart {
  readonly name: string;
  /** The realm is among them. */
  readonly columns: readonly string[];
  /**
   * Its rows as the text of COPY. What this throws ends the load with nothing done: whoever gives them checks them there, the
   * last ones too.
   */
  readonly rows: AsyncIterable<Uint8Array>;
}

/** What is loaded. */
export interface LoadOrder {
  readonly realm: string;
  /** The newest migration of the schema that the rows are of. */
  readonly migration: string;
  /** Which export this is, 64 hex digits: a load that was killed is gone on with by the same one only. */
  readonly mark: string;
  /** A closed copy that an earlier load left there is replaced, in the same transaction; what was ever opened is not. */
  readonly replacesCopy?: boolean;
}

/** What was loaded. */
export interface LoadedRealm {
  /** Rows by table; empty when this very export was loaded before, as after a kill. */
  readonly rows: ReadonlyMap<string, number>;
  /** Migrations that ran on the rows afterwards. */
  readonly migrated: readonly string[];
}

/**
 * Loads a realm into a database that is empty, or that a killed load of the same export left behind: makes the schema up to the
 * migration of the rows, puts all rows in, in one transaction, and runs newer migrations on them. Afterwards the realm is
 * **closed**: no server gives anything from it until a new epoch has begun (`beginNewEpoch`). Killed at any time the next try
 * finishes; before the transaction ends there is no realm, and after it the realm is whole and closed.
 * What `parts` throws is thrown as it is.
 * @throws StoreError ERR_STORE_SCHEMA when the rows are of a newer schema than this version knows, or the database is beyond them;
 * ERR_STORE_CONFLICT when there is a realm already; ERR_STORE_INVALID when tables are missing or rows do not fit
 */
export async function loadRealm(
  address: DatabaseAddress,
  order: LoadOrder,
  parts: AsyncIterable<LoadablePart>,
): Promise<LoadedRealm> {
  const client = await connectToPrimary(address, CONNECT_WITHIN_MS).catch(unavailable);
  try {
    await client.query(SESSION).catch(unavailable);
    const found = await lookInto(client, order);
    if (found !== 'loaded') await migrate(address, order.migration);
    const rows = found === 'loaded' ? new Map<string, number>() : await inTransaction(client, order, parts);
    const migrated = await migrate(address);
    await client.query('analyze').catch(unavailable);
    return { rows, migrated };
  } finally {
    await client.end().catch(() => undefined);
  }
}

interface FoundRealm {
  readonly realm: string;
  readonly closed: boolean;
  readonly untouched: boolean;
}

type Found = 'empty' | 'loaded' | 'copy';

/** What a database is that something is to be loaded into. @throws StoreError when it is no place for that */
async function lookInto(client: pg.Client, { migration, mark, replacesCopy }: LoadOrder): Promise<Found> {
  if (!(await hasTable(client, 'realms'))) return 'empty';
  const realms = await client.query<FoundRealm>(REALMS).catch(unavailable);
  const newest = await client.query<{ name: string }>('select max("name") as "name" from "schema_migrations"');
  if (realms.rows.length > 0) {
    const [found, closed] = [await markOf(client), realms.rows.every((one) => one.closed)];
    if (found === mark && closed) return 'loaded';
    const isCopy = found !== undefined && closed && realms.rows.every((one) => one.untouched);
    if (replacesCopy && isCopy && newest.rows[0]!.name <= migration) return 'copy';
    const names = realms.rows.map(({ realm }) => JSON.stringify(realm)).join(', ');
    throw new StoreError('ERR_STORE_CONFLICT', `the database has realm ${names} already: load into an empty one`);
  }
  if (newest.rows[0]!.name <= migration) return 'empty';
  throw new StoreError(
    'ERR_STORE_SCHEMA',
    `the schema of this database (${newest.rows[0]!.name}) is newer than the rows (${migration}): load into an empty one`,
  );
}

async function hasTable(client: pg.Client, name: string): Promise<boolean> {
  const { rows } = await client
    .query<{ there: boolean }>('select to_regclass($1) is not null as "there"', [name])
    .catch(unavailable);
  return rows[0]!.there;
}

/** Which export the rows came from. It goes with the database, and with nothing that is taken from it by tables. */
async function markOf(client: pg.Client): Promise<string | undefined> {
  const { rows } = await client
    .query<{ mark: string | null }>(`select obj_description('realms'::regclass, 'pg_class') as "mark"`)
    .catch(unavailable);
  return rows[0]?.mark?.replace(/^loaded /, '');
}

async function inTransaction(
  client: pg.Client,
  order: LoadOrder,
  parts: AsyncIterable<LoadablePart>,
): Promise<Map<string, number>> {
  await client.query('begin').catch(unavailable);
  try {
    if (order.replacesCopy) await empty(client);
    const rows = await fill(client, order, parts);
    await client.query('update "realms" set "closed" = true where "realm" = $1', [order.realm]);
    await client.query(`comment on table "realms" is ${client.escapeLiteral(`loaded ${order.mark}`)}`);
    await noteEpoch(client, order.realm);
    await client.query('commit').catch(unavailable);
    return rows;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

/** Rows that are closed and of another epoch than they were loaded with have lived: they are nobody's copy. */
async function noteEpoch(client: pg.Client, realm: string): Promise<void> {
  const { rows } = await client.query<{ epoch: string }>('select "epoch" from "realms" where "realm" = $1', [realm]);
  await client.query(`comment on column "realms"."epoch" is ${client.escapeLiteral(`loaded ${rows[0]!.epoch}`)}`);
}

/** Nobody reads what is closed; should the load fail, it is there as before. */
async function empty(client: pg.Client): Promise<void> {
  const tables = (await realmTables(client)).map(({ name }) => quoteName(name));
  await client.query(`truncate ${tables.join(', ')}`).catch(unavailable);
}

async function fill(
  client: pg.Client,
  { realm }: LoadOrder,
  parts: AsyncIterable<LoadablePart>,
): Promise<Map<string, number>> {
  const missing = new Map((await realmTables(client)).map((table) => [table.name, table]));
  const loaded = new Map<string, number>();
  for await (const part of parts) {
    const table = missing.get(part.name);
    if (!table) throw invalid(`there is no table ${JSON.stringify(part.name)}, or it comes twice`);
    missing.delete(part.name);
    loaded.set(part.name, await fillTable(client, table, part));
    await assertRealm(client, part.name, realm);
  }
  if (missing.size > 0) throw invalid(`the rows of ${[...missing.keys()].join(', ')} are missing`);
  if (loaded.get('realms') !== 1) throw invalid(`the row of realm ${JSON.stringify(realm)} is missing`);
  return loaded;
}

async function fillTable(client: pg.Client, table: TableOfRealm, part: LoadablePart): Promise<number> {
  const unknown = part.columns.filter((column) => !table.columns.includes(column));
  if (unknown.length > 0) throw invalid(`table ${table.name} has no column ${JSON.stringify(unknown[0])}`);
  const list = part.columns.map(quoteName).join(', ');
  const copy = client.query(copyFrom(`copy ${quoteName(table.name)} (${list}) from stdin`));
  const source = sourceOf(part.rows);
  try {
    await pipeline(source.stream, copy);
    return copy.rowCount;
  } catch (error) {
    // An error of the rows comes back as the database's word for it.
    throw source.fault ?? invalid(`the rows of ${table.name} do not fit`, error);
  }
}

/** A stream of rows that remembers what they threw; the database hears no word of it. */
function sourceOf(rows: AsyncIterable<Uint8Array>): { readonly stream: Readable; readonly fault: unknown } {
  const source: { stream: Readable; fault: unknown } = { stream: Readable.from([]), fault: undefined };
  async function* checked(): AsyncIterable<Uint8Array> {
    try {
      yield* rows;
    } catch (error) {
      source.fault = error;
      throw new Error('the rows end early');
    }
  }
  source.stream = Readable.from(checked(), { objectMode: false });
  return source;
}

/** Keys begin with the realm, so two looks at an index find any other. */
async function assertRealm(client: pg.Client, table: string, realm: string): Promise<void> {
  const { rows } = await client
    .query(
      `(select 1 from ${quoteName(table)} where "realm" < $1 limit 1) union all
       (select 1 from ${quoteName(table)} where "realm" > $1 limit 1)`,
      [realm],
    )
    .catch(unavailable);
  if (rows.length > 0) throw invalid(`table ${table} has rows of another realm`);
}

function invalid(message: string, cause?: unknown): StoreError {
  return new StoreError('ERR_STORE_INVALID', message, { cause });
}

function unavailable(cause: unknown): never {
  throw new StoreError('ERR_STORE_UNAVAILABLE', 'the database does not answer', { cause });
}
