import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ChildPostgres, type DatabaseAddress } from '@sallyport/store-sql';
import type { Config } from './config.ts';

/** A database to use, and how to let go of it. */
export interface OpenDatabase {
  readonly address: DatabaseAddress;
  readonly description: string;
  close(): Promise<void>;
}

/** Connects to the external PostgreSQL of the settings, or starts our own as a child. */
export async function openDatabase(config: Config): Promise<OpenDatabase> {
  const host = config.SALLYPORT_DATABASE_HOST;
  if (host !== undefined)
    return { address: externalAddress(config, host), description: `external at ${host}`, close: async () => {} };
  const child = await ChildPostgres.start({
    folder: join(config.SALLYPORT_DATA, 'database'),
    passwordFile: join(config.SALLYPORT_DATA, 'security', 'database-password'),
  });
  return { address: child.address, description: 'own child process', close: () => child.stop() };
}

function externalAddress(config: Config, host: string): DatabaseAddress {
  const password = config.SALLYPORT_DATABASE_PASSWORD?.reveal() ?? '';
  const ca = config.SALLYPORT_DATABASE_CA;
  return {
    host,
    port: config.SALLYPORT_DATABASE_PORT,
    user: config.SALLYPORT_DATABASE_USER,
    password,
    database: config.SALLYPORT_DATABASE_NAME,
    ...(ca === undefined ? {} : { ca: readFileSync(ca, 'utf8') }),
  };
}
