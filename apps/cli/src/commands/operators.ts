import { createHash, randomUUID } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { serverCrypto } from '@sallyport/channel/sodium';
import { beginProviderSignIn } from '@sallyport/device';
import type { OperatorCredential } from '@sallyport/security-api';
import { operators } from '@sallyport/security-api/admin';
import type { AdminClient } from '@sallyport/security-client/admin';
import { readJsonFile } from '@sallyport/settings';
import { type Command, Option } from 'commander';
import { adminOf } from '../admin.ts';
import { breakGlass } from '../break-glass.ts';
import { addOperatorCommand, type Given, table } from '../operator-command.ts';
import { CliError, formatTime } from '../output.ts';
import { loadProfile, storePrivate } from '../profile.ts';
import { type GlobalOptions, globalsOf, profileFile, renewCredential } from '../program.ts';
import { signInByBrowser } from '../provider-login.ts';
import { askSecret } from '../secrets.ts';
import { say } from '../terminal.ts';
import { userPath } from '../user-path.ts';

const showOperators = table([
  'name',
  'state',
  'origin',
  'place',
  'invitedBy',
  'lastUsedAt',
  'tokenUntil',
  'endsAt',
  'endReason',
]);

/** `sallyport login` and `sallyport operator …` */
export function addOperatorCommands(program: Command): void {
  program
    .command('login <url> [others...]')
    .description(
      'get an operator credential on this machine: for a one-time token, or by an OpenID provider. With the URLs of other nodes, which are asked when this one does not answer',
    )
    .requiredOption('--ca <file>', "PEM of the gateway's CA")
    .addOption(new Option('--token <token>').hideHelp())
    .option('--token-stdin', 'read the one-time token from standard input')
    .option('--provider <directory>', 'sign in at an OpenID provider instead, in a browser')
    .option('--name <name>', 'how the first operator is called; who was invited has the name of the invitation')
    .action(loginOperator);
  const operator = program.command('operator').description('operators');
  addOperatorCommand(operator, {
    name: 'list',
    about: 'all operators: where they come from, who invited them, until when they are in',
    options: [['--all', 'also those that have ended']],
    run: async (admin, { options }: Given<{ readonly all?: boolean }>) =>
      (await admin.all(operators.list)).filter(({ state }) => options.all || state !== 'ended'),
    show: showOperators,
  });
  addOperatorCommand(operator, {
    name: 'invite <name>',
    about: 'issue a one-time token for another operator, who will have this name',
    reason: ['inviting an operator', 'replaces olga in her holidays'],
    run: (admin, { reason }, name: string) => admin.call(operators.invite, { params: { name }, reason }),
    show: ({ token, expiresAt }, _given, name: string) =>
      say`one-time token for ${name}, good until ${formatTime(expiresAt)}:\n${token}\n`,
  });
  addOperatorCommand(operator, {
    name: 'end <name>',
    about: 'end an operator for good, at once',
    options: [['--with-invited', 'also everybody whom they invited']],
    reason: ['ending an operator', 'left the company'],
    run: (admin, { options, reason }: Given<{ readonly withInvited?: boolean }>, name: string) => {
      const query = options.withInvited ? ({ withInvited: 'true' } as const) : {};
      return admin.call(operators.end, { params: { name }, query, reason });
    },
    show: ({ ended, invited }, _given, name: string) => {
      say`✔ no operator any more: ${ended.join(', ')}\n`;
      if (invited.length > 0) say`  still operators, invited by ${name}: ${invited.join(', ')}\n`;
    },
  });
  operator
    .command('renew')
    .description('a new credential for this machine, in the place of the one it has')
    .action(async (_options, command: Command) => {
      const globals = globalsOf(command);
      const file = profileFile(globals);
      const profile = loadProfile(file);
      const admin = adminOf(profile);
      try {
        say`renewed, good until ${formatTime(await renewCredential(admin, profile, file))}\n`;
      } finally {
        await admin.close();
      }
    });
  operator
    .command('break-glass')
    .description('on a Security host: a one-time token although no operator is left; needs its settings and kek.json')
    .option('--name <name>', 'name of the operator', 'break-glass')
    .action((options: { name: string }, command: Command) => breakGlass(globalsOf(command), options.name));
}

interface LoginOptions {
  readonly ca: string;
  readonly token?: string;
  readonly tokenStdin?: boolean;
  readonly provider?: string;
  readonly name?: string;
}

async function loginOperator(
  url: string,
  others: readonly string[],
  options: LoginOptions,
  command: Command,
): Promise<void> {
  if (options.token !== undefined)
    throw new CliError(
      'a token on the command line can be read by every user of this machine',
      'use --token-stdin, or type it when you are asked; and ask for a new token, this one was seen',
    );
  const ca = readFileSync(userPath(options.ca), 'utf8');
  const admin = adminOf({ url, others, ca, token: '' });
  const globals = globalsOf(command);
  try {
    const { name, token, expiresAt } = await credentialBy(admin, globals, options);
    const file = profileFile(globals);
    const { provider } = options;
    const also = { ...(others.length === 0 ? {} : { others }), ...(provider === undefined ? {} : { provider }) };
    storePrivate(file, { url, ca, name, token, expiresAt, ...also });
    rmSync(pendingFile(globals), { force: true });
    say`you are operator ${name} at ${url}; the credential is in ${file}\n`;
  } finally {
    await admin.close();
  }
}

async function credentialBy(
  admin: AdminClient,
  globals: GlobalOptions,
  { tokenStdin, provider, name }: LoginOptions,
): Promise<OperatorCredential> {
  if (provider !== undefined) return credentialByProvider(admin, provider);
  const given = tokenStdin || process.stdin.isTTY ? await askSecret('One-time token', tokenStdin === true) : undefined;
  if (given === undefined)
    throw new CliError('by what do you sign in?', 'add: --token-stdin, or --provider <directory>');
  const body = { token: given, request: pendingRequest(globals, given), ...(name === undefined ? {} : { name }) };
  return admin.call(operators.login, { body });
}

function pendingFile({ data }: GlobalOptions): string {
  return join(data, 'cli', 'login.json');
}

/** The id of the exchange of a token, kept until its answer is: after a lost answer the same command gets it again. */
function pendingRequest(globals: GlobalOptions, token: string): string {
  const file = pendingFile(globals);
  const of = createHash('sha256').update(token).digest('hex');
  const kept = existsSync(file) ? (readJsonFile(file) as { of: string; request: string }) : undefined;
  if (kept?.of === of) return kept.request;
  const request = randomUUID();
  storePrivate(file, { of, request });
  return request;
}

async function credentialByProvider(admin: AdminClient, provider: string): Promise<OperatorCredential> {
  const at = await admin.call(operators.provider, { params: { name: provider } });
  const { oidc } = await signInByBrowser((redirect) =>
    beginProviderSignIn(serverCrypto(), { ...at, directory: provider, redirects: [redirect] }, redirect),
  );
  return admin.call(operators.oidc, { body: oidc });
}
