import { readFileSync } from 'node:fs';
import type { DirectoryInput, DirectoryView, LdapSettings, OidcSettings } from '@sallyport/security-api';
import { directories } from '@sallyport/security-api/admin';
import type { AdminClient } from '@sallyport/security-client/admin';
import type { Command } from 'commander';
import { addOperatorCommand, type CommandOption, type Given, required } from '../operator-command.ts';
import { CliError } from '../output.ts';
import { askSecret } from '../secrets.ts';
import { userPath } from '../user-path.ts';
import { sayDirectory, sayFindings } from './show.ts';

interface CommonOptions {
  readonly suffix?: string;
  readonly staged?: boolean;
  readonly ca?: string;
  readonly secretStdin?: boolean;
  readonly keepSecret?: boolean;
}

interface LdapOptions extends CommonOptions {
  readonly server: string[];
  readonly bindDn: string;
  readonly base: string;
  readonly ad?: boolean;
  readonly groupBase?: string;
  readonly userFilter?: string;
  readonly groupFilter?: string;
  readonly every?: string;
  readonly keep?: string[];
}

interface OidcOptions extends CommonOptions {
  readonly issuer: string;
  readonly clientId: string;
  readonly redirect: string[];
  readonly public?: boolean;
  readonly scope?: string;
  readonly tenant?: string;
  readonly subjectClaim?: string;
  readonly accounts?: string;
  readonly groupsClaim?: string;
  readonly groupsEndpoint?: string;
  readonly acr?: string[];
  readonly amr?: string[];
  readonly operatorGroup?: string[];
}

const SUFFIX: CommandOption = [
  '--suffix <text>',
  'behind every user name, so that two directories do not want the same one',
];
const STAGED: CommandOption = ['--staged', 'only read its accounts: nobody becomes a user before it is activated'];
/** What directories have that we ask. */
const ASKED: readonly CommandOption[] = [
  SUFFIX,
  STAGED,
  ['--ca <file>', 'PEM of the CA of the server'],
  ['--secret-stdin', 'read the password or secret from standard input'],
  ['--keep-secret', 'change settings only; the password or secret stays'],
];
const LDAP: readonly CommandOption[] = [
  required('--server <urls...>', 'ldaps://host[:port], or ldap://host for StartTLS; tried in this order'),
  required('--bind-dn <dn>', 'account that may read users and groups'),
  required('--base <dn>', 'where users are'),
  ['--ad', 'it is Active Directory'],
  ['--group-base <dn>', 'where groups are, if elsewhere'],
  ['--user-filter <filter>', 'which entries are users'],
  ['--group-filter <filter>', 'which entries are groups'],
  ['--keep <name=attribute...>', 'further attributes to keep, for a migration'],
  ['--every <seconds>', 'how often changes are looked for'],
];
const OIDC: readonly CommandOption[] = [
  required('--issuer <url>', 'as the provider calls itself, https://…'),
  required('--client-id <id>', 'this gateway at the provider'),
  required('--redirect <urls...>', 'where the provider sends apps back to; registered there too'),
  ['--public', 'the client has no secret'],
  ['--scope <scopes>', 'what to ask for beside openid'],
  ['--tenant <id>', 'Entra ID: the one tenant whose users may come'],
  ['--subject-claim <name>', 'claim that names a user for ever; Entra ID: oid'],
  ['--accounts <directory>', 'SCIM directory that pushes the accounts of this provider'],
  ['--groups-claim <name>', 'claim with the groups of a user'],
  ['--groups-endpoint <url>', 'where groups are asked for when there are too many for a token'],
  ['--acr <values...>', 'levels one of which the provider must confirm'],
  ['--amr <values...>', 'methods that must all have been used, for instance mfa'],
  ['--operator-group <subjects...>', 'groups there whose members may be operators here'],
];

