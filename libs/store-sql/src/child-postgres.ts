import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreError } from '@sallyport/access';
import pg from 'pg';
import { findPostgres } from './binaries.ts';
import { canReach, type DatabaseUser, databaseUser } from './database-user.ts';
import type { DatabaseAddress } from './primary.ts';

const USER = 'sallyport';
const DATABASE = 'postgres';
const PORT = 5432;
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;
/** Longest path of a Unix socket on Linux, less the name that PostgreSQL adds. */
const MAX_SOCKET_FOLDER = 85;
/** Where the database goes when its own user could not reach the asked-for folder. */
const FALLBACK_ROOT = '/var/lib/sallyport';

/** Server settings: durable, no TCP, and nothing of a statement's values in any log. */
const SETTINGS = {
  listen_addresses: '',
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  max_connections: '60',
  shared_buffers: '64MB',
  log_parameter_max_length: '0',
  log_parameter_max_length_on_error: '0',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  unix_socket_permissions: '0777',
  timezone: 'UTC',
} as const;

/** Where the child PostgreSQL keeps its things. */
export interface ChildPostgresOptions {
  /** Folder of the cluster, its log and its socket. */
  readonly folder: string;
  /** File with the password of our role, mode 0600, outside of the database. Made at the first start. */
  readonly passwordFile: string;
  /** Folder of initdb and postgres; a system PostgreSQL or the embedded one unless given. */
  readonly binaries?: string;
}

/**
 * A real PostgreSQL as our own child process, on a Unix socket. Starting it first stops a server that a killed parent
 * left on the same folder. One per folder.
 */
export class ChildPostgres {
  readonly #binaries: string;
  readonly #folder: string;
  readonly #socketFolder: string;
  readonly #user: DatabaseUser | undefined;
  readonly #password: string;
  #process: ChildProcess | undefined;
  #stopping = false;

  private constructor(place: { binaries: string; folder: string; user: DatabaseUser | undefined; password: string }) {
    this.#binaries = place.binaries;
    this.#folder = place.folder;
    this.#user = place.user;
    this.#password = place.password;
    this.#socketFolder = socketFolderOf(place.folder);
  }

