import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import {
  ARCHIVE_PORT,
  type ArchivedDatabase,
  type ArchiveHost,
  type ArchivePlan,
  archiveParameters,
  configFile,
  DEBIAN_PLACES,
  databaseConfig,
  includeFolder,
  passphraseConfig,
  passphraseFile,
  repositoryConfig,
} from '@sallyport/archive';
import { privateFile, privateFolder, serverUser } from '@sallyport/local-cluster';
import { CliError } from '../../output.ts';
import { say } from '../../terminal.ts';

/** The few facts from which the configuration of a host is written. */
export interface SetupOptions {
  readonly role: string;
  readonly name?: string;
  readonly repository: string;
  readonly database: readonly string[];
  readonly certificateName?: string;
  readonly dataFolder: string;
  readonly socket: string;
  readonly postgresPort: string;
  readonly repositoryFolder: string;
  readonly keepDays: string;
  readonly passphraseFile?: string;
  readonly tls: string;
  readonly folder: string;
  readonly work?: string;
  readonly repositoryConfig?: string;
}

/** `sallyport backup continuous setup` */
export function setUpArchive(options: SetupOptions): void {
  const plan = planOf(options);
  const user = serverUser();
  mkdirSync(options.folder, { recursive: true, mode: 0o755 });
  // The passphrase is in a file of this folder: nobody else even lists it.
  privateFolder(includeFolder(options), user);
  for (const place of Object.values(plan.repository.places)) privateFolder(place, user);
  if (options.role === 'repository') return setUpRepository(plan, options);
  const own = plan.databases.find(({ address }) => address === options.name);
  if (!own)
    throw new CliError(
      'which of the database hosts is this one?',
      `add: --name ${plan.databases[0]?.address ?? 'HOST'}, as it is called in --database`,
    );
  privateFile(configFile(options), `${databaseConfig(plan, own)}\n`, user);
  say`${configFile(options)} is written: this host sends its WAL to ${plan.repository.address}\n`;
  sayNextOfDatabase(own);
}

function setUpRepository(plan: ArchivePlan, options: SetupOptions): void {
  const user = serverUser();
  privateFolder(plan.repository.repositoryFolder, user);
  privateFile(configFile(options), `${repositoryConfig(plan)}\n`, user);
  say`${configFile(options)} is written: the repository of ${plan.databases.map(({ address }) => address).join(', ')}\n`;
  sayPassphrase(plan, options);
  say`
next: 1. systemctl enable --now pgbackrest           (its server: the database hosts come to port ${plan.repository.port})
      2. the same command with --role database --name HOST on each database host
      3. sallyport backup continuous run --type full    here, and from then on by sallyport-archive.timer
`;
}

/** A passphrase that is there stays: with another one nothing could be read any more. */
function sayPassphrase({ repository }: ArchivePlan, options: SetupOptions): void {
  const file = passphraseFile(repository);
  const given = options.passphraseFile && readFileSync(options.passphraseFile, 'utf8').trim();
  if (existsSync(file)) {
    if (given && readFileSync(file, 'utf8') !== passphraseConfig(given))
      throw new CliError(`${file} has another passphrase`, 'what is in the repository can only be read with that one');
    chmodSync(file, 0o600);
    return;
  }
  try {
    privateFile(file, passphraseConfig(given || randomBytes(36).toString('base64url')), serverUser());
  } catch (error) {
    throw new CliError((error as Error).message);
  }
  say`${file} has the passphrase: without it nothing of the repository can be read, so keep a copy elsewhere\n`;
}

function sayNextOfDatabase(own: ArchivedDatabase): void {
  const parameters = JSON.stringify({ postgresql: { parameters: archiveParameters(own) } });
  say`
next: 1. systemctl enable --now pgbackrest           (its server: the repository comes to port ${own.port})
      2. once for all database hosts, with Patroni:
           patronictl edit-config --force --apply - <<< '${parameters}'
           patronictl restart sallyport
         without Patroni: the same three settings in postgresql.conf, and a restart
      3. on the host of the repository: sallyport backup continuous run --type full
      4. here: sallyport backup continuous check
`;
}

/** @throws CliError for what is missing or no number */
function planOf(options: SetupOptions): ArchivePlan {
  const { role, folder, work, certificateName } = options;
  if (role !== 'repository' && role !== 'database')
    throw new CliError(`there is no role ${role}`, '--role repository or --role database');
  const places = work ? { log: `${work}/log`, spool: `${work}/spool`, lock: `${work}/lock` } : DEBIAN_PLACES;
  const host = (text: string): ArchiveHost => {
    const { address, port } = addressOf(text);
    return { address, port, certificateName: certificateName ?? address, folder, places };
  };
  const { dataFolder, socket: socketFolder, postgresPort } = options;
  const databases = options.database.map((text) => ({
    ...host(text),
    dataFolder,
    socketFolder,
    postgresPort: numberOf(postgresPort),
  }));
  const { repositoryFolder, keepDays, tls } = options;
  const elsewhere = role === 'database' ? { folder: options.repositoryConfig ?? folder } : {};
  return {
    repository: { ...host(options.repository), ...elsewhere, repositoryFolder, keepDays: numberOf(keepDays) },
    databases,
    tls: { ca: `${tls}/ca.pem`, certificate: `${tls}/server.pem`, key: `${tls}/server.key` },
  };
}

function addressOf(text: string): { address: string; port: number } {
  const [, address, port] = /^([A-Za-z0-9.-]+)(?::(\d+))?$/.exec(text) ?? [];
  if (address === undefined)
    throw new CliError(`${text} is no host`, 'a host is a name or an address, or that with :port');
  return { address, port: port === undefined ? ARCHIVE_PORT : numberOf(port) };
}

function numberOf(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new CliError(`${text} is not a number above 0`);
}
