import { fileURLToPath } from 'node:url';
import { StoreError } from '@sallyport/access';
import { runner } from 'node-pg-migrate';
import { connectToPrimary, type DatabaseAddress } from './primary.ts';

/** A node that starts during a failover waits for its end, ms. */
const PATIENCE_MS = 60_000;
const DIRECTORY = fileURLToPath(new URL('../migrations', import.meta.url));

/**
 * Brings the schema up to this version, forward only, one node at a time (the runner takes an advisory lock).
 * Gives the names of the migrations that ran.
 * @throws StoreError ERR_STORE_UNAVAILABLE when the database cannot be reached or a migration fails; nothing of it stays.
 */
export async function migrate(address: DatabaseAddress): Promise<string[]> {
  const client = await connectToPrimary(address, PATIENCE_MS).catch((cause: unknown) => {
    throw new StoreError('ERR_STORE_UNAVAILABLE', 'no primary of the database can be reached', { cause });
  });
  try {
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
