/** Name under which pgBackRest knows our database cluster. */
export const STANZA = 'sallyport';

/** Port of pgBackRest's own TLS server, by its default. */
export const ARCHIVE_PORT = 8_432;

/** A host on which pgBackRest runs, as the others reach it. */
export interface ArchiveHost {
  /** Name or address; its certificate names it as a DNS name, also when it is an address: pgBackRest 2.45 compares names only. */
  readonly address: string;
  readonly port: number;
  /** Common name in its certificate: by this the others let it in. */
  readonly certificateName: string;
  /** Folder of `pgbackrest.conf` and of `conf.d`. */
  readonly folder: string;
  /** Where pgBackRest keeps logs, locks and what waits to be sent. */
  readonly places: ArchivePlaces;
}

/** Folders of pgBackRest on one host. */
export interface ArchivePlaces {
  readonly log: string;
  readonly spool: string;
  readonly lock: string;
}

/** A database host, each of which may become the primary. */
export interface ArchivedDatabase extends ArchiveHost {
  /** The data directory of its PostgreSQL. */
  readonly dataFolder: string;
  readonly socketFolder: string;
  readonly postgresPort: number;
}

/** Everything that the configurations of all hosts are made from. */
export interface ArchivePlan {
  readonly repository: ArchiveHost & {
    /** Where backups and WAL are kept, encrypted. */
    readonly repositoryFolder: string;
    /** Full backups, and all WAL after them, are kept so many days. */
    readonly keepDays: number;
  };
  readonly databases: readonly ArchivedDatabase[];
  /** PEM files, at the same place on every host. */
  readonly tls: { readonly ca: string; readonly certificate: string; readonly key: string };
}

/** After so much WAL that the repository did not take, the oldest is given up, so that the disk of the primary stays free. */
const QUEUE_MAX = '8GiB';
/** A WAL segment is sent after so long though it is not full, s: with the time to send it what a disaster costs at most. */
const ARCHIVE_TIMEOUT_S = 2;

type Section = Readonly<Record<string, string | number>>;

/** Places of the Debian package. */
export const DEBIAN_PLACES: ArchivePlaces = {
  log: '/var/log/pgbackrest',
  spool: '/var/spool/pgbackrest',
  lock: '/tmp/pgbackrest',
};

/** The host of the repository: it keeps, encrypts, and fetches base backups; the only one that knows the passphrase. */
export function repositoryConfig({ repository, databases, tls }: ArchivePlan): string {
  const global: Section = {
    'repo1-path': repository.repositoryFolder,
    'repo1-cipher-type': 'aes-256-cbc',
    'repo1-retention-full-type': 'time',
    'repo1-retention-full': repository.keepDays,
    'repo1-bundle': 'y',
    'start-fast': 'y',
    // A standby gives the files where there is one: the primary has other work.
    'backup-standby': databases.length > 1 ? 'y' : 'n',
    ...common(repository),
    ...server(repository, tls),
  };
  const names = databases.map(({ certificateName }) => certificateName);
  const stanza = Object.assign({}, ...databases.map((database, i) => databaseOptions(database, { i: i + 1, tls })));
  return [...section('global', global), ...letIn(names), ...section(STANZA, stanza)].join('\n');
}

/** A database host: it sends each WAL segment, and lets the repository read. It knows no passphrase. */
export function databaseConfig({ repository, tls }: ArchivePlan, database: ArchivedDatabase): string {
  const global: Section = {
    'repo1-host': repository.address,
    'repo1-host-type': 'tls',
    'repo1-host-port': repository.port,
    'repo1-host-ca-file': tls.ca,
    'repo1-host-cert-file': tls.certificate,
    'repo1-host-key-file': tls.key,
    'repo1-host-config': configFile(repository),
    'repo1-host-config-include-path': includeFolder(repository),
    // Several segments at a time; PostgreSQL hears that one is safe when the repository has it, not before.
    'archive-async': 'y',
    'archive-push-queue-max': QUEUE_MAX,
    'process-max': 2,
    ...common(database),
    ...server(database, tls),
  };
  const { dataFolder, postgresPort, socketFolder } = database;
  const stanza: Section = {
    'pg1-path': dataFolder,
    'pg1-port': postgresPort,
    'pg1-socket-path': socketFolder,
    'pg1-user': 'postgres',
  };
  // A restore fetches ahead: most of its time is the number of segments.
  const fetching: Section = { 'process-max': 4, 'archive-get-queue-max': '1GiB' };
  return [
    ...section('global', global),
    ...letIn([repository.certificateName]),
    ...section('global:archive-get', fetching),
    ...section(STANZA, stanza),
  ].join('\n');
}

