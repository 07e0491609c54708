import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { archiveTrouble } from '@sallyport/archive';
import { postgresBinaries, privateFile, privateFolder, serverUser } from '@sallyport/local-cluster';
import { makeUntilSignals } from '@sallyport/settings';
import { CliError } from '../../output.ts';
import { asServer, runAsServer } from '../../server-user.ts';
import { pgBackRest } from './pgbackrest.ts';

/** What is restored, and where to. */
export interface RestoreOrder {
  /** Folder of pgBackRest's configuration on this host. */
  readonly folder: string;
  /** Data directory to restore into: empty, or of a restore that was broken off. */
  readonly to: string;
  /** Epoch ms: what was committed from then on is left out; undefined for all that there is. */
  readonly before: number | undefined;
  readonly database: string;
  readonly superuser: string;
}

/** A database that was restored; it is closed, and its server is stopped. */
export interface RestoredArchive {
  /** When the newest transaction in it was committed, as PostgreSQL says it; undefined when it is not known. */
  readonly newest: string | undefined;
  readonly realms: readonly string[];
  readonly tookMs: number;
}

const LOOK_MS = 200;
/** The server of a try that was killed is told to end by that, ms. */
const ENDS_WITHIN_MS = 60_000;
const NEWEST = /last completed transaction was at log time ([^\n]+)/;

/**
 * Restores the database into a folder, replays the archived WAL on a private socket, and closes every realm in it: no node
 * starts on it before it has a new epoch. May be broken off and begun again at any point.
 * @throws CliError
 */
export async function restoreArchive(order: RestoreOrder): Promise<RestoredArchive> {
  const startedAt = performance.now();
  const to = resolve(order.to);
  const mark = join(dirname(to), `.${basename(to)}.restoring`);
  await untilLeft(to, mark);
  checkFree(to, mark);
  privateFile(mark, 'an unfinished restore: the same command begins it again\n', serverUser());
  await fetchFiles({ ...order, to });
  const { newest, done: realms } = await withRestored({ ...order, to }, ({ ask }) => closeRealms(ask));
  rmSync(mark);
  return { newest, realms, tookMs: performance.now() - startedAt };
}

/** The server of a try that was killed ends by itself, soon. */
async function untilLeft(to: string, mark: string): Promise<void> {
  const until = performance.now() + ENDS_WITHIN_MS;
  while (existsSync(mark) && serverRuns(to) && performance.now() < until) await sleep(LOOK_MS);
}

/** Nothing that somebody may still need is overwritten. */
function checkFree(to: string, mark: string): void {
  if (serverRuns(to)) throw new CliError(`a PostgreSQL runs on ${to}`, 'stop it, and whatever starts it again');
  const used = existsSync(to) && readdirSync(to).length > 0;
  if (!used || existsSync(mark)) return;
  throw new CliError(
    `${to} is not empty: nothing is overwritten`,
    'restore into another folder, or move what is there out of the way',
  );
}

function serverRuns(to: string): boolean {
  try {
    const pid = Number(readFileSync(join(to, 'postmaster.pid'), 'utf8').split('\n')[0]);
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('postgres');
  } catch {
    return false;
  }
}

/** Brings the files of the newest base backup that fits; those of an earlier try are compared, not fetched again. @throws CliError */
export async function fetchFiles({ folder, to, before }: RestoreOrder): Promise<void> {
  privateFolder(to, serverUser());
  // A server of an earlier try that was killed left it; it does not run, that was looked at.
  rmSync(join(to, 'postmaster.pid'), { force: true });
  const target = before === undefined ? [] : ['--type=time', '--target-exclusive', `--target=${formatTarget(before)}`];
  const promoted = before === undefined ? [] : ['--target-action=promote'];
  // Files that an earlier try brought are compared, not fetched again.
  await pgBackRest(folder, 'restore', `--pg1-path=${to}`, '--delta', '--force', ...target, ...promoted);
}

/** As PostgreSQL reads it: 2026-11-26 14:05:00.123+00. */
function formatTarget(at: number): string {
  return new Date(at).toISOString().replace('T', ' ').replace('Z', '+00');
}

/** A server that has replayed everything, and that nobody else reaches. */
export interface RestoredServer {
  /** Folder of its Unix socket. */
  readonly socket: string;
  /** Asks it in SQL; undefined for what it refuses. */
  ask(sql: string): Promise<string | undefined>;
}

