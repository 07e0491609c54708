import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { serverCrypto } from '@sallyport/channel/sodium';
import { beginProviderSignIn } from '@sallyport/device';
import type { OperatorCredential, OperatorEnded, OperatorProvider, OperatorView } from '@sallyport/security-api';
import { type Command, Option } from 'commander';
import { AdminClient } from '../admin-client.ts';
import { breakGlass } from '../break-glass.ts';
import { CliError, formatTime, printJson, printRows } from '../output.ts';
import { allPages } from '../pages.ts';
import { loadProfile, storePrivate } from '../profile.ts';
import { type GlobalOptions, globalsOf, profileFile, renewCredential, requestId, withAdmin } from '../program.ts';
import { signInByBrowser } from '../provider-login.ts';
import { askSecret } from '../secrets.ts';
import { say } from '../terminal.ts';
import { userPath } from '../user-path.ts';

const COLUMNS = ['name', 'state', 'origin', 'place', 'invitedBy', 'lastUsedAt', 'tokenUntil', 'endsAt', 'endReason'];

/** `sallyport login` and `sallyport operator …` */
export function addOperatorCommands(program: Command): void {
  program
    .command('login <url>')
    .description('get an operator credential on this machine: for a one-time token, or by an OpenID provider')
    .requiredOption('--ca <file>', "PEM of the gateway's CA")
    .addOption(new Option('--token <token>').hideHelp())
    .option('--token-stdin', 'read the one-time token from standard input')
    .option('--provider <directory>', 'sign in at an OpenID provider instead, in a browser')
    .option('--name <name>', 'how the first operator is called; who was invited has the name of the invitation')
    .action(loginOperator);
  const operator = program.command('operator').description('operators');
  operator
    .command('list')
    .description('all operators: where they come from, who invited them, until when they are in')
    .option('--all', 'also those that have ended')
    .action(async (options: { all?: boolean }, command: Command) => {
      const globals = globalsOf(command);
      const rows = await withAdmin(globals, (admin) => allPages<OperatorView>(admin, '/v1/operators', ({ id }) => id));
      printRows(options.all ? rows : rows.filter(({ state }) => state !== 'ended'), COLUMNS, globals.json);
    });
  operator
    .command('invite <name>')
    .description('issue a one-time token for another operator, who will have this name')
    .action(inviteOperator);
  operator
    .command('end <name>')
    .description('end an operator for good, at once')
    .option('--with-invited', 'also everybody whom they invited')
    .action(endOperator);
  operator
    .command('renew')
    .description('a new credential for this machine, in the place of the one it has')
    .action(async (_options, command: Command) => {
      const globals = globalsOf(command);
      const file = profileFile(globals);
      const profile = loadProfile(file);
      const admin = new AdminClient(profile);
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

async function inviteOperator(name: string, _options: unknown, command: Command): Promise<void> {
  const globals = globalsOf(command);
  if (!globals.reason)
    throw new CliError('why? inviting an operator needs a reason', 'add: --reason "replaces olga in her holidays"');
  const { reason } = globals;
  const invitation = await withAdmin(globals, (admin) =>
    admin.call<OperatorCredential>('POST', `/v1/operators/${encodeURIComponent(name)}/invite`, { reason }),
  );
  if (globals.json) return printJson(invitation);
  say`one-time token for ${name}, good until ${formatTime(invitation.expiresAt)}:\n${invitation.token}\n`;
}

async function endOperator(name: string, options: { withInvited?: boolean }, command: Command): Promise<void> {
  const globals = globalsOf(command);
  if (!globals.reason) throw new CliError('why? ending an operator needs a reason', 'add: --reason "left the company"');
  const { reason } = globals;
  const path = `/v1/operators/${encodeURIComponent(name)}/end${options.withInvited ? '?withInvited=true' : ''}`;
  const result = await withAdmin(globals, (admin) => admin.call<OperatorEnded>('POST', path, { reason }));
  if (globals.json) return printJson(result);
  say`✔ no operator any more: ${result.ended.join(', ')}\n`;
  if (result.invited.length > 0) say`  still operators, invited by ${name}: ${result.invited.join(', ')}\n`;
}

interface LoginOptions {
  readonly ca: string;
  readonly token?: string;
  readonly tokenStdin?: boolean;
  readonly provider?: string;
  readonly name?: string;
}

async function loginOperator(url: string, options: LoginOptions, command: Command): Promise<void> {
  if (options.token !== undefined)
    throw new CliError(
      'a token on the command line can be read by every user of this machine',
      'use --token-stdin, or type it when you are asked; and ask for a new token, this one was seen',
    );
  const ca = readFileSync(userPath(options.ca), 'utf8');
  const admin = new AdminClient({ url, ca, token: '' });
  const globals = globalsOf(command);
  try {
    const { name, token, expiresAt } = await credentialBy(admin, globals, options);
    const file = profileFile(globals);
    const { provider } = options;
    storePrivate(file, { url, ca, name, token, expiresAt, ...(provider === undefined ? {} : { provider }) });
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
  return admin.call('POST', '/v1/operators/login', { body });
}

function pendingFile({ data }: GlobalOptions): string {
  return join(data, 'cli', 'login.json');
}

/** The id of the exchange of a token, kept until its answer is: after a lost answer the same command gets it again. */
function pendingRequest(globals: GlobalOptions, token: string): string {
  const file = pendingFile(globals);
  const of = createHash('sha256').update(token).digest('hex');
  const kept = existsSync(file)
    ? (JSON.parse(readFileSync(file, 'utf8')) as { of: string; request: string })
    : undefined;
  if (kept?.of === of) return kept.request;
  const request = requestId();
  storePrivate(file, { of, request });
  return request;
}

async function credentialByProvider(admin: AdminClient, provider: string): Promise<OperatorCredential> {
  const at = await admin.call<OperatorProvider>('GET', `/v1/operators/providers/${encodeURIComponent(provider)}`);
  const { oidc } = await signInByBrowser((redirect) =>
    beginProviderSignIn(serverCrypto(), { ...at, directory: provider, redirects: [redirect] }, redirect),
  );
  return admin.call('POST', '/v1/operators/oidc', { body: oidc });
}
