import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isLoopback, type ListenAddress } from '@sallyport/settings';
import { ChildPostgres, type DatabaseAddress } from '@sallyport/store-sql';
import type { Config } from './config.ts';

/** A database to use, and how to let go of it. */
export interface OpenDatabase {
  readonly address: DatabaseAddress;
  /** True for a database of its own, perhaps with standbys. */
  readonly external: boolean;
  readonly description: string;
  close(): Promise<void>;
}

/** Connects to the external PostgreSQL of the settings, or starts our own as a child. */
export async function openDatabase(config: Config): Promise<OpenDatabase> {
  const hosts = config.SALLYPORT_DATABASE_HOSTS;
  if (hosts.length > 0) {
    const description = `external at ${hosts.map(({ host, port }) => `${host}:${port}`).join(', ')}`;
    return { address: externalAddress(config, hosts), external: true, description, close: async () => {} };
  }
  const child = await ChildPostgres.start({
    folder: join(config.SALLYPORT_DATA, 'database'),
    passwordFile: join(config.SALLYPORT_DATA, 'security', 'database-password'),
  });
  return { address: child.address, external: false, description: 'own child process', close: () => child.stop() };
}

/** @throws Error when the way to the database would be readable on a network. */
function externalAddress(config: Config, hosts: readonly ListenAddress[]): DatabaseAddress {
  const ca = config.SALLYPORT_DATABASE_CA;
  if (ca === undefined && !hosts.every(({ host }) => staysHere(host)))
    throw new Error('a database on another machine needs TLS: set SALLYPORT_DATABASE_CA to the file with its CA');
  return {
    ...hosts[0]!,
    hosts,
    user: config.SALLYPORT_DATABASE_USER,
    password: config.SALLYPORT_DATABASE_PASSWORD?.reveal() ?? '',
    database: config.SALLYPORT_DATABASE_NAME,
    ...(ca === undefined ? {} : { ca: readFileSync(ca, 'utf8') }),
  };
}

/** A folder with a Unix socket, or a loopback address. */
function staysHere(host: string): boolean {
  return host.startsWith('/') || isLoopback(host);
}
