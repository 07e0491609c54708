import { writeFileSync } from 'node:fs';
import type { BaseBackup } from '@sallyport/archive';
import { safeguards, status } from '@sallyport/security-api/admin';
import { readJsonFile } from '@sallyport/settings';
import type { Command } from 'commander';
import { addOperatorCommand } from '../../operator-command.ts';
import { CliError, formatBytes, formatRows, formatTime, printJson } from '../../output.ts';
import { globalsOf } from '../../program.ts';
import { say } from '../../terminal.ts';
import { userPath } from '../../user-path.ts';
import { archiveContents, checkArchive, pgBackRest } from './pgbackrest.ts';
import { restoreArchive } from './restore.ts';
import { type SetupOptions, setUpArchive } from './setup.ts';
import { type ArchivedRealm, verifyArchive } from './verify.ts';

const FOLDER = '/etc/pgbackrest';
const FOLDER_OPTION = ['--folder <folder>', "folder of pgBackRest's configuration", FOLDER] as const;
const BACKUP_TYPES = ['auto', 'full', 'diff', 'incr'];
/** A full backup is made anew after so long, ms: what it and its WAL keep can go only then. */
const FULL_EVERY_MS = 7 * 86_400_000;
/** One against the last full, ms: a restore then reads few of those in between. A little less than a day, for a timer. */
const DIFF_EVERY_MS = 23 * 3_600_000;

/** `sallyport backup continuous …`: on the hosts of the database and of the repository. */
export function addContinuousCommands(program: Command): void {
  const backup =
    program.commands.find((one) => one.name() === 'backup') ??
    program.command('backup').description('backups, and what they are restored from');
  const continuous = backup
    .command('continuous')
    .description(
      'all WAL of the database to a repository on another host, with pgBackRest: seconds are lost, not minutes',
    );
  addSetup(continuous);
  continuous
    .command('check')
    .description('does WAL of this moment reach the repository?')
    .option(...FOLDER_OPTION)
    .action(async ({ folder }: { folder: string }) => {
      await checkArchive(folder);
      say`WAL of this moment is in the repository\n`;
    });
  continuous
    .command('run')
    .description('on the host of the repository: a base backup, and what is too old goes')
    .option(
      '--type <type>',
      `${BACKUP_TYPES.join(', ')}: of all files, or of those changed since the last full, or any, one; auto: a full one each week, a diff each day, else incr`,
      'auto',
    )
    .option(...FOLDER_OPTION)
    .action(runBackup);
  continuous
    .command('status')
    .description('what the repository holds')
    .option(...FOLDER_OPTION)
    .action(showContents);
  addRestore(continuous);
  addVerify(continuous);
}

function addSetup(continuous: Command): void {
  continuous
    .command('setup')
    .description("writes pgBackRest's configuration of this host")
    .requiredOption('--role <role>', 'what this host is: repository or database')
    .requiredOption('--repository <host[:port]>', 'host of the repository; no database host')
    .requiredOption(
      '--database <hosts...>',
      'all database hosts, each of which may become the primary, as host or host:port',
    )
    .option('--name <host>', 'which of the database hosts this one is')
    .option('--certificate-name <name>', 'common name in all certificates; absent: each is called as its host')
    .option('--data-folder <folder>', 'data directory of PostgreSQL', '/var/lib/postgresql/15/sallyport')
    .option('--socket <folder>', 'folder of its Unix socket', '/var/run/postgresql')
    .option('--postgres-port <port>', 'its port', '5432')
    .option('--repository-folder <folder>', 'where backups and WAL are kept, encrypted', '/var/lib/pgbackrest')
    .option('--keep-days <n>', 'how long any moment can be gone back to', '14')
    .option('--passphrase-file <file>', 'file with the passphrase of the repository; absent: one is made')
    .option('--tls <folder>', 'folder of ca.pem, server.pem and server.key', '/etc/sallyport/tls')
    .option(
      '--repository-config <folder>',
      "folder of pgBackRest's configuration on the repository's host; absent: as here",
    )
    .option('--work <folder>', 'folder for logs, locks and what waits; absent: those of the Debian package')
    .option(...FOLDER_OPTION)
    .action((options: SetupOptions) => setUpArchive(options));
}

function addRestore(continuous: Command): void {
  continuous
    .command('restore')
    .description(
      'on a database host that no node uses: the newest state, or that before a moment; then a new epoch opens it',
    )
    .requiredOption('--to <folder>', 'data directory, empty')
    .option('--before <time>', 'what was committed from then on is left out, like 2026-11-26T14:05:00Z')
    .option('--database <name>', 'database with the realms', 'sallyport')
    .option('--superuser <name>', 'superuser of PostgreSQL', 'postgres')
    .option(...FOLDER_OPTION)
    .action(restore);
}

