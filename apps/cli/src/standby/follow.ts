import { appendFileSync, existsSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { postgresBinaries, privateFile, serverUser } from '@sallyport/local-cluster';
import { CliError } from '../output.ts';
import { runAsServer } from '../server-user.ts';

/** A server writes it whenever it starts, and no copy of its data directory has it. */
const RAN = 'postmaster.opts';

/** What is followed, and where to. */
export interface FollowOptions {
  readonly main: string;
  readonly to: string;
  readonly user: string;
  readonly passwordFile: string;
  readonly ca: string;
  readonly slot?: string;
  readonly name: string;
}

/**
 * Makes a data directory a standby of the database that works now: a new copy takes the place of what is there, which stays beside it.
 * May be broken off and begun again at any point. Gives where what was there is kept.
 * @throws CliError
 */
export async function followDatabase(options: FollowOptions): Promise<string | undefined> {
  const to = resolve(options.to);
  checkStopped(to);
  const password = readPassword(options.passwordFile);
  const passwords = privateFile(`${to}.pgpass`, `*:*:*:${options.user}:${escaped(password)}\n`, serverUser());
  const draft = `${to}.new`;
  rmSync(draft, { recursive: true, force: true });
  await copyTo(draft, { ...options, passwords });
  standAlone(draft);
  return putInPlace(to, draft);
}

function checkStopped(to: string): void {
  try {
    const pid = Number(readFileSync(join(to, 'postmaster.pid'), 'utf8').split('\n')[0]);
    if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('postgres')) return;
  } catch {
    return;
  }
  throw new CliError(`a PostgreSQL runs on ${to}`, 'stop it, and whatever starts it again');
}

function readPassword(file: string): string {
  if ((statSync(file, { throwIfNoEntry: false })?.mode ?? 0) & 0o077)
    throw new CliError(`others may read ${file}`, `chmod 600 ${file}`);
  if (!existsSync(file)) throw new CliError(`there is no ${file}`);
  return readFileSync(file, 'utf8').trim();
}

/** As a file of passwords has it. */
function escaped(text: string): string {
  return text.replace(/[\\:]/g, (character) => `\\${character}`);
}

async function copyTo(
  draft: string,
  { main, user, ca, slot, name, passwords }: FollowOptions & { readonly passwords: string },
): Promise<void> {
  const servers = main.split(',').map((text) => /^([A-Za-z0-9.-]+):(\d+)$/.exec(text.trim()));
  if (servers.some((one) => one === null)) throw new CliError(`${main} is not host:port,…`);
  const part = (i: number): string => servers.map((one) => one![i]).join();
  const connection = [
    `host=${part(1)} port=${part(2)} user=${user} passfile=${passwords} application_name=${name}`,
    `sslmode=verify-ca sslrootcert=${ca} target_session_attrs=read-write connect_timeout=3`,
  ].join(' ');
  const slots = slot === undefined ? [] : ['--slot', slot];
  const how = ['--wal-method=stream', '--checkpoint=fast', '--write-recovery-conf', ...slots];
  const { said, code } = await runAsServer([
    join(postgresBinaries(), 'pg_basebackup'),
    '-d',
    connection,
    '-D',
    draft,
    ...how,
  ]);
  if (code !== 0) throw new CliError(`the database at ${main} could not be copied`, said.trim().split('\n').at(-1));
}

/**
 * Settings come along with the copy. What the other site's commits wait for is not here: a commit would wait for ever once this
 * one is a primary.
 */
function standAlone(draft: string): void {
  appendFileSync(join(draft, 'postgresql.auto.conf'), "synchronous_standby_names = ''\n");
}

/**
 * What was there stays until the next time: it may hold what the other database never got. A copy on which no server ever ran holds
 * nothing of its own, so that what stays is not lost when the command is repeated after its last step. Gives where what was there is.
 */
export function putInPlace(to: string, draft: string): string | undefined {
  const kept = `${to}.before`;
  const lived = existsSync(join(to, RAN));
  if (lived) {
    rmSync(kept, { recursive: true, force: true });
    renameSync(to, kept);
  } else rmSync(to, { recursive: true, force: true });
  renameSync(draft, to);
  return existsSync(kept) ? kept : undefined;
}
