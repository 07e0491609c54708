import { randomUUID } from 'node:crypto';
import type { GroupView, User } from '@sallyport/security-api';
import { bindings, groups, users } from '@sallyport/security-api/admin';
import type { AdminClient } from '@sallyport/security-client/admin';
import type { Command } from 'commander';
import { addOperatorCommand, type CommandOption, type Given, table } from '../operator-command.ts';
import { askNewPassword } from '../secrets.ts';
import { say } from '../terminal.ts';
import { addUserRightCommands } from './rights-of.ts';
import { sayInForce } from './sessions.ts';

const showUsers = table<User>(['name', 'displayName', 'enabled', 'directory', 'groups', 'createdAt']);

interface UserOptions {
  readonly group?: string[];
  readonly displayName?: string;
  readonly passwordStdin?: boolean;
  readonly password?: boolean;
  readonly directory?: string;
  readonly keepSessions?: boolean;
  readonly account?: string;
}

const DISPLAY_NAME: CommandOption = ['--display-name <text>', 'name to show'];

async function putUser(
  admin: AdminClient,
  { options, reason }: Given<UserOptions>,
  { name, withPassword }: { readonly name: string; readonly withPassword: boolean },
): Promise<User[]> {
  const { displayName, group, directory, account } = options;
  const password = withPassword ? await askNewPassword(options.passwordStdin === true) : undefined;
  const body = {
    ...(password === undefined ? {} : { password }),
    ...(displayName === undefined ? {} : { displayName }),
    ...(group === undefined ? {} : { groups: group }),
    ...(directory === undefined ? {} : { directory }),
    ...(account === undefined ? {} : { account }),
    ...(options.keepSessions ? { keepSessions: true } : {}),
  };
  return [await admin.call(users.put, { params: { name }, body, reason })];
}

/** `sallyport user …` and `sallyport group …` */
export function addUserCommands(program: Command): void {
  const user = program.command('user').description('users of the realm');
  addWritingCommands(user);
  addReadingCommands(user);
  addLeavingCommands(user);
  addBindingCommands(user);
  addUserRightCommands(user);
  addGroupCommands(program);
}

function addWritingCommands(user: Command): void {
  addOperatorCommand(user, {
    name: 'add <name>',
    about: 'create a user; asks for a password, unless they sign in at an OpenID provider',
    options: [
      [
        '--directory <name>',
        'OpenID provider at which they sign in; their first sign-in with a code binds the account',
      ],
      ['--account <name>', 'what their account there is called, unless like the user: login, mail address or id'],
      ['-g, --group <names...>', 'groups of the user'],
      DISPLAY_NAME,
      ['--password-stdin', 'read the password from standard input'],
    ],
    run: (admin, given: Given<UserOptions>, name: string) =>
      putUser(admin, given, { name, withPassword: given.options.directory === undefined }),
    show: showUsers,
  });
  addOperatorCommand(user, {
    name: 'set <name>',
    about: 'change groups, display name or password',
    options: [
      ['-g, --group <names...>', 'all groups of the user'],
      DISPLAY_NAME,
      ['--password', 'ask for a new password'],
      ['--password-stdin', 'read a new password from standard input'],
      ['--keep-sessions', 'sessions go on after a new password; they end otherwise'],
    ],
    run: (admin, given: Given<UserOptions>, name: string) => {
      const { password, passwordStdin } = given.options;
      return putUser(admin, given, { name, withPassword: password === true || passwordStdin === true });
    },
    show: showUsers,
  });
  addOperatorCommand(user, {
    name: 'rename <name> <to>',
    about: 'give a user another name; everything of theirs goes on',
    run: async (admin, { reason }, name: string, to: string) => [
      await admin.call(users.rename, { params: { name }, body: { name: to }, reason }),
    ],
    show: showUsers,
  });
}

function addReadingCommands(user: Command): void {
  addOperatorCommand(user, {
    name: 'list',
    about: 'all users',
    // By name; there may be very many.
    run: async (admin) => (await admin.all(users.list)).sort((a, b) => (a.name < b.name ? -1 : 1)),
    show: showUsers,
  });
  addOperatorCommand(user, {
    name: 'show <name>',
    about: 'one user',
    run: async (admin, _given, name: string) => [await admin.call(users.get, { params: { name } })],
    show: showUsers,
  });
}

function addLeavingCommands(user: Command): void {
  addOperatorCommand(user, {
    name: 'disable <name>',
    about: 'end all sessions, installations and codes of a user at once',
    reason: ['disabling a user', 'left the company'],
    run: (admin, { reason }, name: string) =>
      admin.call(users.disable, { params: { name }, reason, requestId: randomUUID() }),
    show: (view, _given, name: string) => sayInForce(view, `user ${name} is disabled`),
  });
  addOperatorCommand(user, {
    name: 'remove <name>',
    about: 'end everything of a user and forget them; the name is free again',
    reason: ['removing a user', 'left for good'],
    run: (admin, { reason }, name: string) =>
      admin.call(users.remove, { params: { name }, reason, requestId: randomUUID() }),
    show: (view, _given, name: string) => sayInForce(view, `user ${name} is removed`),
  });
  addOperatorCommand(user, {
    name: 'enable <name>',
    about: 'let a disabled user in again; devices that were revoked enrol anew',
    run: (admin, { reason }, name: string) => admin.call(users.enable, { params: { name }, reason }),
    show: (_done, _given, name: string) =>
      say`✔ ${name} is let in again; devices that were revoked enrol anew: sallyport code new ${name}\n`,
  });
}

function addBindingCommands(user: Command): void {
  addOperatorCommand(user, {
    name: 'bindings',
    about: 'accounts of providers that ask to be a user, and do not name them',
    run: (admin) => admin.all(bindings.list),
    show: table(['id', 'user', 'directory', 'login', 'email', 'subject', 'createdAt']),
  });
  for (const [verb, about] of [
    ['confirm', "say that an account is its user's: the next sign-in goes on"],
    ['refuse', "say that an account is not its user's: it is not asked for again"],
  ] as const) {
    addOperatorCommand(user, {
      name: `${verb} <id>`,
      about,
      reason: [`to ${verb}`, 'asked her by phone'],
      run: (admin, { reason }, id: string) => admin.call(bindings[verb], { params: { id }, reason }),
      show: (_done, _given, id: string) => say`✔ binding ${id} is ${verb}${verb === 'refuse' ? 'd' : 'ed'}\n`,
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
  addOperatorCommand(group, {
    name: 'add <name>',
    about: 'create a group',
    run: (admin, { reason }, name: string) => admin.call(groups.put, { params: { name }, reason }),
    show: (_done, _given, name: string) => say`group ${name} is there\n`,
  });
  addOperatorCommand(group, {
    name: 'list',
    about: 'all groups',
    run: (admin) => admin.all(groups.list),
    show: table(['name', 'count', 'members', 'createdAt'], shortened),
  });
}
