import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StoreError } from '@sallyport/access';
import { runner } from 'node-pg-migrate';
import type pg from 'pg';
import { isOutage } from './outage.ts';
import { connectToPrimary, type DatabaseAddress } from './primary.ts';

/** Whoever comes during a failover waits for its end, ms. */
const PATIENCE_MS = 60_000;
const DIRECTORY = fileURLToPath(new URL('../migrations', import.meta.url));

/**
 * The newest migration that other code has to know to write beside this one. It stays when a migration only adds what older
 * code may leave alone, and rises to a migration of which older code must not be ignorant.
 */
const LEAST = '0016_account_seals';
const NOTE_LEAST = `insert into schema_least (one, migration) values (true, $1)
  on conflict (one) do update set migration = greatest(schema_least.migration, excluded.migration)`;

/**
 * Brings the schema up to this version, forward only, one node at a time (the runner takes an advisory lock), or up to an older
 * migration, for what was taken from a database of that one.
 * Gives the names of the migrations that ran.
 * @throws StoreError ERR_STORE_UNAVAILABLE when the database does not answer within `patienceMs`, or no more; nothing of a migration
 * that did not end stays. ERR_STORE_SCHEMA when newer code has changed the database so that this version must not write to it, or
 * `upTo` is not known here. Error when the database refuses us, or a migration fails.
 */
export async function migrate(
  address: DatabaseAddress,
  upTo: string = newestKnown(),
  patienceMs: number = PATIENCE_MS,
): Promise<string[]> {
  const wanted = knownMigrations().filter((name) => name <= upTo);
  if (wanted.at(-1) !== upTo)
    throw new StoreError('ERR_STORE_SCHEMA', `this version knows no migration ${upTo}: take a newer version`);
  const client = await connectToPrimary(address, patienceMs).catch((cause: unknown) => {
    if (!isOutage(cause)) throw new Error('the database refuses the connection', { cause });
    throw new StoreError('ERR_STORE_UNAVAILABLE', 'no primary of the database can be reached', { cause });
  });
  try {
    await refuseNewer(client);
    const done = await runner({
      dbClient: client,
      dir: DIRECTORY,
      direction: 'up',
      count: Math.max(0, wanted.length - (await countDone(client))),
      migrationsTable: 'schema_migrations',
      advisoryLockMode: 'wait',
      log: () => undefined,
    });
    if (upTo === newestKnown()) await client.query(NOTE_LEAST, [LEAST]);
    return done.map(({ name }) => name);
  } catch (cause) {
    if (cause instanceof StoreError) throw cause;
    const words = 'the schema could not be brought up to date';
    throw isOutage(cause) ? new StoreError('ERR_STORE_UNAVAILABLE', words, { cause }) : new Error(words, { cause });
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** True for a migration of this version or one before. */
export function knowsMigration(name: string): boolean {
  return knownMigrations().includes(name);
}

/** Names of the migrations that this version knows, in the order in which they run. */
function knownMigrations(): string[] {
  return readdirSync(DIRECTORY)
    .map((file) => file.replace(/\.sql$/, ''))
    .sort();
}

/** Names sort by their numbers, so the last one is the newest that this code knows. */
function newestKnown(): string {
  return knownMigrations().at(-1)!;
}

/** How many migrations a database has seen. */
async function countDone(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ there: boolean }>(
    `select to_regclass('schema_migrations') is not null as there`,
  );
  if (!rows[0]!.there) return 0;
  const done = await client.query<{ count: string }>('select count(*) from schema_migrations');
  return Number(done.rows[0]!.count);
}

/** The schema of a migration as SQL, with what says that it has run: for an empty database. @throws StoreError ERR_STORE_SCHEMA */
export function schemaScript(upTo: string): string {
  const wanted = knownMigrations().filter((name) => name <= upTo);
  if (wanted.at(-1) !== upTo)
    throw new StoreError('ERR_STORE_SCHEMA', `this version knows no migration ${upTo}: take a newer version`);
  const texts = wanted.map((name) => {
    const [, up = ''] = /-- Up Migration\n([\s\S]*?)(?:-- Down Migration|$)/.exec(
      readFileSync(join(DIRECTORY, `${name}.sql`), 'utf8'),
    )!;
    return `${up.trim()}\ninsert into schema_migrations (name, run_on) values ('${name}', now());\n`;
  });
  const table =
    'create table schema_migrations (id serial primary key, name varchar(255) not null, run_on timestamp not null);\n';
  const least = `insert into schema_least (one, migration) values (true, '${LEAST}') on conflict do nothing;\n`;
  return [table, ...texts, least].join('\n');
}

async function refuseNewer(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ there: boolean }>(`select to_regclass('schema_least') is not null as there`);
  if (!rows[0]!.there) return;
  const least = await client.query<{ migration: string }>('select migration from schema_least');
  const needed = least.rows[0]?.migration ?? '';
  if (needed <= newestKnown()) return;
  throw new StoreError(
    'ERR_STORE_SCHEMA',
    `the database was changed by a newer version (${needed}): start that version, or restore a backup of before`,
  );
}