function addVerify(continuous: Command): void {
  continuous
    .command('verify')
    .description(
      'on any host of the archive: restores the newest state into a scratch folder, looks whether it holds together, and removes it',
    )
    .option('--scratch <folder>', 'with room for the whole database; absent: that of temporary files')
    .option('--receipt <file>', 'where the receipt is written', 'archive-receipt.json')
    .option('--database <name>', 'database with the realms', 'sallyport')
    .option('--superuser <name>', 'superuser of PostgreSQL', 'postgres')
    .option(...FOLDER_OPTION)
    .action(verify);
  addOperatorCommand(continuous, {
    name: 'receipt <file>',
    about: 'as an operator: put on record what "verify" has found, so that the status knows',
    run: async (admin, { reason }, file: string) => {
      const all = readReceipt(file);
      const { realm } = await admin.call(status.get);
      const body = all.find((one) => one.realm === realm);
      if (!body) throw new CliError(`${file} says nothing of realm ${realm}`);
      return admin.call(safeguards.prove, { body, reason });
    },
    show: () => say`✔ the archive counts as verified from now on, for a week\n`,
  });
}

function readReceipt(file: string): readonly ArchivedRealm[] {
  try {
    return readJsonFile(userPath(file)) as ArchivedRealm[];
  } catch (cause) {
    throw new CliError(`${file} is no receipt of an archive (${(cause as Error).message})`);
  }
}

interface VerifyOptions extends Omit<RestoreOptions, 'to' | 'before'> {
  readonly scratch?: string;
  readonly receipt: string;
}

async function verify(options: VerifyOptions, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const { scratch, receipt, ...order } = options;
  const { newest, realms, tookMs } = await verifyArchive(globals, { ...order, scratch: scratch && userPath(scratch) });
  writeFileSync(userPath(receipt), `${JSON.stringify(realms)}\n`, { flush: true });
  if (globals.json) return printJson({ newest, realms, tookMs, receipt });
  const names = realms.map(({ realm, audit }) => `${realm} up to event ${audit.seq}`).join(', ');
  say`✔ the archive can be restored: ${names}, in ${Math.round(tookMs / 1_000)} s; newest transaction: ${newest ?? 'that of the backup'}
next: where an operator is, sallyport backup continuous receipt ${receipt}
`;
}

async function runBackup({ type, folder }: { type: string; folder: string }, command: Command): Promise<void> {
  if (!BACKUP_TYPES.includes(type)) throw new CliError(`there is no type ${type}`, `--type ${BACKUP_TYPES.join(', ')}`);
  // Harmless where it is known already.
  await pgBackRest(folder, 'stanza-create');
  await pgBackRest(folder, 'backup', `--type=${type === 'auto' ? await dueType(folder) : type}`);
  await showContents({ folder }, command);
}

async function dueType(folder: string): Promise<BaseBackup['type']> {
  const { backups } = await archiveContents(folder);
  const age = (types: readonly string[]): number =>
    Date.now() - (backups.findLast(({ type }) => types.includes(type))?.endedAt ?? 0);
  if (age(['full']) > FULL_EVERY_MS) return 'full';
  return age(['full', 'diff']) > DIFF_EVERY_MS ? 'diff' : 'incr';
}

async function showContents({ folder }: { folder: string }, command: Command): Promise<void> {
  const contents = await archiveContents(folder);
  if (globalsOf(command).json) return printJson(contents);
  const { backups, newestWal } = contents;
  const rows = backups.map((one) => ({ ...one, bytes: formatBytes(one.bytes), damaged: one.damaged ? 'DAMAGED' : '' }));
  process.stdout.write(formatRows(rows, ['label', 'type', 'startedAt', 'endedAt', 'bytes', 'damaged']));
  say`newest WAL     ${newestWal ?? 'none'}\n`;
  const [oldest] = backups;
  if (!oldest)
    throw new CliError(
      'there is no base backup: nothing can be restored',
      'sallyport backup continuous run --type full, on the host of the repository',
    );
  say`any moment since ${formatTime(oldest.endedAt)} can be restored\n`;
}

interface RestoreOptions {
  readonly to: string;
  readonly before?: string;
  readonly database: string;
  readonly superuser: string;
  readonly folder: string;
}

async function restore(options: RestoreOptions, command: Command): Promise<void> {
  const before = options.before === undefined ? undefined : Date.parse(options.before);
  if (Number.isNaN(before)) throw new CliError(`${options.before} is no time`, 'like 2026-11-26T14:05:00Z');
  const restored = await restoreArchive({ ...options, before });
  if (globalsOf(command).json) return printJson(restored);
  const { newest, realms, tookMs } = restored;
  say`restored into ${options.to} in ${Math.round(tookMs / 1_000)} s
newest transaction in it: ${newest ?? 'that of the backup'}; what was acknowledged later is lost
closed: ${realms.join(', ')}: no node starts on it before it has a new epoch

next: 1. start its server; with Patroni on this host first, after "patronictl remove sallyport" where that knows the old one
      2. on a Security host, its settings naming this server:
           sallyport realm new-epoch --old-database-is-off --reason …
         (--old-database-is-closed where the old one was closed with "realm close")
      3. start the Security servers
      4. on the host of the repository: sallyport backup continuous run --type full
`;
}
