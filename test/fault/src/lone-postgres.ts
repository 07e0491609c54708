import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  commandOn,
  Daemon,
  type Host,
  type LocalCluster,
  postgresBinaries,
  privateFile,
  privateFolder,
} from '@sallyport/local-cluster';

/** Where a PostgreSQL of its own listens, on its host. */
const LONE_PORT = 5_432;
const START_MS = 60_000;

/** A PostgreSQL without standbys on a host of its own, reached as the servers of the cluster are: by TLS and the same passwords. */
export class LonePostgres {
  readonly host: Host;
  /** Its data directory. */
  readonly folder: string;
  readonly #cluster: LocalCluster;
  readonly #daemon: Daemon;

  constructor(cluster: LocalCluster, host: Host) {
    this.#cluster = cluster;
    this.host = host;
    const { place } = cluster;
    this.folder = join(place.hostFolder(host), 'data');
    const { ca, certificate, key } = place.tls;
    const access = [
      'local all all scram-sha-256',
      'hostssl replication all all scram-sha-256',
      'hostssl all all all scram-sha-256',
    ];
    const hba = privateFile(join(place.hostFolder(host), 'hba.conf'), `${access.join('\n')}\n`, place.user);
    const settings = {
      listen_addresses: host.address,
      port: LONE_PORT,
      unix_socket_directories: place.hostFolder(host),
      hba_file: hba,
      ssl: 'on',
      ssl_cert_file: certificate,
      ssl_key_file: key,
      ssl_ca_file: ca,
      shared_buffers: '64MB',
      wal_log_hints: 'on',
      max_connections: 200,
      wal_retrieve_retry_interval: '500ms',
      wal_receiver_timeout: '5s',
      wal_sender_timeout: '5s',
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    this.#daemon = new Daemon({
      ...place.daemon(`PostgreSQL on ${host.name}`, host, 'postgres'),
      command: [join(postgresBinaries(), 'postgres'), '-D', this.folder, ...options],
    });
  }

  /** `host:port`, as Security wants it. */
  get address(): string {
    return `${this.host.address}:${LONE_PORT}`;
  }

  get running(): boolean {
    return this.#daemon.running;
  }

  /** Makes an empty one, with Security's role and a database of it. */
  async create(database: string): Promise<void> {
    const { place } = this.#cluster;
    if (!existsSync(this.folder)) {
      privateFolder(this.folder, place.user);
      const password = privateFile(join(place.hostFolder(this.host), 'password'), place.secrets.superuser, place.user);
      const how = ['-U', 'postgres', '--auth=scram-sha-256', `--pwfile=${password}`, '--locale=C', '-E', 'UTF8', '-k'];
      this.#run(join(postgresBinaries(), 'initdb'), '-D', this.folder, ...how);
    }
    await this.start();
    this.query('postgres', `create role sallyport login password '${place.secrets.sallyport}'`);
    this.query('postgres', `create database ${database} owner sallyport`);
  }

  async start(): Promise<void> {
    this.#daemon.start();
    await this.#daemon.until(async () => this.query('postgres', 'select 1') === '1', START_MS);
  }

  /** Stops it as an operator does. */
  async stop(): Promise<void> {
    await this.#daemon.end('SIGINT');
  }

  /** Asks it as its superuser. @throws Error */
  query(database: string, sql: string): string {
    const where = ['-h', this.#cluster.place.hostFolder(this.host), '-p', String(LONE_PORT), '-U', 'postgres'];
    return this.#run('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', ...where, '-d', database, '-c', sql).trim();
  }

  #run(...command: string[]): string {
    const { user, secrets } = this.#cluster.place;
    const [program, ...args] = commandOn(this.host, user, command);
    const env = { ...process.env, PGPASSWORD: secrets.superuser };
    return execFileSync(program!, args, { env, cwd: '/', encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }
}