/** `sallyport directory add ldap|oidc|scim` */
export function addDirectoryAdd(directory: Command): void {
  const add = directory.command('add').description('connect a directory, or change how it is connected');
  addOperatorCommand(add, {
    name: 'ldap <name>',
    about: 'Active Directory or another LDAP server; asks for the password to bind with',
    options: [...ASKED, ...LDAP],
    run: (admin, given: Given<LdapOptions>, name: string) =>
      put(admin, given, { name, kind: 'ldap', settings: ldapSettings(given.options) }),
    show: sayDirectory,
    afterwards: tryAdded,
  });
  addOperatorCommand(add, {
    name: 'oidc <name>',
    about: 'OpenID provider; asks for the client secret',
    options: [...ASKED, ...OIDC],
    run: (admin, given: Given<OidcOptions>, name: string) =>
      put(admin, given, { name, kind: 'oidc', settings: oidcSettings(given.options) }),
    show: sayDirectory,
    afterwards: tryAdded,
  });
  addOperatorCommand(add, {
    name: 'scim <name>',
    about: 'a SCIM client, like Entra ID, pushes users and groups; see: directory token',
    options: [SUFFIX, STAGED],
    run: (admin, given: Given<CommonOptions>, name: string) => {
      const { suffix } = given.options;
      return put(admin, given, { name, kind: 'scim', settings: suffix === undefined ? {} : { suffix } });
    },
    show: sayDirectory,
    afterwards: tryAdded,
  });
}

function ldapSettings(options: LdapOptions): LdapSettings {
  const { server, bindDn, base, groupBase, userFilter, groupFilter, every, keep, suffix } = options;
  const kept = (keep ?? []).map((pair) => pair.split('=', 2) as [string, string]);
  if (kept.some(([, attribute]) => !attribute))
    throw new CliError('--keep is written name=attribute', 'for instance: --keep employeeId=employeeNumber');
  return {
    servers: server,
    flavour: options.ad ? 'ad' : 'standard',
    bindDn,
    base,
    ...(options.ca === undefined ? {} : { ca: readFileSync(userPath(options.ca), 'utf8') }),
    ...(groupBase === undefined ? {} : { groupBase }),
    ...(userFilter === undefined ? {} : { userFilter }),
    ...(groupFilter === undefined ? {} : { groupFilter }),
    ...(every === undefined ? {} : { syncEveryMs: Number(every) * 1_000 }),
    ...(kept.length === 0 ? {} : { keep: Object.fromEntries(kept) }),
    ...(suffix === undefined ? {} : { suffix }),
  };
}

function oidcSettings(options: OidcOptions): OidcSettings {
  const {
    issuer,
    clientId,
    redirect,
    ca,
    public: _,
    operatorGroup,
    staged: __,
    secretStdin: ___,
    keepSecret: ____,
    ...rest
  } = options;
  return {
    issuer,
    clientId,
    redirects: redirect,
    ...(ca === undefined ? {} : { ca: readFileSync(userPath(ca), 'utf8') }),
    ...(operatorGroup === undefined ? {} : { operatorGroups: operatorGroup }),
    ...rest,
  };
}

async function put(
  admin: AdminClient,
  { options, reason }: Given<CommonOptions & { readonly public?: boolean }>,
  of: { readonly name: string; readonly kind: 'ldap' | 'oidc' | 'scim'; readonly settings: object },
): Promise<DirectoryView> {
  const { name, kind, settings } = of;
  const secrets = await secretsFor(kind, options);
  const stage = options.staged ? 'staged' : 'active';
  const body = { kind, stage, settings, ...(secrets ? { secrets } : {}) } as DirectoryInput;
  return admin.call(directories.put, { params: { name }, body, reason });
}

/** Tries a directory that was added, for people; programs ask for that by themselves. */
async function tryAdded(
  admin: AdminClient,
  { name }: DirectoryView,
  { reason, globals }: Given<unknown>,
): Promise<void> {
  if (globals.json) return;
  sayFindings(await admin.call(directories.test, { params: { name }, reason }));
}

async function secretsFor(kind: string, options: CommonOptions & { public?: boolean }): Promise<object | undefined> {
  if (kind === 'scim' || options.keepSecret || options.public) return undefined;
  const [key, question] =
    kind === 'ldap' ? ['bindPassword', 'Password to bind with'] : ['clientSecret', 'Client secret'];
  return { [key!]: await askSecret(question!, options.secretStdin === true) };
}
