import { styleText } from 'node:util';
import type {
  DirectoryGroupView,
  DirectoryInput,
  DirectoryTokenView,
  DirectoryView,
  FindingView,
  MigrationView,
  SyncInput,
} from '@sallyport/security-api';
import type { Command } from 'commander';
import type { AdminClient } from '../admin-client.ts';
import { CliError, formatTime, printJson, printRows } from '../output.ts';
import { allPages } from '../pages.ts';
import { globalsOf, reasonOf, withAdmin } from '../program.ts';
import { say } from '../terminal.ts';
import { addDirectoryAdd } from './add.ts';
import { DIRECTORY_COLUMNS, directoryRow, printFindings, sayDirectory } from './show.ts';

const POLL_MS = 300;

/** `sallyport directory …` */
export function addDirectoryCommands(program: Command): void {
  const directory = program.command('directory').description('where users come from: LDAP/AD, OpenID providers, SCIM');
  addDirectoryAdd(directory);
  directory
    .command('list')
    .description('all directories')
    .action(async (_options, command: Command) => {
      const globals = globalsOf(command);
      const views = await withAdmin(globals, (admin) =>
        allPages<DirectoryView>(admin, '/v1/directories', ({ name }) => name),
      );
      printRows(globals.json ? views : views.map(directoryRow), DIRECTORY_COLUMNS, globals.json);
    });
  directory
    .command('show <name>')
    .description('one directory: last sync, questions, conflicts')
    .action(async (name: string, _options, command: Command) => {
      const globals = globalsOf(command);
      sayDirectory(await withAdmin(globals, (admin) => read(admin, name)), globals.json);
    });
  directory
    .command('test <name>')
    .description('try everything that the directory relies on')
    .action(async (name: string, _options, command: Command) => {
      const globals = globalsOf(command);
      const findings = await withAdmin(globals, (admin) =>
        admin.call<FindingView[]>('POST', `/v1/directories/${name}/test`, {
          reason: reasonOf(globals, 'directory test'),
        }),
      );
      printFindings(findings, globals.json);
      if (findings.some(({ ok }) => !ok)) process.exitCode = 1;
    });
  directory
    .command('sync <name>')
    .description('take over what changed, now')
    .option('--full', 'look at everything, changed or not')
    .option('--confirm <question>', 'yes to the question that the last sync asked')
    .action(sync);
  addGroupCommands(directory);
  addTokenCommand(directory);
  addStageCommands(directory);
  addMigrateCommand(directory);
}

function read(admin: AdminClient, name: string): Promise<DirectoryView> {
  return admin.call<DirectoryView>('GET', `/v1/directories/${name}`);
}

async function sync(name: string, options: { full?: boolean; confirm?: string }, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const body: SyncInput = {
    ...(options.full ? { mode: 'full' } : {}),
    ...(options.confirm === undefined ? {} : { confirm: options.confirm }),
  };
  await withAdmin(globals, async (admin) => {
    const reason = reasonOf(globals, 'directory sync');
    const { done } = await admin.call<{ done: boolean }>('POST', `/v1/directories/${name}/sync`, { body, reason });
    if (!done) process.stderr.write('a sync runs already; this is how it goes:\n');
    sayDirectory(await followSync(admin, name), globals.json);
  });
}

