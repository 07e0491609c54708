import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { LocalArchive } from './archive.ts';
import { createTls } from './certificates.ts';
import type { Daemon } from './daemon.ts';
import { ClusterError } from './errors.ts';
import { etcdHealthy, etcdOn } from './etcd.ts';
import { type Host, hasProgram, privateFile, privateFolder, serverUser } from './host.ts';
import { askPatroni, listPatroniMembers, PATRONI_USER, type PatroniMember, patroniOn } from './patroni.ts';
import { type ClusterPlace, type ClusterSecrets, clusterPlace, portsFrom } from './place.ts';
import { REDIS_NAME, redisOn, sentinelOn } from './redis.ts';

/** How a cluster is laid out. */
export interface ClusterOptions {
  /** Everything is below it; a later start goes on with what is there. The servers' user must be able to pass it. */
  readonly folder: string;
  /** Three hosts, each with etcd, PostgreSQL under Patroni, Redis and Sentinel. */
  readonly hosts: readonly Host[];
  /** First of the ports; ten a host. */
  readonly basePort: number;
  /** Each host has an address of its own: all use the same ports, as servers of their own do. */
  readonly samePorts?: boolean;
  /** Further addresses that certificates name, and hosts that get a folder. */
  readonly otherHosts?: readonly Host[];
  /** Host of the repository that all WAL goes to, with pgBackRest; absent: there is none. */
  readonly archive?: Host;
  /** Hears of each part as it comes up. */
  readonly progress?: (text: string) => void;
}

/** Programs it needs, and the Debian packages that bring them. */
const PROGRAMS = {
  etcd: 'etcd-server',
  patroni: 'patroni python3-etcd',
  psql: 'postgresql',
  'redis-server': 'redis-server',
  haproxy: 'haproxy',
  openssl: 'openssl',
  setpriv: 'util-linux',
};
const START_MS = 120_000;

/** What is missing on this machine, as Debian packages. */
function missingPackages({ archive }: ClusterOptions): string[] {
  return Object.entries({ ...PROGRAMS, ...(archive ? { pgbackrest: 'pgbackrest' } : {}) })
    .filter(([program]) => !hasProgram(program))
    .map(([, names]) => names);
}

/** The replicated stores of a farm on one machine: PostgreSQL with automatic failover, and Redis with Sentinels. */
export class LocalCluster {
  readonly place: ClusterPlace;
  readonly hosts: readonly Host[];
  readonly etcds: readonly Daemon[];
  readonly postgres: readonly Daemon[];
  readonly redis: readonly Daemon[];
  readonly sentinels: readonly Daemon[];
  readonly archive: LocalArchive | undefined;

  private constructor(place: ClusterPlace, { hosts, archive }: ClusterOptions) {
    this.place = place;
    this.hosts = hosts;
    this.archive = archive && new LocalArchive(place, hosts, archive);
    const onEach = (make: (place: ClusterPlace, hosts: readonly Host[], index: number) => Daemon): Daemon[] =>
      hosts.map((_, index) => make(place, hosts, index));
    this.etcds = onEach(etcdOn);
    this.postgres = onEach((...[at, all, index]) => patroniOn(at, all, { index, archive: this.archive }));
    this.redis = onEach(redisOn);
    this.sentinels = onEach(sentinelOn);
  }

