import type { BindingView, GroupView, RevocationView, User } from '@sallyport/security-api';
import type { Command } from 'commander';
import type { AdminClient } from '../admin-client.ts';
import { CliError, printJson, printRows } from '../output.ts';
import { allPages } from '../pages.ts';
import { globalsOf, reasonOf, requestId, withAdmin } from '../program.ts';
import { askNewPassword } from '../secrets.ts';
import { say } from '../terminal.ts';
import { addUserRightCommands } from './rights-of.ts';
import { sayInForce } from './sessions.ts';

const USER_COLUMNS = ['name', 'displayName', 'enabled', 'directory', 'groups', 'createdAt'];

interface UserOptions {
  readonly group?: string[];
  readonly displayName?: string;
  readonly passwordStdin?: boolean;
  readonly password?: boolean;
  readonly directory?: string;
  readonly keepSessions?: boolean;
  readonly account?: string;
}

async function putUser(command: Command, name: string, options: UserOptions, withPassword: boolean): Promise<void> {
  const globals = globalsOf(command);
  const password = withPassword ? await askNewPassword(options.passwordStdin === true) : undefined;
  const body = {
    ...(password === undefined ? {} : { password }),
    ...(options.displayName === undefined ? {} : { displayName: options.displayName }),
    ...(options.group === undefined ? {} : { groups: options.group }),
    ...(options.directory === undefined ? {} : { directory: options.directory }),
    ...(options.account === undefined ? {} : { account: options.account }),
    ...(options.keepSessions ? { keepSessions: true } : {}),
  };
  const reason = reasonOf(globals, `user ${command.name()}`);
  const user = await withAdmin(globals, (admin) => admin.call<User>('PUT', `/v1/users/${name}`, { body, reason }));
  printRows([user], USER_COLUMNS, globals.json);
}

