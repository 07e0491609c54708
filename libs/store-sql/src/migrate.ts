import { fileURLToPath } from 'node:url';
import { StoreError } from '@sallyport/access';
import { runner } from 'node-pg-migrate';
import pg from 'pg';
import type { DatabaseAddress } from './store.ts';

const DIRECTORY = fileURLToPath(new URL('../migrations', import.meta.url));

/**
 * Brings the schema up to this version, forward only, one node at a time (the runner takes an advisory lock).
 * Gives the names of the migrations that ran.
 * @throws StoreError ERR_STORE_UNAVAILABLE when the database cannot be reached or a migration fails; nothing of it stays.
 */
export async function migrate(address: DatabaseAddress): Promise<string[]> {
  const { ca, ...connection } = address;
  const client = new pg.Client({
    ...connection,
    ...(ca === undefined ? {} : { ssl: { ca, rejectUnauthorized: true } }),
  });
  try {
    await client.connect();
    const done = await runner({
      dbClient: client,
      dir: DIRECTORY,
      direction: 'up',
      migrationsTable: 'schema_migrations',
      advisoryLockMode: 'wait',
      log: () => undefined,
    });
    return done.map(({ name }) => name);
  } catch (cause) {
    throw new StoreError('ERR_STORE_UNAVAILABLE', 'the schema could not be brought up to date', { cause });
  } finally {
    await client.end().catch(() => undefined);
  }
}