  /** Starts everything and waits until it stands. @throws ClusterError */
  static async start(options: ClusterOptions): Promise<LocalCluster> {
    const missing = missingPackages(options);
    if (missing.length > 0)
      throw new ClusterError('ERR_CLUSTER_PROGRAM', `missing on this machine: apt-get install ${missing.join(' ')}`);
    const cluster = new LocalCluster(openPlace(options), options);
    try {
      await cluster.#start(options.progress ?? (() => undefined));
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** `host:port` of every PostgreSQL, as Security wants them. */
  get databaseHosts(): string {
    return this.hosts.map(({ address }, i) => `${address}:${this.place.ports(i).postgres}`).join();
  }

  /** Settings of a Security node that uses this cluster. */
  get securityEnvironment(): Readonly<Record<string, string>> {
    const { tls, secrets } = this.place;
    const sentinels = this.hosts.map(({ address }, i) => `${address}:${this.place.ports(i).sentinel}`).join();
    return {
      SALLYPORT_DATABASE_HOSTS: this.databaseHosts,
      SALLYPORT_DATABASE_PASSWORD: secrets.sallyport,
      SALLYPORT_DATABASE_CA: tls.ca,
      SALLYPORT_REDIS: `rediss+sentinel://${sentinels}/${REDIS_NAME}`,
      SALLYPORT_REDIS_PASSWORD: secrets.redis,
      SALLYPORT_REDIS_CA: tls.ca,
    };
  }

  /** PEM of the CA of databases and Redis. */
  get ca(): string {
    return readFileSync(this.place.tls.ca, 'utf8');
  }

  postgresPort(host: Host): number {
    return this.place.ports(this.hosts.indexOf(host)).postgres;
  }

  /** Kills the database server of a host, its Patroni lives on. */
  killPostgres(index: number): void {
    const file = join(this.place.hostFolder(this.hosts[index]!), 'postgres', 'postmaster.pid');
    process.kill(Number(readFileSync(file, 'utf8').split('\n')[0]), 'SIGKILL');
  }

  /** Starts what does not run on a host. */
  startHost(index: number): void {
    const parts = [this.etcds, this.postgres, this.redis, this.sentinels, this.archive?.servers ?? []];
    for (const daemons of parts) if (daemons[index]?.running === false) daemons[index].start();
  }

  /** URL of the Patroni of a host. */
  patroniUrl(index: number): string {
    return `http://${this.hosts[index]!.address}:${this.place.ports(index).patroni}`;
  }

  /** Index of the host whose PostgreSQL is the primary and says so itself; undefined while there is none. */
  async findPrimary(): Promise<number | undefined> {
    const words = await Promise.all(this.hosts.map((_, i) => askPatroni(this.patroniUrl(i)).catch(() => undefined)));
    const index = words.findIndex(
      (word) => word && ['master', 'primary'].includes(word.role) && word.state === 'running',
    );
    return index < 0 ? undefined : index;
  }

  /** The same, waiting for one: between two leaders, or on a machine that is busy, there may be none for a while. */
  async getPrimary(maxMs: number = START_MS): Promise<number> {
    for (const deadline = performance.now() + maxMs; performance.now() < deadline; ) {
      const primary = await this.findPrimary();
      if (primary !== undefined) return primary;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new ClusterError('ERR_CLUSTER_START', `no PostgreSQL says that it is the primary within ${maxMs} ms`);
  }

  /** All PostgreSQL servers, as any living Patroni knows them. */
  async members(): Promise<readonly PatroniMember[]> {
    for (const [index] of this.hosts.entries()) {
      const members = await listPatroniMembers(this.patroniUrl(index)).catch(() => undefined);
      if (members) return members;
    }
    return [];
  }

  /** Waits until there is a primary with a synchronous standby and so many servers run. */
  async settled(running: number = this.hosts.length, maxMs: number = START_MS): Promise<void> {
    const deadline = performance.now() + maxMs;
    for (;;) {
      const members = await this.members();
      const leader = members.find(({ role }) => role === 'leader');
      // A server that lost its place says "running" until it has noticed: only the leader's timeline counts.
      const alive = members.filter(
        ({ state, timeline, lag }) =>
          (state === 'running' || state === 'streaming') && timeline === leader?.timeline && (lag ?? 0) !== 'unknown',
      );
      const synchronous = alive.some(({ role }) => role === 'sync_standby');
      if (alive.length >= running && synchronous && (await this.findPrimary()) !== undefined) return;
      if (performance.now() > deadline)
        throw new ClusterError('ERR_CLUSTER_START', `PostgreSQL did not settle: ${JSON.stringify(members)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Makes a synchronous standby the primary, as before maintenance. @throws ClusterError when Patroni will not */
  async switchover(leader: string): Promise<void> {
    const index = this.hosts.findIndex(({ name }) => name === leader);
    const candidate = (await this.members()).find(({ role }) => role === 'sync_standby')?.name;
    const answer = await fetch(`${this.patroniUrl(index)}/switchover`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: this.#patroniCredentials() },
      body: JSON.stringify({ leader, candidate }),
    });
    if (!answer.ok) throw new ClusterError('ERR_CLUSTER_START', `no switchover: ${await answer.text()}`);
  }

  #patroniCredentials(): string {
    const text = `${PATRONI_USER}:${this.place.secrets.patroni}`;
    return `Basic ${Buffer.from(text).toString('base64')}`;
  }

  async stop(): Promise<void> {
    const end = (daemons: readonly Daemon[]): Promise<unknown> => Promise.all(daemons.map((daemon) => daemon.end()));
    await end(this.sentinels);
    await end(this.redis);
    await end(this.postgres);
    await this.archive?.stop();
    await end(this.etcds);
  }

  /**
   * Starts what does not run, the database of the first host before the others: it becomes the primary where there is none.
   * @throws ClusterError
   */
  async resume(progress: (text: string) => void = () => undefined): Promise<void> {
    for (const daemon of [...this.etcds, ...this.redis]) startIfDown(daemon);
    await Promise.all(
      this.etcds.map((etcd, i) =>
        etcd.until(() => etcdHealthy(`http://${etcd.host.address}:${this.place.ports(i).etcd.client}`), START_MS),
      ),
    );
    progress('etcd');
    this.archive?.start();
    // The first to come becomes the primary, the others copy it.
    startIfDown(this.postgres[0]!);
    await this.postgres[0]!.until(async () => (await askPatroni(this.patroniUrl(0))).state === 'running', START_MS);
    for (const postgres of this.postgres.slice(1)) startIfDown(postgres);
    await Promise.all(
      this.redis.map((redis, i) => redis.until(() => accepts(redis.host, this.place.ports(i).redis), START_MS)),
    );
    for (const sentinel of this.sentinels) startIfDown(sentinel);
    await Promise.all(
      this.sentinels.map((each, i) => each.until(() => accepts(each.host, this.place.ports(i).sentinel), START_MS)),
    );
    progress('Redis with Sentinels');
    await this.settled();
    progress('PostgreSQL with synchronous standbys');
  }

  async #start(progress: (text: string) => void): Promise<void> {
    await this.resume(progress);
    await this.archive?.begin();
    if (this.archive) progress('archive of its WAL by pgBackRest');
  }
}

function startIfDown(daemon: Daemon): void {
  if (!daemon.running) daemon.start();
}

function openPlace(options: ClusterOptions): ClusterPlace {
  const { folder, hosts, basePort, samePorts = false, otherHosts = [], archive } = options;
  const ports = portsFrom(basePort);
  const user = serverUser();
  mkdirSync(join(folder, 'logs'), { recursive: true, mode: 0o755 });
  const all = [...hosts, ...otherHosts, ...(archive ? [archive] : [])];
  for (const host of all) privateFolder(join(folder, host.name), user);
  const addresses = [...new Set(['127.0.0.1', ...all.map(({ address }) => address)])];
  const tls = createTls(join(folder, 'tls'), addresses, user);
  return clusterPlace({
    folder,
    user,
    tls,
    secrets: openSecrets(join(folder, 'secrets.json')),
    ports: samePorts ? () => ports(0) : ports,
  });
}

const SECRETS: readonly (keyof ClusterSecrets)[] = [
  'superuser',
  'replication',
  'sallyport',
  'patroni',
  'redis',
  'archive',
];

/** The passwords of a cluster; those that its file does not have yet are made. */
function openSecrets(file: string): ClusterSecrets {
  const known = existsSync(file) ? readSecrets(file) : {};
  const missing = SECRETS.filter((name) => known[name] === undefined);
  const made = Object.fromEntries(missing.map((name) => [name, randomBytes(18).toString('base64url')]));
  const secrets = { ...known, ...made } as ClusterSecrets;
  if (missing.length > 0) privateFile(file, JSON.stringify(secrets), undefined);
  return secrets;
}

/** What a parser says quotes the file. */
function readSecrets(file: string): Partial<ClusterSecrets> {
  const text = readFileSync(file, 'utf8');
  try {
    return JSON.parse(text) as Partial<ClusterSecrets>;
  } catch {
    throw new Error(`${file} is no JSON: it was cut or changed`);
  }
}

function accepts({ address }: Host, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: 500 });
    const done = (open: boolean) => () => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', done(true));
    socket.once('error', done(false));
    socket.once('timeout', done(false));
  });
}
