import type { Command } from 'commander';
import { CliError } from '../output.ts';
import { ownName } from '../own-name.ts';
import { globalsOf } from '../program.ts';
import { saidReason } from '../reason.ts';
import { runOnSecurityHost } from '../security-host.ts';

interface RestoreOptions {
  readonly identity: string;
  readonly target?: string;
  readonly before?: string;
  readonly keyFile?: string;
  readonly actor: string;
  readonly journalIsLost?: true;
  readonly logEndedAt?: string;
  readonly keepOperators?: true;
  readonly host?: readonly string[];
  readonly yes?: true;
}

/** `sallyport backup restore`: on a Security host, or the machine that becomes one. */
export function addRestoreCommand(backup: Command): void {
  backup
    .command('restore [export]')
    .description('on a Security host: restores an export, or the newest that was verified, and begins a new epoch')
    .requiredOption('--identity <file>', 'private half of one of its recipients, from "backup keys new"')
    .option('--target <place>', 'where exports are: a folder, sftp://… or s3://…; or give the path of the export')
    .option('--before <time>', 'the newest that is older than this, like 2026-11-26T14:05:00Z')
    .option('--key-file <file>', 'kek.json of a Security server of this realm; absent: the one that is in place')
    .option('--actor <name>', 'who does this, for the audit log', ownName())
    .option('--journal-is-lost', 'the journal is gone: all users stay out until somebody looks at them')
    .option(
      '--log-ended-at <index>',
      'the log had come to this entry: where copies hold all up to it, nobody stays out',
    )
    .option('--keep-operators', 'operators of the backup go on; absent: they come anew by a one-time token')
    .option('--host <old=new...>', 'hosts that have another name now, wherever the realm names them')
    .option('-y, --yes', 'do not ask: put aside what is here; the database of before is closed, or off for good')
    .action(restore);
}

interface DrillOptions extends Pick<RestoreOptions, 'identity' | 'target' | 'before' | 'keyFile'> {
  readonly scratch?: string;
}

/** `sallyport backup drill`: wherever the keys and an identity are brought together for it. */
export function addDrillCommand(backup: Command): void {
  backup
    .command('drill [export]')
    .description(
      'restores an export as onto an empty machine, into a scratch folder, says what a fire would cost now, and deletes it',
    )
    .requiredOption('--identity <file>', 'private half of one of its recipients, from "backup keys new"')
    .option('--target <place>', 'where exports are: a folder, sftp://… or s3://…; or give the path of the export')
    .option('--before <time>', 'the newest that is older than this, like 2026-11-26T14:05:00Z')
    .option('--key-file <file>', 'kek.json of a Security server of this realm; absent: the one that is in place')
    .option('--scratch <folder>', 'where it is restored meanwhile; absent: with temporary files')
    .action(drill);
}

async function drill(
  which: string | undefined,
  { identity, target, before, keyFile, scratch }: DrillOptions,
  command: Command,
): Promise<void> {
  const globals = globalsOf(command);
  const valued = { target, before, 'key-file': keyFile, scratch };
  const order = [
    ...(which === undefined ? [] : [which]),
    ...['--drill', '--identity', identity],
    ...valuedOrder(valued),
    ...(globals.json ? ['--json'] : []),
  ];
  if (await runOnSecurityHost(globals, { name: 'restore-command', order })) return;
  throw new CliError('it could not be restored', 'after a fire it could not either');
}

function valuedOrder(valued: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(valued).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]));
}

async function restore(which: string | undefined, options: RestoreOptions, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const { json } = globals;
  const reason = saidReason(globals.reason, 'why? a realm is restored for a reason', 'the site burnt down');
  const valued = {
    target: options.target,
    before: options.before,
    'key-file': options.keyFile,
    'log-ended-at': options.logEndedAt,
  };
  const flags = {
    'journal-is-lost': options.journalIsLost,
    'keep-operators': options.keepOperators,
    yes: options.yes,
    json,
  };
  const order = [
    ...(which === undefined ? [] : [which]),
    ...['--identity', options.identity, '--actor', options.actor, '--reason', reason],
    ...valuedOrder(valued),
    ...Object.entries(flags).flatMap(([name, given]) => (given ? [`--${name}`] : [])),
    ...(options.host ?? []).flatMap((host) => ['--host', host]),
  ];
  if (await runOnSecurityHost(globals, { name: 'restore-command', order })) return;
  throw new CliError(
    'it was not restored',
    'mend what it names, or name another export (sallyport backup list); the same again goes on where it was broken off',
  );
}
