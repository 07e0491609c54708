import { styleText } from 'node:util';
import type {
  DirectoryGroupView,
  DirectoryInput,
  DirectoryTokenView,
  DirectoryView,
  FindingView,
  MigrationView,
} from '@sallyport/security-api';
import { directories } from '@sallyport/security-api/admin';
import type { AdminClient } from '@sallyport/security-client/admin';
import type { Command } from 'commander';
import { addOperatorCommand, type Given, required, table } from '../operator-command.ts';
import { CliError, counted, formatTime, printRows } from '../output.ts';
import { say, warn } from '../terminal.ts';
import { addDirectoryAdd } from './add.ts';
import { DIRECTORY_COLUMNS, directoryRow, sayDirectory, sayFindings } from './show.ts';

const POLL_MS = 300;

/** `sallyport directory …` */
export function addDirectoryCommands(program: Command): void {
  const directory = program.command('directory').description('where users come from: LDAP/AD, OpenID providers, SCIM');
  addDirectoryAdd(directory);
  addReadingCommands(directory);
  addSyncCommand(directory);
  addGroupCommands(directory);
  addTokenCommand(directory);
  addStageCommands(directory);
  addMigrateCommand(directory);
}

function addReadingCommands(directory: Command): void {
  addOperatorCommand(directory, {
    name: 'list',
    about: 'all directories',
    run: (admin) => admin.all(directories.list),
    show: table(DIRECTORY_COLUMNS, directoryRow),
  });
  addOperatorCommand(directory, {
    name: 'show <name>',
    about: 'one directory: last sync, questions, conflicts',
    run: (admin, _given, name: string) => admin.call(directories.get, { params: { name } }),
    show: sayDirectory,
  });
  addOperatorCommand(directory, {
    name: 'test <name>',
    about: 'try everything that the directory relies on',
    run: async (admin, { reason }, name: string): Promise<FindingView[]> => {
      const findings = await admin.call(directories.test, { params: { name }, reason });
      if (findings.some(({ ok }) => !ok)) process.exitCode = 1;
      return findings;
    },
    show: sayFindings,
  });
}

interface SyncOptions {
  readonly full?: boolean;
  readonly confirm?: string;
}

function addSyncCommand(directory: Command): void {
  addOperatorCommand(directory, {
    name: 'sync <name>',
    about: 'take over what changed, now',
    options: [
      ['--full', 'look at everything, changed or not'],
      ['--confirm <question>', 'yes to the question that the last sync asked'],
    ],
    run: async (admin, { options: { full, confirm }, reason }: Given<SyncOptions>, name: string) => {
      const body = { ...(full ? { mode: 'full' as const } : {}), ...(confirm === undefined ? {} : { confirm }) };
      const { done } = await admin.call(directories.sync, { params: { name }, body, reason });
      if (!done) warn`a sync runs already; this is how it goes:\n`;
      return followSync(admin, name);
    },
    show: sayDirectory,
  });
}

