import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { commandOn, Daemon, postgresBinaries, privateFile, privateFolder, serverUser } from '@sallyport/local-cluster';
import { TestAuthority } from '@sallyport/support';

const START_MS = 120_000;
const DATABASE_PORT = 5_432;
const REDIS_PORT = 6_379;
/** A firewall that drops says nothing, ms. */
const NOBODY_MS = 2_000;

/** Where the database and Redis of a farm listen, and the names that farms know them by. */
export interface StoresPlace {
  /** It is made, and others may pass through it. */
  readonly folder: string;
  readonly address: string;
  readonly names: readonly string[];
}

/** Files of a server, owned by the user of databases. */
interface Prepared extends StoresPlace {
  readonly files: { readonly certificate: string; readonly key: string };
  readonly password: string;
  readonly user: ReturnType<typeof serverUser>;
}

/** What a farm needs and does not bring: a PostgreSQL and a Redis with TLS, as somebody else runs them. They end with this process. */
export class Stores {
  /** PEM of the CA of both. */
  readonly ca: string;
  /** Of the role `sallyport` and of Redis. */
  readonly password: string;
  /** The database first. */
  readonly #daemons: readonly Daemon[];

  private constructor(ca: string, password: string, daemons: readonly Daemon[]) {
    this.ca = ca;
    this.password = password;
    this.#daemons = daemons;
  }

  /** @throws ClusterError, also when a program is missing */
  static async start(place: StoresPlace): Promise<Stores> {
    const { folder, address, names } = place;
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o755);
    const user = serverUser();
    const authority = await TestAuthority.create('stores');
    const { certificate, key } = await authority.issue({ names: [address, ...names] });
    const files = { certificate: join(folder, 'server.pem'), key: join(folder, 'server.key') };
    privateFile(files.certificate, certificate, user);
    privateFile(files.key, key, user);
    const password = randomBytes(18).toString('base64url');
    const prepared = { ...place, files, password, user };
    return new Stores(authority.certificate, password, [await startDatabase(prepared), await startRedis(prepared)]);
  }

  /** The database is away until it is started again. */
  stopDatabase(): Promise<void> {
    return this.#daemons[0]!.end('SIGINT');
  }

  startDatabase(): void {
    this.#daemons[0]!.start();
  }

  async stop(): Promise<void> {
    for (const daemon of this.#daemons) await daemon.end('SIGINT');
  }
}

function daemonOf({ folder, address, user }: Prepared, name: string, command: readonly string[]): Daemon {
  const host = { name, address };
  return new Daemon({ name, host, user, command, cwd: folder, logFile: join(folder, `${name}.log`) });
}

async function startDatabase(prepared: Prepared): Promise<Daemon> {
  const { folder, address, user, password, files } = prepared;
  const data = privateFolder(join(folder, 'database'), user);
  const run = (...command: string[]): string => {
    const [program, ...args] = commandOn({ name: 'database', address }, user, command);
    return execFileSync(program!, args, { cwd: '/', encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  };
  run(
    join(postgresBinaries(), 'initdb'),
    '-D',
    data,
    '-U',
    'postgres',
    '--auth=peer',
    '--locale=C',
    '-E',
    'UTF8',
    '-N',
  );
  const hba = privateFile(join(folder, 'hba.conf'), 'local all all peer\nhostssl all all all scram-sha-256\n', user);
  const settings = {
    listen_addresses: address,
    port: DATABASE_PORT,
    unix_socket_directories: data,
    hba_file: hba,
    ssl: 'on',
    ssl_cert_file: files.certificate,
    ssl_key_file: files.key,
    shared_buffers: '64MB',
    max_connections: 200,
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const daemon = daemonOf(prepared, 'database', [join(postgresBinaries(), 'postgres'), '-D', data, ...options]).start();
  const ask = (sql: string): string => run('psql', '-XAtq', '-h', data, '-U', 'postgres', '-d', 'postgres', '-c', sql);
  await daemon.until(async () => ask('select 1').trim() === '1', START_MS);
  ask(`create role sallyport login password '${password}'`);
  ask('create database sallyport owner sallyport');
  return daemon;
}

async function startRedis(prepared: Prepared): Promise<Daemon> {
  const { folder, address, user, password, files } = prepared;
  const lines = [
    'port 0',
    `tls-port ${REDIS_PORT}`,
    `tls-cert-file ${files.certificate}`,
    `tls-key-file ${files.key}`,
    `tls-ca-cert-file ${files.certificate}`,
    'tls-auth-clients no',
    `bind ${address}`,
    `dir ${privateFolder(join(folder, 'redis'), user)}`,
    'save ""',
    `requirepass ${password}`,
  ];
  const config = privateFile(join(folder, 'redis.conf'), `${lines.join('\n')}\n`, user);
  const daemon = daemonOf(prepared, 'redis', ['redis-server', config]).start();
  await daemon.until(() => listensAt(address, REDIS_PORT), START_MS);
  return daemon;
}

/** Whether somebody takes connections at an address. */
export function listensAt(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
    socket.setTimeout(NOBODY_MS, () => {
      socket.destroy();
      resolve(false);
    });
  });
}
