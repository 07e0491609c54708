import type { Command } from 'commander';
import { CliError } from '../output.ts';
import { ownName } from '../own-name.ts';
import { type GlobalOptions, globalsOf } from '../program.ts';
import { saidReason } from '../reason.ts';
import { runOnSecurityHost } from '../security-host.ts';

interface NewEpochOptions {
  readonly actor: string;
  readonly oldDatabaseIsClosed?: true;
  readonly oldDatabaseIsOff?: true;
  readonly journalIsLost?: true;
  readonly copyIsWhole?: true;
  readonly supersedes?: readonly string[];
}

/** `sallyport realm close` and `realm new-epoch`: for whoever restores a database, on a Security host. */
export function addRealmLifeCommands(realm: Command): void {
  realm
    .command('close')
    .description('on a Security host: nothing is given from its database any more; before a backup takes its place')
    .option('--actor <name>', 'who does this, for the audit log', ownName())
    .action(async ({ actor }: { actor: string }, command: Command) => {
      await carryOut(globalsOf(command), ['close', '--actor', actor]);
    });
  realm
    .command('new-epoch')
    .description('on a Security host: brings back what was revoked, after its database was restored from a backup')
    .option('--actor <name>', 'who does this, for the audit log', ownName())
    .option('--old-database-is-closed', 'the database of before was closed with "realm close"')
    .option('--old-database-is-off', 'its server was switched off, and stays off')
    .option('--journal-is-lost', 'the journal or a part of it is gone: all users stay out until somebody looks at them')
    .option('--copy-is-whole', 'the files of the database were copied from a snapshot, or while nothing wrote')
    .option(
      '--supersedes <epochs...>',
      'other epochs that this one takes the place of; nodes name theirs in their files',
    )
    .action(beginNewEpoch);
}

async function beginNewEpoch(options: NewEpochOptions, command: Command): Promise<void> {
  const { oldDatabaseIsClosed: closed, oldDatabaseIsOff: off, journalIsLost: lost, supersedes = [] } = options;
  if (!closed && !off)
    throw new CliError(
      'what became of the database of before? as long as it is used, nothing that is revoked here is safe',
      'close it and add --old-database-is-closed, or switch its server off and add --old-database-is-off',
    );
  await carryOut(globalsOf(command), [
    'new-epoch',
    ...['--actor', options.actor],
    ...(closed ? ['--old-database-is-closed'] : []),
    ...(off ? ['--old-database-is-off'] : []),
    ...(lost ? ['--journal-is-lost'] : []),
    ...(options.copyIsWhole ? ['--copy-is-whole'] : []),
    ...supersedes.flatMap((epoch) => ['--supersedes', epoch]),
  ]);
}

async function carryOut(globals: GlobalOptions, order: readonly string[]): Promise<void> {
  const { json } = globals;
  const words = 'why? a realm is closed and begins anew for a reason';
  const reason = saidReason(globals.reason, words, 'restored from Monday');
  const whole = [...order, '--reason', reason, ...(json ? ['--json'] : [])];
  if (await runOnSecurityHost(globals, { name: 'realm-command', order: whole })) return;
  throw new CliError('it was not carried out', 'run it where Security runs, with the settings that it has');
}