/** All users, by name; there may be very many. */
async function allUsers(admin: AdminClient): Promise<User[]> {
  const users = await allPages<User>(admin, '/v1/users', ({ id }) => id);
  return users.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** `sallyport user …` and `sallyport group …` */
export function addPeopleCommands(program: Command): void {
  const user = program.command('user').description('users of the realm');
  user
    .command('add <name>')
    .description('create a user; asks for a password, unless they sign in at an OpenID provider')
    .option(
      '--directory <name>',
      'OpenID provider at which they sign in; their first sign-in with a code binds the account',
    )
    .option('--account <name>', 'what their account there is called, unless like the user: login, mail address or id')
    .option('-g, --group <names...>', 'groups of the user')
    .option('--display-name <text>', 'name to show')
    .option('--password-stdin', 'read the password from standard input')
    .action((name: string, options: UserOptions, command: Command) =>
      putUser(command, name, options, options.directory === undefined),
    );
  user
    .command('set <name>')
    .description('change groups, display name or password')
    .option('-g, --group <names...>', 'all groups of the user')
    .option('--display-name <text>', 'name to show')
    .option('--password', 'ask for a new password')
    .option('--password-stdin', 'read a new password from standard input')
    .option('--keep-sessions', 'sessions go on after a new password; they end otherwise')
    .action((name: string, options: UserOptions, command: Command) =>
      putUser(command, name, options, options.password === true || options.passwordStdin === true),
    );
  user
    .command('list')
    .description('all users')
    .action(async (_options, command: Command) => {
      const globals = globalsOf(command);
      printRows(await withAdmin(globals, allUsers), USER_COLUMNS, globals.json);
    });
  user
    .command('show <name>')
    .description('one user')
    .action(async (name: string, _options, command: Command) => {
      const globals = globalsOf(command);
      const found = await withAdmin(globals, (admin) => admin.call<User>('GET', `/v1/users/${name}`));
      printRows([found], USER_COLUMNS, globals.json);
    });
  user
    .command('disable <name>')
    .description('end all sessions, installations and codes of a user at once')
    .action(async (name: string, _options, command: Command) => {
      const globals = globalsOf(command);
      if (!globals.reason)
        throw new CliError('why? disabling a user needs a reason', 'add: --reason "left the company"');
      const reason = globals.reason;
      const view = await withAdmin(globals, (admin) =>
        admin.call<RevocationView>('POST', `/v1/users/${name}/disable`, { reason }),
      );
      sayInForce(view, globals.json);
    });
  user
    .command('remove <name>')
    .description('end everything of a user and forget them; the name is free again')
    .action(async (name: string, _options, command: Command) => {
      const globals = globalsOf(command);
      if (!globals.reason) throw new CliError('why? removing a user needs a reason', 'add: --reason "left for good"');
      const { reason } = globals;
      const view = await withAdmin(globals, (admin) =>
        admin.call<RevocationView>('DELETE', `/v1/users/${encodeURIComponent(name)}`, { reason, id: requestId() }),
      );
      sayInForce(view, globals.json);
    });
  user
    .command('rename <name> <to>')
    .description('give a user another name; everything of theirs goes on')
    .action(async (name: string, to: string, _options, command: Command) => {
      const globals = globalsOf(command);
      const reason = reasonOf(globals, 'user rename');
      const path = `/v1/users/${encodeURIComponent(name)}/rename`;
      const renamed = await withAdmin(globals, (admin) =>
        admin.call<User>('POST', path, { body: { name: to }, reason }),
      );
      printRows([renamed], USER_COLUMNS, globals.json);
    });
  user
    .command('enable <name>')
    .description('let a disabled user in again; a new enrolment is needed')
    .action(async (name: string, _options, command: Command) => {
      const globals = globalsOf(command);
      const reason = reasonOf(globals, 'user enable');
      printJson(await withAdmin(globals, (admin) => admin.call('POST', `/v1/users/${name}/enable`, { reason })));
    });
  addBindingCommands(user);
  addUserRightCommands(user);
  addGroupCommands(program);
}

function addBindingCommands(user: Command): void {
  user
    .command('bindings')
    .description('accounts of providers that ask to be a user, and do not name them')
    .action(async (_options, command: Command) => {
      const globals = globalsOf(command);
      const rows = await withAdmin(globals, (admin) => allPages<BindingView>(admin, '/v1/bindings', ({ id }) => id));
      printRows(rows, ['id', 'user', 'directory', 'login', 'email', 'subject', 'createdAt'], globals.json);
    });
  for (const [verb, words] of [
    ['confirm', "say that an account is its user's: the next sign-in goes on"],
    ['refuse', "say that an account is not its user's: it is not asked for again"],
  ] as const) {
    user
      .command(`${verb} <id>`)
      .description(words)
      .action(async (id: string, _options, command: Command) => {
        const globals = globalsOf(command);
        if (!globals.reason) throw new CliError(`why? to ${verb} needs a reason`, 'add: --reason "asked her by phone"');
        const { reason } = globals;
        const path = `/v1/bindings/${encodeURIComponent(id)}/${verb}`;
        printJson(await withAdmin(globals, (admin) => admin.call('POST', path, { reason })));
      });
  }
}

/** Tables name a few members. */
const SHOWN_MEMBERS = 5;

function shortened({ members, count, ...group }: GroupView): object {
  const more = count > SHOWN_MEMBERS ? ['…'] : [];
  return { ...group, count, members: [...members.slice(0, SHOWN_MEMBERS), ...more] };
}

function addGroupCommands(program: Command): void {
  const group = program.command('group').description('groups of users');
  group
    .command('add <name>')
    .description('create a group')
    .action(async (name: string, _options, command: Command) => {
      const globals = globalsOf(command);
      await withAdmin(globals, (admin) =>
        admin.call('PUT', `/v1/groups/${name}`, { reason: reasonOf(globals, 'group add') }),
      );
      say`group ${name} is there\n`;
    });
  group
    .command('list')
    .description('all groups')
    .action(async (_options, command: Command) => {
      const globals = globalsOf(command);
      const groups = await withAdmin(globals, (admin) => allPages<GroupView>(admin, '/v1/groups', ({ name }) => name));
      printRows(globals.json ? groups : groups.map(shortened), ['name', 'count', 'members', 'createdAt'], globals.json);
    });
}