/** Shows how a sync goes, until it has ended. */
async function followSync(admin: AdminClient, name: string): Promise<DirectoryView> {
  for (;;) {
    const view = await read(admin, name);
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
  directory
    .command('groups <name>')
    .description('groups of a directory and the groups of the realm that they stand for')
    .action(async (name: string, _options, command: Command) => {
      const globals = globalsOf(command);
      const groups = await withAdmin(globals, (admin) => groupsOf(admin, name));
      printRows(groups, ['name', 'group', 'accounts', 'subject'], globals.json);
    });
  directory
    .command('map <name> <source> <group>')
    .description('let a group of a directory, by its name or id there, stand for a group of the realm')
    .action(async (name: string, source: string, group: string, _options, command: Command) => {
      const globals = globalsOf(command);
      await withAdmin(globals, async (admin) => {
        const subject = subjectOf(await groupsOf(admin, name), source);
        const reason = reasonOf(globals, 'directory map');
        await admin.call('PUT', `/v1/directories/${name}/groups`, { body: { subject, group }, reason });
      });
      say`${source} of ${name} stands for ${group} now\n`;
    });
}

function groupsOf(admin: AdminClient, name: string): Promise<DirectoryGroupView[]> {
  return allPages<DirectoryGroupView>(admin, `/v1/directories/${name}/groups`, ({ subject }) => subject);
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

function addTokenCommand(directory: Command): void {
  directory
    .command('token <name>')
    .description('a bearer token for the SCIM client; older ones go on for a week')
    .option('--days <n>', 'how long it is good', '365')
    .option('--end-others', 'end the older ones now')
    .action(async (name: string, options: { days: string; endOthers?: boolean }, command: Command) => {
      const globals = globalsOf(command);
      const body = { ttlMs: Number(options.days) * 86_400_000, endOthers: options.endOthers === true };
      const reason = reasonOf(globals, 'directory token');
      const issued = await withAdmin(globals, (admin) =>
        admin.call<DirectoryTokenView>('POST', `/v1/directories/${name}/tokens`, { body, reason }),
      );
      if (globals.json) return printJson(issued);
      if (!issued.url.startsWith('https:'))
        process.stderr.write('this node has no listener for SCIM clients: set SALLYPORT_DIRECTORY_LISTEN\n');
      say`tenant URL    ${issued.url}\nsecret token  ${issued.token}\n\nIt is shown this once, and good until ${formatTime(issued.expiresAt)}.\n`;
    });
}

function addStageCommands(directory: Command): void {
  directory
    .command('activate <name>')
    .description('let the accounts of a staged directory become users')
    .action(async (name: string, _options, command: Command) => {
      const globals = globalsOf(command);
      await withAdmin(globals, async (admin) => {
        const { kind, settings } = await read(admin, name);
        const body = { kind, stage: 'active', settings } as DirectoryInput;
        const reason = reasonOf(globals, 'directory activate');
        sayDirectory(await admin.call<DirectoryView>('PUT', `/v1/directories/${name}`, { body, reason }), globals.json);
      });
    });
  directory
    .command('remove <name>')
    .description('remove a directory to which no user belongs any more')
    .action(async (name: string, _options, command: Command) => {
      const globals = globalsOf(command);
      const reason = reasonOf(globals, 'directory remove');
      await withAdmin(globals, (admin) => admin.call('DELETE', `/v1/directories/${name}`, { reason }));
      say`${name} is removed\n`;
    });
}

interface MigrateOptions {
  readonly match: string;
  readonly apply?: boolean;
  readonly acceptRights?: boolean;
}

function addMigrateCommand(directory: Command): void {
  directory
    .command('migrate <from> <to>')
    .description('move users to another directory: without --apply it only says what would happen')
    .requiredOption(
      '--match <old=new>',
      'attributes that are the same text in both, for instance employeeId=employeeNumber',
    )
    .option('--apply', 'do it')
    .option('--accept-rights', 'move also those whose rights change')
    .action(async (from: string, to: string, options: MigrateOptions, command: Command) => {
      const globals = globalsOf(command);
      const [old, next, ...more] = options.match.split('=');
      if (!old || !next || more.length > 0)
        throw new CliError('--match is written old=new', 'for instance: --match employeeId=employeeNumber');
      const body = {
        from,
        to,
        match: [old, next],
        apply: options.apply === true,
        acceptRights: options.acceptRights === true,
      };
      const reason = reasonOf(globals, 'directory migrate');
      const plan = await withAdmin(globals, (admin) =>
        admin.call<MigrationView>('POST', '/v1/migrations', { body, reason }),
      );
      if (globals.json) return printJson(plan);
      sayPlan(plan);
    });
}

const SHOWN = 20;

function printSome(rows: readonly object[], columns: readonly string[]): void {
  printRows(rows.slice(0, SHOWN), columns, false);
  if (rows.length > SHOWN) say`… and ${rows.length - SHOWN} more; --json shows all\n`;
}

function sayPlan({ applied, users, moves, conflicts, newcomers, rights }: MigrationView): void {
  const out = (text: string): void => void say`${text}\n`;
  out(
    `${moves.length} of ${users} users ${applied ? 'have moved' : 'would move'}; their ids, enrolments and sessions stay`,
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
