import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ArchiveContents,
  archiveCommand,
  archiveTrouble,
  configFile,
  DEBIAN_PLACES,
  parseArchiveContents,
  STANZA,
} from '@sallyport/archive';
import { hasProgram } from '@sallyport/local-cluster';
import { CliError } from '../../output.ts';
import { runAsServer } from '../../server-user.ts';

/** pgBackRest's exit code when WAL did not come in time. */
const TIMED_OUT = 82;
/** How long a check waits for WAL to come, s. */
const CHECK_S = 20;

/** Runs pgBackRest with the configuration of this host. @throws CliError with its trouble in words */
export async function pgBackRest(folder: string, ...order: readonly string[]): Promise<string> {
  if (!hasProgram('pgbackrest')) throw new CliError('pgBackRest is not on this machine', 'apt-get install pgbackrest');
  if (!existsSync(configFile({ folder })))
    throw new CliError(
      `pgBackRest is not set up here: there is no ${configFile({ folder })}`,
      'sallyport backup continuous setup --help',
    );
  const { printed, said, code } = await runAsServer(archiveCommand({ folder }, ...order));
  const waiting = code === TIMED_OUT ? whyWalWaits(folder) : '';
  const trouble = archiveTrouble(`${waiting}${printed}${said}`, code);
  if (trouble) throw new CliError(`${trouble.code}: ${trouble.words}`, `all of it: ${logsOf(order[0]!)}`);
  return printed;
}

/** Whether WAL of this moment comes into the repository. @throws CliError with what keeps it away */
export async function checkArchive(folder: string): Promise<void> {
  await pgBackRest(folder, 'check', `--archive-timeout=${CHECK_S}`);
}

/** Why WAL was not sent: pgBackRest leaves it, for each segment, in a file beside what waits. */
function whyWalWaits(folder: string): string {
  const spool = /^spool-path=(.+)$/m.exec(readFileSync(configFile({ folder }), 'utf8'))?.[1] ?? DEBIAN_PLACES.spool;
  const waiting = join(spool, 'archive', STANZA, 'out');
  const errors = existsSync(waiting) ? readdirSync(waiting).filter((name) => name.endsWith('.error')) : [];
  return errors.map((name) => readFileSync(join(waiting, name), 'utf8')).join('\n');
}

/** What the repository holds, as this host sees it. @throws CliError */
export async function archiveContents(folder: string): Promise<ArchiveContents> {
  const contents = parseArchiveContents(await pgBackRest(folder, 'info', '--output=json'));
  const trouble = contents.complaint === undefined ? undefined : archiveTrouble(contents.complaint, 1);
  // Without a backup yet pgBackRest complains, too: whoever asks sees that there is none.
  if (trouble && trouble.code !== 'ERR_ARCHIVE_FAILED') throw new CliError(`${trouble.code}: ${trouble.words}`);
  return contents;
}

function logsOf(verb: string): string {
  return `the log of pgBackRest (log-path in its configuration), sallyport-${verb}.log`;
}
