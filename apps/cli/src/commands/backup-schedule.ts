import type { BackupTargetView, BackupView } from '@sallyport/security-api';
import { status } from '@sallyport/security-api/admin';
import type { Command } from 'commander';
import { addOperatorCommand } from '../operator-command.ts';
import { CliError, formatDuration, formatRows, formatTime } from '../output.ts';
import { type GlobalOptions, globalsOf } from '../program.ts';
import { runOnSecurityHost } from '../security-host.ts';
import { printable } from '../terminal.ts';
import { TARGET } from './backup-exports.ts';

const COLUMNS: readonly string[] = ['target', 'newest', 'verified', 'backups', 'due', 'state'];

/** `sallyport backup schedule`, `backup prune` and `backup target init`. */
export function addBackupScheduleCommands(program: Command): void {
  const backup =
    program.commands.find((one) => one.name() === 'backup') ??
    program.command('backup').description('backups, and what they are restored from');
  addOperatorCommand(backup, {
    name: 'schedule',
    about: 'what is due, and what was last seen of each target',
    run: (admin) => admin.call(status.get),
    json: (view) => view.backup ?? null,
    show: ({ backup: view }) => void process.stdout.write(view ? formatBackup(view) : NONE),
  });
  backup
    .command('prune')
    .description(
      'on a Security host: remove the backups that SALLYPORT_BACKUP_KEEP does not keep; each node does so by itself',
    )
    .option('--dry-run', 'only say what would go')
    .option(...TARGET)
    .action(async ({ dryRun, target }: TargetOptions & { dryRun?: true }, command: Command) => {
      await onHost(globalsOf(command), ['prune', ...targetsOf(target), ...(dryRun ? ['--dry-run'] : [])]);
    });
  backup
    .command('target')
    .description('where backups go')
    .command('init')
    .description(
      'on a Security host: mark the targets of SALLYPORT_BACKUP_TARGETS, so that nothing else is taken for them',
    )
    .option(...TARGET)
    .action(async ({ target }: TargetOptions, command: Command) => {
      await onHost(globalsOf(command), ['init', ...targetsOf(target)]);
    });
}

interface TargetOptions {
  readonly target?: readonly string[];
}

function targetsOf(target: readonly string[] = []): string[] {
  return target.flatMap((place) => ['--target', place]);
}

async function onHost(globals: GlobalOptions, order: readonly string[]): Promise<void> {
  const whole = [...order, ...(globals.json ? ['--json'] : [])];
  if (await runOnSecurityHost(globals, { name: 'backup-targets', order: whole })) return;
  throw new CliError('it was not done at every target', 'run it where Security runs, with the settings that it has');
}

const NONE = `there is no backup. To have one:
  1. sallyport backup keys new       on a machine that is no server; it keeps the identity
  2. set SALLYPORT_BACKUP_RECIPIENTS and SALLYPORT_BACKUP_TARGETS at every Security node
  3. sallyport backup target init    on one of them, with the same settings; then start the nodes again
  4. sallyport backup verify         with the identity, where no server is: only then it counts
docs/operator.md, "Backups", has each of them with an example, also for "npm start"
`;

/** Backups as an operator reads them. */
export function formatBackup(view: BackupView): string {
  const { everyMs, keep, verified, verifiedAgeMs, targets } = view;
  const newest =
    verified && verifiedAgeMs !== null
      ? `${printable(verified.name)} at ${printable(verified.place)}, ${formatDuration(verifiedAgeMs)} old`
      : 'none: a backup counts when it was verified (sallyport backup verify)';
  return [
    `every          ${formatDuration(everyMs)}`,
    `kept           ${printable(keep)}`,
    `verified       ${newest}`,
    '',
    formatRows(targets.map(targetRow), COLUMNS),
  ].join('\n');
}

function targetRow({ place, newest, verified, backups, dueAt, node, trouble }: BackupTargetView): object {
  const state = trouble ? `${trouble.code} since ${formatTime(trouble.since)}: ${trouble.words}` : 'well';
  return {
    target: place,
    newest: newest ? formatTime(newest.takenAt) : '',
    verified: verified ? formatTime(verified.takenAt) : '',
    backups,
    due: node === '' ? formatTime(dueAt) : `at work: ${node}`,
    state,
  };
}