  /** Creates the cluster when there is none, clears up after a dead parent, and starts the server. */
  static async start(options: ChildPostgresOptions): Promise<ChildPostgres> {
    const user = databaseUser();
    const folder = reachableFolder(resolve(options.folder), user);
    const binaries = reachableBinaries(options.binaries ?? findPostgres(), folder, user);
    const password = readOrMakePassword(options.passwordFile);
    const server = new ChildPostgres({ binaries, folder, user, password });
    await stopOrphan(server.#cluster);
    server.#initialise();
    try {
      await server.#launch();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** How to connect to a server that another process of this machine runs on a folder. */
  static addressOf({ folder, passwordFile }: Pick<ChildPostgresOptions, 'folder' | 'passwordFile'>): DatabaseAddress {
    const socketFolder = socketFolderOf(realpathSync(folder));
    return {
      host: socketFolder,
      port: PORT,
      user: USER,
      password: readOrMakePassword(passwordFile),
      database: DATABASE,
    };
  }

  /** How to connect. */
  get address(): DatabaseAddress {
    return { host: this.#socketFolder, port: PORT, user: USER, password: this.#password, database: DATABASE };
  }

  /** Process id of the server. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Stops the server cleanly: clients are cut, everything is on disk. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((done) => child.once('exit', () => done()));
    child.kill('SIGINT');
    const timeout = setTimeout(() => child.kill('SIGQUIT'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timeout);
  }

  get #cluster(): string {
    return join(this.#folder, 'cluster');
  }

  #initialise(): void {
    if (existsSync(join(this.#cluster, 'PG_VERSION'))) return;
    // A first start that was killed leaves half a cluster, in which nothing was acknowledged yet.
    const draft = join(this.#folder, 'cluster.new');
    rmSync(draft, { recursive: true, force: true });
    const passwordFile = join(this.#folder, 'initdb-password');
    writeFileSync(passwordFile, this.#password, { mode: 0o600 });
    this.#own(passwordFile);
    const args = ['-D', draft, '-U', USER, '--auth=scram-sha-256', `--pwfile=${passwordFile}`];
    const run = spawnSync(
      join(this.#binaries, 'initdb'),
      [...args, '--encoding=UTF8', '--locale=C', '--data-checksums'],
      {
        ...this.#user,
        env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
        cwd: this.#folder,
        encoding: 'utf8',
      },
    );
    rmSync(passwordFile, { force: true });
    if (run.status !== 0) {
      throw new StoreError('ERR_STORE_UNAVAILABLE', `initdb failed: ${run.stderr || run.error?.message}`);
    }
    renameSync(draft, this.#cluster);
  }

  async #launch(): Promise<void> {
    mkdirSync(this.#socketFolder, { recursive: true, mode: 0o755 });
    this.#own(this.#socketFolder);
    const logFile = join(this.#folder, 'postgres.log');
    appendFileSync(logFile, '', { mode: 0o600 });
    const log = openSync(logFile, 'a');
    const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!this.#stopping) {
      const child = spawn(
        join(this.#binaries, 'postgres'),
        ['-D', this.#cluster, '-k', this.#socketFolder, '-p', String(PORT), ...settings],
        { ...this.#user, cwd: this.#folder, env: { LC_ALL: 'C' }, stdio: ['ignore', log, log], detached: true },
      );
      this.#process = child;
      if (await this.#accepting(child, deadline)) break;
      if (Date.now() > deadline)
        throw new StoreError('ERR_STORE_UNAVAILABLE', `PostgreSQL does not start, see ${logFile}`);
      // Children of a killed server may hold its shared memory for a moment.
      await sleep(200);
    }
    this.#process?.once('exit', () => void this.#restart());
  }

  /** A server that dies under us is started again; its clients see ERR_STORE_UNAVAILABLE until then. */
  async #restart(): Promise<void> {
    if (this.#stopping) return;
    await sleep(200);
    await this.#launch().catch(() => undefined);
  }

  async #accepting(child: ChildProcess, deadline: number): Promise<boolean> {
    let exited = false;
    child.once('exit', () => {
      exited = true;
    });
    child.once('error', () => {
      exited = true;
    });
    while (!exited && Date.now() < deadline) {
      const client = new pg.Client({ ...this.address, connectionTimeoutMillis: 1_000 });
      try {
        await client.connect();
        return true;
      } catch {
        await sleep(30);
      } finally {
        await client.end().catch(() => undefined);
      }
    }
    return false;
  }

  #own(path: string): void {
    if (this.#user) chownSync(path, this.#user.uid, this.#user.gid);
  }
}

function prepareFolder(folder: string, user: DatabaseUser | undefined): string {
  // The folder above stays passable: the database's user must get through it.
  mkdirSync(dirname(folder), { recursive: true, mode: 0o755 });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (user) chownSync(folder, user.uid, user.gid);
  return folder;
}

/** The folder itself, or one elsewhere with a link in its place when the database's user could not get there. */
function reachableFolder(folder: string, user: DatabaseUser | undefined): string {
  const linked = lstatSync(folder, { throwIfNoEntry: false })?.isSymbolicLink();
  if (!linked) prepareFolder(folder, user);
  if (linked || canReach(user, folder)) return realpathSync(folder);
  mkdirSync(FALLBACK_ROOT, { recursive: true, mode: 0o755 });
  // A name of its own each time: whoever deletes the folder with the link starts anew, not on an old database.
  const elsewhere = prepareFolder(mkdtempSync(join(FALLBACK_ROOT, 'database-')), user);
  rmSync(folder, { recursive: true, force: true });
  symlinkSync(elsewhere, folder);
  return elsewhere;
}

/** The binaries themselves, or a copy beside the cluster when the database's user could not run them. */
function reachableBinaries(binaries: string, folder: string, user: DatabaseUser | undefined): string {
  if (canReach(user, binaries)) return binaries;
  const copy = join(folder, 'postgres');
  if (!existsSync(join(copy, 'bin', 'initdb')))
    cpSync(dirname(binaries), copy, { recursive: true, verbatimSymlinks: true });
  return join(copy, 'bin');
}

function socketFolderOf(folder: string): string {
  const beside = join(folder, 'socket');
  if (beside.length <= MAX_SOCKET_FOLDER) return beside;
  return join('/tmp', `sallyport-${createHash('sha256').update(folder).digest('hex').slice(0, 16)}`);
}

function readOrMakePassword(file: string): string {
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const password = randomBytes(24).toString('base64url');
  writeFileSync(file, password, { mode: 0o600, flush: true });
  chmodSync(file, 0o600);
  return password;
}

/** Stops a server that a killed process left on a folder, if there is one. */
export async function stopLeftPostgres(folder: string): Promise<void> {
  if (existsSync(folder)) await stopOrphan(join(realpathSync(folder), 'cluster'));
}

/** Stops the server of a parent that was killed, if one still runs on this cluster. */
async function stopOrphan(cluster: string): Promise<void> {
  const pid = orphanOf(cluster);
  if (pid === undefined) return;
  const deadline = Date.now() + STOP_TIMEOUT_MS;
  process.kill(pid, 'SIGINT');
  while (orphanOf(cluster) === pid) {
    if (Date.now() > deadline)
      throw new StoreError('ERR_STORE_UNAVAILABLE', `an older PostgreSQL (process ${pid}) does not stop`);
    await sleep(50);
  }
}

/** Process id of a live server on this cluster, by its pid file and what the process really is. */
function orphanOf(cluster: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split('\n')[0]);
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return command[0]?.endsWith('postgres') && command.includes(cluster) ? pid : undefined;
  } catch {
    return undefined;
  }
}
