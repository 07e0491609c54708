import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isLoopback, type ListenAddress, parseHostPort, undoAtSignals } from '@sallyport/settings';
import { ChildPostgres, connectToPrimary, type DatabaseAddress } from '@sallyport/store-sql';
import type { Config } from '../config.ts';
import { checkPlace, markPlace } from './place-mark.ts';

/** How long a server that runs already is looked for, ms. */
const REACH_MS = 2_000;

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
  const place = childPlace(config);
  checkPlace(place.folder, { isAdopted: false, isWhole: false });
  const opened = await startChild(place);
  markPlace(place.folder);
  return opened;
}

async function startChild(place: ChildPlace): Promise<OpenDatabase> {
  const child = await ChildPostgres.start(place);
  return { address: child.address, external: false, description: 'own child process', close: () => child.stop() };
}

/** A command that is broken off leaves no server of its own behind: opens a database, and closes it before a signal ends the process. */
export async function closedAtSignals(open: () => Promise<OpenDatabase>): Promise<OpenDatabase> {
  const opening = open();
  const forget = undoAtSignals(() =>
    opening.then(
      (database) => database.close(),
      () => undefined,
    ),
  );
  const database = await opening.catch((error: unknown) => {
    forget();
    throw error;
  });
  const close = async (): Promise<void> => {
    await database.close();
    forget();
  };
  return { ...database, close };
}

/** The child database of the data folder, while something runs it; undefined when nothing does. */
export async function findRunning(config: Config): Promise<DatabaseAddress | undefined> {
  const place = childPlace(config);
  if (config.SALLYPORT_DATABASE_HOSTS.length > 0) return undefined;
  if (!existsSync(place.folder) || !existsSync(place.passwordFile)) return undefined;
  const address = ChildPostgres.addressOf(place);
  // A server that ended in order has taken its socket away.
  if (!existsSync(join(address.host, `.s.PGSQL.${address.port}`))) return undefined;
  const running = await connectToPrimary(address, REACH_MS).catch(() => undefined);
  await running?.end();
  return running && address;
}

/** Where the database of a Security server is that runs. */
export function addressOfDatabase(config: Config): DatabaseAddress {
  const hosts = config.SALLYPORT_DATABASE_HOSTS;
  return hosts.length > 0 ? externalAddress(config, hosts) : ChildPostgres.addressOf(childPlace(config));
}

/** What the operator says of a database whose folder was copied. */
export interface CopyWords {
  /** It was copied from a snapshot of its volume, or while nothing wrote. */
  readonly isWhole: boolean;
}

/**
 * The database of a Security server that runs, or that could: a child of its own is started only when none runs.
 * @throws Error for a copy that nobody says to be whole
 */
export async function reachDatabase(
  config: Config,
  { isWhole }: CopyWords = { isWhole: false },
): Promise<OpenDatabase> {
  if (config.SALLYPORT_DATABASE_HOSTS.length > 0) return openDatabase(config);
  const place = childPlace(config);
  if (!existsSync(place.folder) || !existsSync(place.passwordFile))
    throw new Error(`there is no database in ${config.SALLYPORT_DATA}: is SALLYPORT_DATA right?`);
  const address = await findRunning(config);
  if (!address) {
    checkPlace(place.folder, { isAdopted: true, isWhole });
    return closedAtSignals(() => startChild(place));
  }
  return { address, external: false, description: 'child of a running server', close: async () => {} };
}

/** The databases of this site and of the other one. @throws Error when this site has none of its own */
export function addressesOfSites(config: Config): { own: DatabaseAddress; other: DatabaseAddress | undefined } {
  const { SALLYPORT_DATABASE_HOSTS: hosts, SALLYPORT_OTHER_SITE_DATABASE_HOSTS: others } = config;
  if (hosts.length === 0)
    throw new Error('a site takes over with a PostgreSQL of its own: SALLYPORT_DATABASE_HOSTS is not set');
  return {
    own: externalAddress(config, hosts),
    other: others.length === 0 ? undefined : externalAddress(config, others),
  };
}

/** The database of our own is from now on where it lies: to call when it has begun a new life there. */
export function adoptPlace(config: Config): void {
  if (config.SALLYPORT_DATABASE_HOSTS.length === 0) markPlace(childPlace(config).folder);
}

interface ChildPlace {
  readonly folder: string;
  readonly passwordFile: string;
}

function childPlace({ SALLYPORT_DATA: data }: Config): ChildPlace {
  return { folder: join(data, 'database'), passwordFile: join(data, 'security', 'database-password') };
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

const DEFAULT_PORT = 5_432;

/** A PostgreSQL that is named by a URL with several hosts, which is none that the platform reads. @throws Error for one that is not valid */
export function parseSqlAddress(
  place: string,
  { password, ca, called }: { readonly password: string; readonly ca: string | undefined; readonly called: string },
): DatabaseAddress {
  const [, user, list = '', database] = /^postgres(?:ql)?:\/\/([^@/]+)@(.+)\/([^/?]+)$/.exec(place) ?? [];
  const hosts = list.split(',').map((text) => parseHostPort(text) ?? { host: text, port: DEFAULT_PORT });
  if (user === undefined || database === undefined)
    throw new Error(`${called} is postgresql://role@host:port/database`);
  if (ca === undefined && !hosts.every(({ host }) => staysHere(host)))
    throw new Error(`${called} names a database on another machine, which needs TLS: give the file with its CA`);
  const tls = ca === undefined ? {} : { ca: readFileSync(ca, 'utf8') };
  return { ...hosts[0]!, hosts, user, database, password, ...tls };
}

/** A folder with a Unix socket, or a loopback address. */
function staysHere(host: string): boolean {
  return host.startsWith('/') || isLoopback(host);
}