/**
 * Runs the server on a socket that nobody else reaches until it has replayed everything, then does some work on it, and stops it.
 * `newest` is when the newest transaction in it was committed, as PostgreSQL says it. @throws CliError
 */
export async function withRestored<T>(
  order: RestoreOrder,
  work: (server: RestoredServer) => Promise<T>,
): Promise<{ readonly newest: string | undefined; readonly done: T }> {
  const { made, forget } = makeUntilSignals(() => startAlone(order), stopAlone);
  const { run, binaries, server } = made;
  const log = keepLog(server);
  try {
    const ask = (sql: string, database = order.database) => askServer({ ...order, database }, { run, binaries, sql });
    await untilOpen(server, { log, ask: () => ask('select pg_is_in_recovery()', 'postgres') });
    const done = await work({ socket: run, ask: (sql) => ask(sql) });
    return { newest: NEWEST.exec(log.text)?.[1]?.trim(), done };
  } finally {
    await stopAlone(made);
    forget();
  }
}

interface Running {
  readonly run: string;
  readonly binaries: string;
}

interface Alone extends Running {
  readonly server: ChildProcess;
}

/** Starts the server with a folder for its socket. */
function startAlone(order: RestoreOrder): Alone {
  const run = privateFolder(mkdtempSync(join(tmpdir(), 'sallyport-restore-')), serverUser());
  const binaries = postgresBinaries();
  return { run, binaries, server: startServer(order, { run, binaries }) };
}

async function stopAlone({ run, server }: Alone): Promise<void> {
  await stopServer(server);
  rmSync(run, { recursive: true, force: true });
}

/** Settings of its own: those of the data directory may name files, addresses and an archive of another host. */
function startServer({ to, superuser }: RestoreOrder, { run, binaries }: Running): ChildProcess {
  const user = serverUser();
  const access = privateFile(join(run, 'pg_hba.conf'), `local all ${superuser} trust\n`, user);
  const settings = [
    `hba_file = '${access}'`,
    `unix_socket_directories = '${run}'`,
    "listen_addresses = ''",
    'hot_standby = off',
    // What it writes is kept for the archive, which the server that is started on it afterwards feeds.
    'archive_mode = on',
    "archive_command = ''",
    "log_timezone = 'UTC'",
  ];
  const config = privateFile(join(run, 'postgresql.conf'), `${settings.join('\n')}\n`, user);
  const [program, ...args] = asServer([join(binaries, 'postgres'), '-D', to, '-c', `config_file=${config}`]);
  return spawn(program, args, { cwd: run, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
}

function keepLog(server: ChildProcess): { text: string } {
  const log = { text: '' };
  for (const stream of [server.stdout!, server.stderr!])
    stream.on('data', (data) => {
      log.text = (log.text + String(data)).slice(-200_000);
    });
  return log;
}

/** Waits as long as it replays: nobody knows how much there is. */
async function untilOpen(
  server: ChildProcess,
  { log, ask }: { readonly log: { readonly text: string }; readonly ask: () => Promise<string | undefined> },
): Promise<void> {
  while ((await ask()) !== 'f') {
    if (server.exitCode !== null || server.signalCode !== null) {
      const { code, words } = archiveTrouble(log.text, 1)!;
      const [last = ''] = log.text.match(/FATAL: .*/g)?.slice(-1) ?? [];
      // Of the repository nothing is written here: it is the disk of the folder that it is restored into.
      if (/No space left on device/.test(last)) throw new CliError('there is no room for the restored database', last);
      throw new CliError(`the restored database did not open: ${code}: ${words}`, last);
    }
    await sleep(LOOK_MS);
  }
}

async function askServer(
  { superuser, database }: RestoreOrder,
  { run, binaries, sql }: Running & { readonly sql: string },
): Promise<string | undefined> {
  const options = ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', run, '-U', superuser, '-d', database];
  const { printed, code } = await runAsServer([join(binaries, 'psql'), ...options, '-c', sql]);
  return code === 0 ? printed.trim() : undefined;
}

/** What was acknowledged after the moment that it was restored to is lost: only a new epoch may open it. */
async function closeRealms(ask: (sql: string) => Promise<string | undefined>): Promise<string[]> {
  const closed = await ask('update "realms" set "closed" = true returning "realm"');
  if (closed === undefined)
    throw new CliError('there is no realm in what was restored', 'its database is called otherwise? --database NAME');
  return closed.split('\n').filter((name) => name !== '');
}

async function stopServer(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise<void>((done) => server.once('exit', () => done()));
  server.kill('SIGINT');
  await ended;
}