/** The file of its own that holds the passphrase, on the repository's host only. @throws TypeError for what an INI file cannot hold */
export function passphraseConfig(passphrase: string): string {
  if (!/^[\x21-\x7e]{20,}$/.test(passphrase))
    throw new TypeError('the passphrase of a repository is 20 or more printable characters without spaces');
  return `[global]\nrepo1-cipher-pass=${passphrase}\n`;
}

/** The configuration file of a host. */
export function configFile({ folder }: Pick<ArchiveHost, 'folder'>): string {
  return `${folder}/pgbackrest.conf`;
}

/** Folder of what is read besides: the file with the passphrase. */
export function includeFolder({ folder }: Pick<ArchiveHost, 'folder'>): string {
  return `${folder}/conf.d`;
}

/** The file with the passphrase. */
export function passphraseFile(host: Pick<ArchiveHost, 'folder'>): string {
  return `${includeFolder(host)}/passphrase.conf`;
}

/** A command line of pgBackRest on a host. */
export function archiveCommand(host: Pick<ArchiveHost, 'folder'>, ...order: readonly string[]): string[] {
  const where = [`--config=${configFile(host)}`, `--config-include-path=${includeFolder(host)}`];
  return ['pgbackrest', ...where, ...(order[0] === 'server' ? [] : [`--stanza=${STANZA}`]), ...order];
}

/** Settings of PostgreSQL on every database host, the same on all. */
export function archiveParameters(host: Pick<ArchiveHost, 'folder'>): Readonly<Record<string, string>> {
  return {
    archive_mode: 'on',
    archive_timeout: `${ARCHIVE_TIMEOUT_S}s`,
    archive_command: [...archiveCommand(host, 'archive-push'), '%p'].join(' '),
  };
}

function common({ places }: ArchiveHost): Section {
  return {
    'log-path': places.log,
    'spool-path': places.spool,
    'lock-path': places.lock,
    'log-level-file': 'info',
    'log-level-console': 'warn',
    // A segment that was cut short is mostly zeros, of which this leaves next to nothing.
    'compress-type': 'zst',
    // A host that does not answer is told of soon.
    'io-timeout': 15,
  };
}

function server({ address, port }: ArchiveHost, tls: ArchivePlan['tls']): Section {
  return {
    'tls-server-address': address,
    'tls-server-port': port,
    'tls-server-ca-file': tls.ca,
    'tls-server-cert-file': tls.certificate,
    'tls-server-key-file': tls.key,
  };
}

/** Who may come in, by the common names of certificates. */
function letIn(names: readonly string[]): string[] {
  return [...new Set(names)].map((name) => `tls-server-auth=${name}=${STANZA}`);
}

function databaseOptions(
  database: ArchivedDatabase,
  { i, tls }: { readonly i: number; readonly tls: ArchivePlan['tls'] },
): Section {
  return {
    [`pg${i}-host`]: database.address,
    [`pg${i}-host-type`]: 'tls',
    [`pg${i}-host-port`]: database.port,
    [`pg${i}-host-ca-file`]: tls.ca,
    [`pg${i}-host-cert-file`]: tls.certificate,
    [`pg${i}-host-key-file`]: tls.key,
    [`pg${i}-host-config`]: configFile(database),
    [`pg${i}-host-config-include-path`]: includeFolder(database),
    [`pg${i}-path`]: database.dataFolder,
    [`pg${i}-port`]: database.postgresPort,
    [`pg${i}-socket-path`]: database.socketFolder,
    [`pg${i}-user`]: 'postgres',
  };
}

function section(name: string, options: Section): string[] {
  return [`[${name}]`, ...Object.entries(options).map(([option, value]) => `${option}=${value}`)];
}
