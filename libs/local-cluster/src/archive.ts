import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import {
  type ArchiveContents,
  type ArchiveHost,
  type ArchivePlan,
  archiveCommand,
  archiveParameters,
  archiveTrouble,
  configFile,
  databaseConfig,
  includeFolder,
  parseArchiveContents,
  passphraseConfig,
  passphraseFile,
  repositoryConfig,
} from '@sallyport/archive';
import { CERTIFICATE_NAME, createTls } from './certificates.ts';
import { Daemon } from './daemon.ts';
import { ClusterError } from './errors.ts';
import { commandOn, type Host, privateFile, privateFolder } from './host.ts';
import type { ClusterPlace } from './place.ts';

/** The repository of a cluster's WAL on a host of its own, and pgBackRest on the database hosts. */
export class LocalArchive {
  readonly plan: ArchivePlan;
  /** pgBackRest's servers on the database hosts. */
  readonly servers: readonly Daemon[];
  /** pgBackRest's server on the host of the repository. */
  readonly repository: Daemon;
  readonly #place: ClusterPlace;

  constructor(place: ClusterPlace, hosts: readonly Host[], host: Host) {
    this.#place = place;
    const addresses = [...new Set([...hosts, host].map(({ address }) => address))];
    const tls = createTls(join(place.folder, 'archive-tls'), addresses, place.user);
    const at = (one: Host, i: number): ArchiveHost => ({
      address: one.address,
      port: place.ports(i).archive,
      certificateName: CERTIFICATE_NAME,
      ...this.#foldersOf(one),
    });
    const databases = hosts.map((one, i) => ({
      ...at(one, i),
      dataFolder: join(place.hostFolder(one), 'postgres'),
      socketFolder: place.hostFolder(one),
      postgresPort: place.ports(i).postgres,
    }));
    const repositoryFolder = privateFolder(join(place.hostFolder(host), 'repository'), place.user);
    const repository = { ...at(host, hosts.length), repositoryFolder, keepDays: 7 };
    this.plan = { repository, databases, tls };
    this.servers = databases.map((database, i) =>
      this.#serverOn(hosts[i]!, database, databaseConfig(this.plan, database)),
    );
    this.repository = this.#serverOn(host, repository, repositoryConfig(this.plan));
    privateFile(passphraseFile(repository), passphraseConfig(place.secrets.archive), place.user);
  }

  /** Settings of the PostgreSQL on a database host. */
  parameters(index: number): Readonly<Record<string, string>> {
    return archiveParameters(this.plan.databases[index]!);
  }

  start(): void {
    for (const daemon of [this.repository, ...this.servers]) if (!daemon.running) daemon.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.repository, ...this.servers].map((daemon) => daemon.end()));
  }

  /** Makes the repository known to the database, and the first base backup where there is none. @throws ClusterError */
  async begin(): Promise<void> {
    await this.run('stanza-create');
    if ((await this.contents()).backups.length === 0) await this.run('backup', '--type=full', '--no-backup-standby');
  }

  /** What the repository holds. @throws ClusterError */
  async contents(): Promise<ArchiveContents> {
    return parseArchiveContents(await this.run('info', '--output=json'));
  }

  /** Runs pgBackRest on the host of the repository. Gives what it printed. @throws ClusterError with its trouble in words */
  async run(...order: readonly string[]): Promise<string> {
    const [program, ...args] = commandOn(
      this.repository.host,
      this.#place.user,
      archiveCommand(this.plan.repository, ...order),
    );
    const child = spawn(program!, args, {
      cwd: this.#place.hostFolder(this.repository.host),
      env: this.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const texts = { printed: '', said: '' };
    child.stdout.on('data', (data) => (texts.printed += String(data)));
    child.stderr.on('data', (data) => (texts.said += String(data)));
    const code = await new Promise<number | null>((done, failed) => {
      child.once('error', failed);
      child.once('close', done);
    });
    const trouble = archiveTrouble(texts.printed + texts.said, code ?? 1);
    if (trouble) throw new ClusterError('ERR_CLUSTER_ARCHIVE', `pgbackrest ${order[0]}: ${trouble.words}`);
    return texts.printed;
  }

  #foldersOf(host: Host): Pick<ArchiveHost, 'folder' | 'places'> {
    const { user } = this.#place;
    const folder = privateFolder(join(this.#place.hostFolder(host), 'pgbackrest'), user);
    const inside = (name: string): string => privateFolder(join(folder, name), user);
    inside('conf.d');
    return { folder, places: { log: inside('log'), spool: inside('spool'), lock: inside('lock') } };
  }

  #serverOn(host: Host, at: ArchiveHost, config: string): Daemon {
    const { user } = this.#place;
    privateFile(configFile(at), `${config}\n`, user);
    privateFile(this.#passwords, `*:*:*:postgres:${this.#place.secrets.superuser}\n`, user);
    privateFolder(includeFolder(at), user);
    return new Daemon({
      ...this.#place.daemon(`pgBackRest on ${host.name}`, host, 'pgbackrest'),
      command: archiveCommand(at, 'server'),
      environment: this.environment,
    });
  }

  get #passwords(): string {
    return join(dirname(this.#place.tls.ca), 'pgbackrest.pgpass');
  }

  /** What pgBackRest, and who runs it, finds PostgreSQL's superuser by. */
  get environment(): Record<string, string> {
    return { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', PGPASSFILE: this.#passwords };
  }
}