/** Shows how a sync goes, until it has ended. */
async function followSync(admin: AdminClient, name: string): Promise<DirectoryView> {
  for (;;) {
    const view = await admin.call(directories.get, { params: { name } });
    if (!view.running) {
      if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
      return view;
    }
    if (view.progress && process.stderr.isTTY) {
      const { phase, done, total } = view.progress;
      process.stderr.write(
        `\r\u001b[K${phase}: ${done.toLocaleString('en')}${total ? ` of ${total.toLocaleString('en')}` : ''}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function addGroupCommands(directory: Command): void {
  addOperatorCommand(directory, {
    name: 'groups <name>',
    about: 'groups of a directory and the groups of the realm that they stand for',
    run: (admin, _given, name: string) => admin.all(directories.groups, { params: { name } }),
    show: table(['name', 'group', 'accounts', 'subject']),
  });
  addOperatorCommand(directory, {
    name: 'map <name> <source> <group>',
    about: 'let a group of a directory, by its name or id there, stand for a group of the realm',
    run: async (admin, { reason }, name: string, source: string, group: string) => {
      const subject = subjectOf(await admin.all(directories.groups, { params: { name } }), source);
      return admin.call(directories.map, { params: { name }, body: { subject, group }, reason });
    },
    show: (_done, _given, name: string, source: string, group: string) =>
      say`${source} of ${name} stands for ${group} now\n`,
  });
}

/** A name that several groups have there says nothing: then the id is asked for. */
function subjectOf(groups: readonly DirectoryGroupView[], source: string): string {
  const found = groups.filter(({ subject, name }) => subject === source || name === source);
  if (found.length === 1) return found[0]!.subject;
  if (found.length > 1)
    throw new CliError(
      `${found.length} groups there are called ${source}`,
      'name it by its id: sallyport directory groups',
    );
  throw new CliError(`there is no group ${source} in that directory`, 'sallyport directory groups shows them');
}

interface TokenOptions {
  readonly days: string;
  readonly endOthers?: boolean;
}

function addTokenCommand(directory: Command): void {
  addOperatorCommand(directory, {
    name: 'token <name>',
    about: 'a bearer token for the SCIM client; older ones go on for a week',
    options: [
      ['--days <n>', 'how long it is good', '365'],
      ['--end-others', 'end the older ones now'],
    ],
    run: (admin, { options, reason }: Given<TokenOptions>, name: string) => {
      const body = { ttlMs: Number(options.days) * 86_400_000, endOthers: options.endOthers === true };
      return admin.call(directories.token, { params: { name }, body, reason });
    },
    show: sayToken,
  });
}

function sayToken({ url, token, expiresAt }: DirectoryTokenView): void {
  if (!url.startsWith('https:'))
    process.stderr.write('this node has no listener for SCIM clients: set SALLYPORT_DIRECTORY_LISTEN\n');
  say`tenant URL    ${url}\nsecret token  ${token}\n\nIt is shown this once, and good until ${formatTime(expiresAt)}.\n`;
}

function addStageCommands(directory: Command): void {
  addOperatorCommand(directory, {
    name: 'activate <name>',
    about: 'let the accounts of a staged directory become users',
    run: async (admin, { reason }, name: string) => {
      const { kind, settings } = await admin.call(directories.get, { params: { name } });
      const body = { kind, stage: 'active', settings } as DirectoryInput;
      return admin.call(directories.put, { params: { name }, body, reason });
    },
    show: sayDirectory,
  });
  addOperatorCommand(directory, {
    name: 'remove <name>',
    about: 'remove a directory to which no user belongs any more',
    run: (admin, { reason }, name: string) => admin.call(directories.remove, { params: { name }, reason }),
    show: (_done, _given, name: string) => say`${name} is removed\n`,
  });
}

interface MigrateOptions {
  readonly match: string;
  readonly apply?: boolean;
  readonly acceptRights?: boolean;
}

function addMigrateCommand(directory: Command): void {
  addOperatorCommand(directory, {
    name: 'migrate <from> <to>',
    about: 'move users to another directory: without --apply it only says what would happen',
    options: [
      required(
        '--match <old=new>',
        'attributes that are the same text in both, for instance employeeId=employeeNumber',
      ),
      ['--apply', 'do it'],
      ['--accept-rights', 'move also those whose rights change'],
    ],
    run: migrate,
    show: sayPlan,
  });
}

async function migrate(
  admin: AdminClient,
  { options, reason }: Given<MigrateOptions>,
  from: string,
  to: string,
): Promise<MigrationView> {
  const [old, next, ...more] = options.match.split('=');
  if (!old || !next || more.length > 0)
    throw new CliError('--match is written old=new', 'for instance: --match employeeId=employeeNumber');
  const { apply = false, acceptRights = false } = options;
  const body = { from, to, match: [old, next] as const, apply, acceptRights };
  return admin.call(directories.migrate, { body, reason });
}

const SHOWN = 20;

function printSome(rows: readonly object[], columns: readonly string[]): void {
  printRows(rows.slice(0, SHOWN), columns, false);
  if (rows.length > SHOWN) say`… and ${rows.length - SHOWN} more; --json shows all\n`;
}

function sayPlan({ applied, users, moves, conflicts, newcomers, rights }: MigrationView): void {
  const out = (text: string): void => void say`${text}\n`;
  out(
    `${moves.length} of ${counted(users, 'user')} ${applied ? 'have moved' : 'would move'}; their ids, enrolments and sessions stay`,
  );
  if (newcomers > 0)
    out(`${newcomers} accounts of the new directory have nobody here: they become users when it is activated`);
  if (conflicts.length > 0) {
    out(styleText('yellow', `\n${conflicts.length} users stay where they are:`));
    printSome(conflicts, ['user', 'why']);
  }
  if (rights.length > 0) {
    out(styleText('yellow', `\n${rights.length} users ${applied ? 'have' : 'would have'} other rights:`));
    printSome(rights, ['user', 'lost', 'gained']);
  }
  if (!applied) out('\nnothing was changed; --apply does it');
}
