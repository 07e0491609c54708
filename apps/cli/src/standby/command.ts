import { userInfo } from 'node:os';
import { safeguards } from '@sallyport/security-api/admin';
import type { Command } from 'commander';
import { addOperatorCommand, type Given } from '../operator-command.ts';
import { CliError } from '../output.ts';
import { globalsOf } from '../program.ts';
import { saidReason } from '../reason.ts';
import { runOnSecurityHost } from '../security-host.ts';
import { say } from '../terminal.ts';
import { type FollowOptions, followDatabase } from './follow.ts';

/** A standby that is gone for good is missed no more. */
function addForget(standby: Command): void {
  addOperatorCommand(standby, {
    name: 'forget <name>',
    about: 'as an operator: a standby, or a copy, that will not come back is missed no more',
    options: [['--copy', 'the name is of a copy']],
    run: (admin, { reason, options }: Given<{ copy?: true }>, name: string) =>
      admin.call(safeguards.forget, { params: { kind: options.copy ? 'copy' : 'standby', name }, reason }),
    show: ({ done }, _given, name: string) => say`${done ? `${name} is forgotten` : `nobody knows of ${name}`}\n`,
  });
}

interface TakeoverOptions {
  readonly actor: string;
  readonly oldDatabaseIsOff?: true;
  readonly journalIsLost?: true;
  readonly promoteWith?: string;
  readonly waitS: string;
}

/** `sallyport standby …`: a second site with only the replicated database takes over, and back again. */
export function addStandbyCommands(program: Command): void {
  const standby = program
    .command('standby')
    .description('a second site with only the replicated database takes over, and back again');
  addFollow(standby);
  addTakeover(standby);
  addCopy(standby);
  addForget(standby);
  standby
    .command('status')
    .description('on a Security host of the second site: does its database follow, and how far is it?')
    .action(async (_options, command: Command) => {
      const globals = globalsOf(command);
      const order = ['status', ...(globals.json ? ['--json'] : [])];
      if (!(await runOnSecurityHost(globals, { name: 'standby-command', order })))
        throw new CliError('this site could not take over now', 'its database is the one of SALLYPORT_DATABASE_HOSTS');
    });
}

function addFollow(standby: Command): void {
  standby
    .command('follow')
    .description(
      'on the database host of a site: copies the database that works now, and follows it; also the way back',
    )
    .requiredOption('--main <hosts>', 'host:port,… of the database that works now; the primary among them is found')
    .requiredOption('--to <folder>', 'data directory; what is in it is kept beside it')
    .requiredOption('--password-file <file>', 'file with the password of the role, mode 0600')
    .option('--user <role>', 'role with replication, and nothing else', 'replicator')
    .option('--ca <file>', 'PEM file: CA of that database', '/etc/sallyport/tls/ca.pem')
    .option('--slot <name>', 'replication slot there: it keeps what this site has not fetched yet')
    .option('--name <name>', 'what this site is called in the status there', 'standby-site')
    .action(async (options: FollowOptions) => {
      const kept = await followDatabase(options);
      say`${options.to} is a copy of the database at ${options.main}${kept === undefined ? '' : `; what was there is in ${kept}`}
next: start its PostgreSQL, it follows from then on; "sallyport standby status" on a Security host of this site shows it
`;
    });
}

function addTakeover(standby: Command): void {
  standby
    .command('takeover')
    .description(
      'on a Security host of the second site: closes the first one, and opens this one with everything that is there',
    )
    .option('--actor <name>', 'who does this, for the audit log', ownName())
    .option('--old-database-is-off', "the server of the other site's database was switched off, and stays off")
    .option(
      '--journal-is-lost',
      'the journal is gone with the other site: all users stay out until somebody looks at them',
    )
    .option('--promote-with <command>', 'what makes the standby a primary, where something else decides that (Patroni)')
    .option('--wait-s <n>', 'how long the close of the other database may take to arrive here, s', '60')
    .action(takeOver);
}

interface CopyOptions {
  readonly to?: string;
  readonly script?: string;
  readonly toPasswordFile?: string;
  readonly toCa?: string;
  readonly everyMin?: string;
}

function addCopy(standby: Command): void {
  standby
    .command('copy')
    .description(
      'without replication: on a Security host that works, a copy of the realm into another database, where it is closed',
    )
    .option(
      '--to <url>',
      'postgresql://role@host:port/database: empty, or the copy before, which it takes the place of',
    )
    .option('--to-password-file <file>', 'file with the password of that role')
    .option('--to-ca <file>', 'PEM file: CA of that database')
    .option('--script <file>', 'an SQL script for psql instead; names and addresses are in it in plain')
    .option('--every-min <n>', 'again and again, until it is stopped')
    .action(async (options: CopyOptions, command: Command) => {
      const globals = globalsOf(command);
      const { to, script, toPasswordFile, toCa, everyMin } = options;
      const given = { to, script, 'to-password-file': toPasswordFile, 'to-ca': toCa, 'every-min': everyMin };
      const order = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]));
      const whole = ['copy', ...order, ...(globals.json ? ['--json'] : [])];
      if (await runOnSecurityHost(globals, { name: 'standby-command', order: whole })) return;
      throw new CliError('there is no new copy; the one before is as it was');
    });
}

async function takeOver(options: TakeoverOptions, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const { json } = globals;
  const reason = saidReason(globals.reason, 'why? a site takes over for a reason', 'the first site does not answer');
  const { actor, oldDatabaseIsOff, journalIsLost, promoteWith, waitS } = options;
  const order = [
    'takeover',
    ...['--actor', actor, '--reason', reason, '--wait-s', waitS],
    ...(oldDatabaseIsOff ? ['--old-database-is-off'] : []),
    ...(journalIsLost ? ['--journal-is-lost'] : []),
    ...(promoteWith === undefined ? [] : ['--promote-with', promoteWith]),
    ...(json ? ['--json'] : []),
  ];
  if (await runOnSecurityHost(globals, { name: 'standby-command', order })) return;
  throw new CliError('this site has not taken over', 'what was begun is finished by the same command');
}

/** Whoever sits at the machine. */
function ownName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'unknown';
  }
}
