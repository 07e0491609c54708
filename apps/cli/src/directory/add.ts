import { readFileSync } from 'node:fs';
import type { DirectoryInput, DirectoryView, FindingView, LdapSettings, OidcSettings } from '@sallyport/security-api';
import { type Command, Option } from 'commander';
import { CliError } from '../output.ts';
import { globalsOf, reasonOf, withAdmin } from '../program.ts';
import { askSecret } from '../secrets.ts';
import { userPath } from '../user-path.ts';
import { printFindings, sayDirectory } from './show.ts';

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

/** `sallyport directory add ldap|oidc|scim` */
export function addDirectoryAdd(directory: Command): void {
  const add = directory.command('add').description('connect a directory, or change how it is connected');
  common(
    add
      .command('ldap <name>')
      .description('Active Directory or another LDAP server; asks for the password to bind with'),
  )
    .requiredOption('--server <urls...>', 'ldaps://host[:port], or ldap://host for StartTLS; tried in this order')
    .requiredOption('--bind-dn <dn>', 'account that may read users and groups')
    .requiredOption('--base <dn>', 'where users are')
    .option('--ad', 'it is Active Directory')
    .option('--group-base <dn>', 'where groups are, if elsewhere')
    .option('--user-filter <filter>', 'which entries are users')
    .option('--group-filter <filter>', 'which entries are groups')
    .option('--keep <name=attribute...>', 'further attributes to keep, for a migration')
    .option('--every <seconds>', 'how often changes are looked for')
    .action((name: string, options: LdapOptions, command: Command) =>
      put(name, command, { options, kind: 'ldap', settings: ldapSettings(options) }),
    );
  common(add.command('oidc <name>').description('OpenID provider; asks for the client secret'))
    .requiredOption('--issuer <url>', 'as the provider calls itself, https://…')
    .requiredOption('--client-id <id>', 'this gateway at the provider')
    .requiredOption('--redirect <urls...>', 'where the provider sends apps back to; registered there too')
    .option('--public', 'the client has no secret')
    .option('--scope <scopes>', 'what to ask for beside openid')
    .option('--tenant <id>', 'Entra ID: the one tenant whose users may come')
    .option('--subject-claim <name>', 'claim that names a user for ever; Entra ID: oid')
    .option('--accounts <directory>', 'SCIM directory that pushes the accounts of this provider')
    .option('--groups-claim <name>', 'claim with the groups of a user')
    .option('--groups-endpoint <url>', 'where groups are asked for when there are too many for a token')
    .option('--acr <values...>', 'levels one of which the provider must confirm')
    .option('--amr <values...>', 'methods that must all have been used, for instance mfa')
    .option('--operator-group <subjects...>', 'groups there whose members may be operators here')
    .action((name: string, options: OidcOptions, command: Command) =>
      put(name, command, { options, kind: 'oidc', settings: oidcSettings(options) }),
    );
  add
    .command('scim <name>')
    .description('a SCIM client, like Entra ID, pushes users and groups; see: directory token')
    .option('--suffix <text>', 'behind every user name')
    .addOption(stagedOption())
    .action((name: string, options: CommonOptions, command: Command) =>
      put(name, command, {
        options,
        kind: 'scim',
        settings: options.suffix === undefined ? {} : { suffix: options.suffix },
      }),
    );
}

function stagedOption(): Option {
  return new Option('--staged', 'only read its accounts: nobody becomes a user before it is activated');
}

function common(command: Command): Command {
  return command
    .option('--suffix <text>', 'behind every user name, so that two directories do not want the same one')
    .addOption(stagedOption())
    .option('--ca <file>', 'PEM of the CA of the server')
    .option('--secret-stdin', 'read the password or secret from standard input')
    .option('--keep-secret', 'change settings only; the password or secret stays');
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
  name: string,
  command: Command,
  of: { options: CommonOptions & { public?: boolean }; kind: 'ldap' | 'oidc' | 'scim'; settings: object },
): Promise<void> {
  const { options, kind, settings } = of;
  const globals = globalsOf(command);
  const secrets = await secretsFor(kind, options);
  const stage = options.staged ? 'staged' : 'active';
  const body = { kind, stage, settings, ...(secrets ? { secrets } : {}) } as DirectoryInput;
  const reason = reasonOf(globals, `directory add ${kind}`);
  await withAdmin(globals, async (admin) => {
    const view = await admin.call<DirectoryView>('PUT', `/v1/directories/${name}`, { body, reason });
    sayDirectory(view, globals.json);
    if (!globals.json)
      printFindings(await admin.call<FindingView[]>('POST', `/v1/directories/${name}/test`, { reason }), false);
  });
}

async function secretsFor(kind: string, options: CommonOptions & { public?: boolean }): Promise<object | undefined> {
  if (kind === 'scim' || options.keepSecret || options.public) return undefined;
  const [key, question] =
    kind === 'ldap' ? ['bindPassword', 'Password to bind with'] : ['clientSecret', 'Client secret'];
  return { [key!]: await askSecret(question!, options.secretStdin === true) };
}
