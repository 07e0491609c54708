import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createKeyring, type Keyring, type RealmStore, sealedStore } from '@sallyport/access';
import { parseBase64Url } from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import { AppProcess } from '@sallyport/local-cluster';
import { ChildPostgres, connectToPrimary, type DatabaseAddress, SqlStore } from '@sallyport/store-sql';

const REALM = 'main';
const REACH_MS = 2_000;

/** The store of a realm as Security writes to it, past Security. */
export interface RealmOf {
  readonly store: RealmStore;
  readonly keyring: Keyring;
  close(): Promise<void>;
}

/**
 * Opens the realm of a Security server's data folder, whether that server runs or not. A folder without a realm gets one: Security is
 * started on it once. With `SALLYPORT_DATABASE_HOSTS` and the settings beside it in the environment the database is an external one.
 */
export async function openRealmOf(data: string): Promise<RealmOf> {
  const kekFile = join(data, 'security', 'kek.json');
  if (!existsSync(kekFile)) await makeRealm(data);
  const keyring = readKeyring(kekFile);
  const { address, stop } = await reach(data);
  const server = new SqlStore(address);
  return {
    store: sealedStore(server.in(REALM), keyring, () => undefined),
    keyring,
    close: async () => {
      await server.close();
      await stop();
    },
  };
}

function readKeyring(file: string): Keyring {
  const { current, keys } = JSON.parse(readFileSync(file, 'utf8')) as { current: number; keys: Record<string, string> };
  const keks = Object.entries(keys).map(([id, key]) => [Number(id), parseBase64Url(key)] as const);
  return createKeyring(serverCrypto(), new Map(keks), current);
}

async function makeRealm(data: string): Promise<void> {
  const environment = {
    ...databaseSettings(),
    SALLYPORT_DATA: data,
    SALLYPORT_PROXY_LISTEN: '127.0.0.1:0',
    SALLYPORT_ADMIN_LISTEN: '127.0.0.1:0',
  };
  const security = await AppProcess.start('security', { environment });
  await security.end();
}

function databaseSettings(): Record<string, string> {
  const entries = Object.entries(process.env).filter(([name]) => name.startsWith('SALLYPORT_DATABASE_'));
  return Object.fromEntries(entries) as Record<string, string>;
}

async function reach(data: string): Promise<{ address: DatabaseAddress; stop: () => Promise<void> }> {
  const external = externalAddress(databaseSettings());
  if (external) return { address: external, stop: async () => undefined };
  const place = { folder: join(data, 'database'), passwordFile: join(data, 'security', 'database-password') };
  const address = ChildPostgres.addressOf(place);
  const running = await connectToPrimary(address, REACH_MS).catch(() => undefined);
  await running?.end();
  if (running) return { address, stop: async () => undefined };
  const child = await ChildPostgres.start(place);
  return { address: child.address, stop: () => child.stop() };
}

function externalAddress(settings: Record<string, string>): DatabaseAddress | undefined {
  const hosts = (settings['SALLYPORT_DATABASE_HOSTS'] ?? '').split(',').filter((text) => text !== '');
  if (hosts.length === 0) return undefined;
  const parsed = hosts.map((text) => {
    const at = text.lastIndexOf(':');
    return { host: text.slice(0, at), port: Number(text.slice(at + 1)) };
  });
  const ca = settings['SALLYPORT_DATABASE_CA'];
  return {
    ...parsed[0]!,
    hosts: parsed,
    user: settings['SALLYPORT_DATABASE_USER'] ?? 'sallyport',
    password: settings['SALLYPORT_DATABASE_PASSWORD'] ?? '',
    database: settings['SALLYPORT_DATABASE_NAME'] ?? 'sallyport',
    ...(ca === undefined ? {} : { ca: readFileSync(ca, 'utf8') }),
  };
}
