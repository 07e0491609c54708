import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { StoreError } from '@sallyport/access';
import { runner } from 'node-pg-migrate';
import type pg from 'pg';
import { connectToPrimary, type DatabaseAddress } from './primary.ts';

/** A node that starts during a failover waits for its end, ms. */
const PATIENCE_MS = 60_000;
const DIRECTORY = fileURLToPath(new URL('../migrations', import.meta.url));

/**
 * The newest migration that other code has to know to write beside this one. It stays when a migration only adds what older
 * code may leave alone, and rises to a migration of which older code must not be ignorant.
 */
const LEAST = '0016_account_seals';

/**
 * Brings the schema up to this version, forward only, one node at a time (the runner takes an advisory lock).
 * Gives the names of the migrations that ran.
 * @throws StoreError ERR_STORE_UNAVAILABLE when the database cannot be reached or a migration fails; nothing of it stays.
 * ERR_STORE_SCHEMA when newer code has changed the database so that this version must not write to it.
 */
export async function migrate(address: DatabaseAddress): Promise<string[]> {
  const client = await connectToPrimary(address, PATIENCE_MS).catch((cause: unknown) => {
    throw new StoreError('ERR_STORE_UNAVAILABLE', 'no primary of the database can be reached', { cause });
  });
  try {
    await refuseNewer(client);
    const done = await runner({
      dbClient: client,
      dir: DIRECTORY,
      direction: 'up',
      migrationsTable: 'schema_migrations',
      advisoryLockMode: 'wait',
      log: () => undefined,
    });
    await client.query(
      `insert into schema_least (one, migration) values (true, $1)
       on conflict (one) do update set migration = greatest(schema_least.migration, excluded.migration)`,
      [LEAST],
    );
    return done.map(({ name }) => name);
  } catch (cause) {
    if (cause instanceof StoreError) throw cause;
    throw new StoreError('ERR_STORE_UNAVAILABLE', 'the schema could not be brought up to date', { cause });
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Names sort by their numbers, so the last one is the newest that this code knows. */
function newestKnown(): string {
  const names = readdirSync(DIRECTORY).map((file) => file.replace(/\.sql$/, ''));
  return names.sort().at(-1)!;
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
