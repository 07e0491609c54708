import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { doubtsOfResource } from '@sallyport/lint';
import type { ResourceTrial, ResourceView } from '@sallyport/security-api';
import { type BodyOf, resources } from '@sallyport/security-api/admin';
import type { AdminClient, AdminError } from '@sallyport/security-client/admin';
import { type Command, Option } from 'commander';
import { addOperatorCommand, type CommandOption, type Given, required, table } from '../operator-command.ts';
import { CliError, formatBytes, formatDuration, formatTime } from '../output.ts';
import { overlapsOf } from '../resources/overlaps.ts';
import { parseServers } from '../resources/servers.ts';
import { askSecret, readStdin } from '../secrets.ts';
import { say, warn } from '../terminal.ts';
import { parseBytes, parseDuration } from '../units.ts';
import { userPath } from '../user-path.ts';
import { addFileCommands } from './resource-files.ts';

interface ResourceOptions {
  readonly authority?: string;
  readonly backend?: string[];
  readonly http?: string;
  readonly sticky?: boolean;
  readonly healthPath?: string;
  readonly healthEvery?: string;
  readonly prefix?: string;
  readonly host?: string;
  readonly clientCertificate?: string;
  readonly clientKey?: string;
  readonly basicUser?: string;
  readonly basicPasswordFile?: string;
  readonly network?: string[];
  readonly ca?: string;
  readonly title?: string;
  readonly site?: string[];
  readonly everySite?: true;
  readonly region?: string;
  readonly readsContent?: boolean;
  readonly xForwarded?: boolean;
  readonly publicScheme?: string;
  readonly passField?: string[];
  readonly paths?: string;
  readonly fields?: string[];
  readonly delegate?: string;
  readonly delegateAudience?: string;
  readonly connectTimeout?: string;
  readonly answerTimeout?: string;
  readonly idleTimeout?: string;
  readonly webSocketMessage?: string;
  readonly unset?: string[];
}

/** Options that are time limits, each with what the wire calls it. */
const TIME_LIMITS = { connectTimeout: 'connectMs', answerTimeout: 'answerMs', idleTimeout: 'idleMs' } as const;

const AUTHORITY_WORDS = 'what devices write in their URLs; *.corp for all names under corp';
const BACKEND_WORDS =
  'where it really is: http://, https:// or tcp://; several servers that answer the same: https://a https://b,weight=3 https://c,standby';

const COLUMNS = ['name', 'title', 'kind', 'authority', 'sites', 'backend', 'networks', 'settings'];
const showResources = table(COLUMNS, flatResource);

/** What commands that change a resource have in common. */
const CHANGED = {
  show: (view: ResourceView) => showResources([view]),
  json: (view: ResourceView) => [flatResource(view)],
  afterwards: sayDoubts,
} as const;

/** What stands where a resource names no sites. */
const EVERY_SITE = 'every site';

/** A resource as a row of a table; `settings` are those that are not the usual ones. */
function flatResource(resource: ResourceView): object {
  const { url, servers = [], networks, passFields = [], fields: limits = {}, timeouts = {} } = resource.backend;
  const backend = servers.length === 0 ? url : [url, ...servers.map((server) => server.url)];
  const fields = [
    ...passFields.map((field) => `pass-field ${field}`),
    ...Object.entries(limits).map(([limit, value]) => `fields ${limit}=${value}`),
  ];
  const region = resource.region === null ? [] : [`region ${resource.region}`];
  const settings = [...region, ...switchesOf(resource.backend), ...fields, ...limitsOf(timeouts)];
  return { ...resource, sites: resource.sites ?? EVERY_SITE, backend, networks, settings };
}

function switchesOf(backend: ResourceView['backend']): string[] {
  const { ca, readsContent, xForwarded, sticky, clientCertificate } = backend;
  const { publicScheme, paths, http, prefix, host, health, basic, delegate, webSocketMessageBytes } = backend;
  const switches = {
    ca: ca !== undefined,
    'reads-content': readsContent,
    'x-forwarded': xForwarded,
    'exact paths': paths === 'exact',
    sticky,
    'client-certificate': clientCertificate !== undefined,
  };
  const values = {
    http,
    'public-scheme': publicScheme,
    prefix,
    host,
    health: health?.path,
    'basic-user': basic?.user,
    delegate: delegate?.directory,
    'web-socket-message': webSocketMessageBytes && formatBytes(webSocketMessageBytes),
  };
  return [
    ...Object.entries(switches).flatMap(([name, on]) => (on ? [name] : [])),
    ...Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value}`])),
  ];
}

/** Time limits as words, like `answer-timeout 75 s`. */
function limitsOf(timeouts: NonNullable<ResourceView['backend']['timeouts']>): string[] {
  return Object.entries(timeouts).map(([name, ms]) => `${name.replace('Ms', '-timeout')} ${formatDuration(ms)}`);
}

/** `sallyport resource …` */
export function addResourceCommands(program: Command): void {
  const resource = program.command('resource').description('what is protected');
  addOperatorCommand(resource, {
    name: 'add <name>',
    about: 'create a resource',
    options: [
      required('--authority <host[:port]>', AUTHORITY_WORDS),
      required('--backend <urls...>', BACKEND_WORDS),
      ...SETTINGS,
    ],
    run: addResource,
    ...CHANGED,
  });
  addOperatorCommand(resource, {
    name: 'set <name>',
    about: 'change a resource; what is not named stays',
    options: [
      ['--authority <host[:port]>', AUTHORITY_WORDS],
      ['--backend <urls...>', BACKEND_WORDS],
      ...SETTINGS,
      new Option('--unset <settings...>', 'take these away').choices(UNSETTABLE),
    ],
    run: setResource,
    ...CHANGED,
  });
  addOperatorCommand(resource, {
    name: 'show <name>',
    about: 'everything about one resource',
    run: (admin, _given, name: string) => admin.call(resources.get, { params: { name } }),
    show: (view) => {
      for (const [setting, value] of settingsOf(view)) say`${setting.padEnd(18)} ${value}\n`;
    },
    afterwards: async (admin, view, { globals }) => {
      if (!globals.json) await sayDoubts(admin, view);
    },
  });
  addFileCommands(resource);
  addOperatorCommand(resource, {
    name: 'test <name>',
    about: 'let the Proxies try the backend, and say what is wrong; fails when a Proxy does not reach it',
    options: [['--as <host[:port]>', 'the name that is asked for, of a wildcard']],
    run: testResource,
    show: table(['proxy', 'ok', 'reason', 'detail', 'ms']),
  });
  addOperatorCommand(resource, {
    name: 'list',
    about: 'all resources',
    run: (admin) => admin.all(resources.list),
    show: (views) => {
      showResources(views);
      for (const overlap of overlapsOf(views)) warn`note: ${overlap}\n`;
    },
    json: (views) => views.map(flatResource),
  });
  addOperatorCommand(resource, {
    name: 'remove <name>',
    about: 'remove one; open channels lose it at once',
    run: (admin, { reason }, name: string) => admin.call(resources.remove, { params: { name }, reason }),
    show: sayRemoved,
  });
}

/** Says whether something was removed, or was not there. */
export function sayRemoved({ done }: { readonly done: boolean }, _given: unknown, name: string): void {
  say`${done ? `${name} is removed` : `there was no ${name}`}\n`;
}

const UNSETTABLE = [
  'region',
  'ca',
  'http',
  'sticky',
  'health',
  'prefix',
  'host',
  'clientCertificate',
  'basic',
  'readsContent',
  'xForwarded',
  'publicScheme',
  'passFields',
  'paths',
  'fields',
  'delegate',
  'connectTimeout',
  'answerTimeout',
  'idleTimeout',
  'webSocketMessageBytes',
];

/** What `--unset` takes away that is no setting of a backend. */
const OF_RESOURCE = ['region'];

const SETTINGS: readonly CommandOption[] = [
  ['--site <names...>', 'its sites, the preferred one first; equally good ones with commas: --site b a,c'],
  new Option('--every-site', 'it is at every site').conflicts('site'),
  ['--region <name>', 'where its data lies, for policies by region'],
  ['--network <cidr...>', 'private or loopback networks that the backend may lie in'],
  ['--ca <file>', 'PEM of the CA of an https backend'],
  ['--title <text>', 'name to show'],
  new Option('--http <version>', 'what is spoken with it; 2 for gRPC, auto lets an https server choose').choices([
    '1.1',
    '2',
    'auto',
  ]),
  ['--sticky', 'of several servers a user stays at one while it is well'],
  ['--health-path <path>', 'Proxies ask each of several servers for it: well is what answers 2xx or 3xx'],
  ['--health-every <time>', 'how often: 10s unless you say otherwise'],
  ['--prefix <path>', 'stands in front of every path on its way to the backend, like /app'],
  ['--host <host[:port]>', 'Host that the backend is told; else the name that was asked for'],
  ['--client-certificate <file>', 'PEM of the certificate that Proxies show an https backend'],
  ['--client-key <file>', 'PEM of its key; - for standard input'],
  ['--basic-user <name>', 'who the gateway is for the backend (basic authentication)'],
  ['--basic-password-file <file>', 'file with its password; - for standard input, which is asked for else'],
  ['--reads-content', 'the backend reads all content: any method may have some, connections are kept after it'],
  ['--x-forwarded', 'tell the backend by X-Forwarded-For, -Host and -Proto, too'],
  new Option(
    '--public-scheme <scheme>',
    'what users have in their address bars, whatever a device says: the backend is told it, redirects are mapped to it',
  ).choices(['http', 'https']),
  ['--pass-field <names...>', 'fields of devices that pass although backends take them from a proxy in front'],
  new Option('--paths <grammar>', 'exact: every path as it came, for instance with %2F or %25 in it').choices([
    'strict',
    'exact',
  ]),
  [
    '--fields <limits...>',
    'limits of header fields: count=200 bytes=65536 is the most; 100, and 8192 bytes for a value, unless you say otherwise',
  ],
  ['--delegate <directory>', 'the backend wants a token that this OpenID provider gives in exchange'],
  ['--delegate-audience <audience>', 'for whom that token is'],
  ['--connect-timeout <time>', 'until a connection to the backend stands: 5s unless you say otherwise'],
  ['--answer-timeout <time>', 'until an answer begins once the request is out: 60s; like 75s, 5m, 500ms'],
  ['--idle-timeout <time>', 'for how long nothing may move: answers 5m, content 1m, WebSockets and TCP 2h'],
  ['--web-socket-message <size>', 'the largest message of a WebSocket, like 64MiB; up to 256MiB'],
];

/** A field of a body when there is something to say of it. */
export function given<Value>(name: string, value: Value | undefined): Record<string, Value> {
  return value === undefined ? {} : { [name]: value };
}

/** Says how to change what is there already, to who tried to add it. */
export function suggestSet(what: string, name: string): (error: unknown) => never {
  return (error) => {
    const { message, code } = error as AdminError;
    const there = code === 'ERR_ACCESS_CONFLICT' && message.endsWith('already');
    throw there ? new CliError(message, `change it: sallyport ${what} set ${name} …`) : error;
  };
}

/** A file, or standard input, without the line break at its end. */
async function contentOf(file: string): Promise<string> {
  return file === '-' ? readStdin() : readFileSync(userPath(file), 'utf8').replace(/\r?\n$/, '');
}

/** What the backend knows the gateway by; undefined when nothing of it is named. A new password is asked for. */
async function basicOf(options: ResourceOptions, isNew: boolean): Promise<object | undefined> {
  const { basicUser, basicPasswordFile: file } = options;
  if (basicUser === undefined && file === undefined) return undefined;
  const asked = isNew && file === undefined;
  const password = asked ? await askSecret(`Password of ${basicUser}`, false, '--basic-password-file') : undefined;
  return { ...given('user', basicUser), ...given('password', file === undefined ? password : await contentOf(file)) };
}

async function clientCertificateOf({ clientCertificate, clientKey }: ResourceOptions): Promise<object | undefined> {
  if (clientCertificate === undefined && clientKey === undefined) return undefined;
  return {
    ...given('certificate', clientCertificate && (await contentOf(clientCertificate))),
    ...given('key', clientKey && (await contentOf(clientKey))),
  };
}

function healthOf({ healthPath, healthEvery }: ResourceOptions): object | undefined {
  if (healthPath === undefined && healthEvery === undefined) return undefined;
  return { ...given('path', healthPath), ...given('everyMs', healthEvery && parseDuration(healthEvery)) };
}

async function backendOf(name: string, options: ResourceOptions, isNew: boolean): Promise<Record<string, unknown>> {
  const { delegate, delegateAudience } = options;
  return {
    ...parseServers(options.backend ?? [], !isNew),
    ...given('http', options.http),
    ...given('sticky', options.sticky),
    ...given('health', healthOf(options)),
    ...given('prefix', options.prefix),
    ...given('host', options.host),
    ...given('clientCertificate', await clientCertificateOf(options)),
    ...given('basic', await basicOf(options, isNew)),
    ...given('networks', options.network),
    ...given('ca', options.ca === undefined ? undefined : readFileSync(userPath(options.ca), 'utf8')),
    ...given('readsContent', options.readsContent),
    ...given('xForwarded', options.xForwarded),
    ...given('publicScheme', options.publicScheme),
    ...given('passFields', options.passField),
    ...given('paths', options.paths),
    ...given('fields', fieldLimitsOf(options.fields)),
    ...given('delegate', delegate && { directory: delegate, audience: delegateAudience ?? name }),
    ...given('timeouts', timeoutsOf(options)),
    ...given('webSocketMessageBytes', options.webSocketMessage && parseBytes(options.webSocketMessage)),
    ...Object.fromEntries(
      (options.unset ?? [])
        .filter((name) => !(name in TIME_LIMITS) && !OF_RESOURCE.includes(name))
        .map((name) => [name, null]),
    ),
  };
}

/** Time limits that are set, or taken away; undefined when none is named. */
function timeoutsOf(options: ResourceOptions): Record<string, number | null> | undefined {
  const named: Record<string, number | null> = {};
  for (const [option, limit] of Object.entries(TIME_LIMITS)) {
    const time = options[option as keyof typeof TIME_LIMITS];
    if (options.unset?.includes(option)) named[limit] = null;
    if (time !== undefined) named[limit] = parseDuration(time);
  }
  return Object.keys(named).length > 0 ? named : undefined;
}

/** Limits written as `count=200` and `bytes=65536`; both together are what the resource has. @throws CliError */
function fieldLimitsOf(limits: readonly string[] | undefined): Record<string, number> | undefined {
  return limits && Object.fromEntries(limits.map(parseFieldLimit));
}

function parseFieldLimit(text: string): [string, number] {
  const [, limit, value] = /^(count|bytes)=([0-9]{1,6})$/.exec(text) ?? [];
  if (limit === undefined)
    throw new CliError(`${text} is no limit of fields`, 'for instance: --fields count=200 bytes=65536');
  return [limit, Number(value)];
}

function headOf(options: ResourceOptions): Record<string, unknown> {
  const { authority, title, backend, site, everySite, region, unset = [] } = options;
  const kind = backend === undefined ? undefined : backend[0]?.startsWith('tcp:') ? 'tcp' : 'http';
  return {
    ...given('kind', kind),
    ...given('authority', authority),
    ...given('title', title),
    ...given('sites', everySite ? null : site),
    ...given('region', unset.includes('region') ? null : region),
  };
}

async function addResource(
  admin: AdminClient,
  { options, reason }: Given<ResourceOptions>,
  name: string,
): Promise<ResourceView> {
  const backend = { networks: [], ...(await backendOf(name, options, true)) };
  // The server says what is not as it should be.
  const body = { ...headOf(options), backend } as object as BodyOf<typeof resources.put>;
  const call = { params: { name }, body, reason, onlyNew: true };
  return admin.call(resources.put, call).catch(suggestSet('resource', name));
}

async function setResource(
  admin: AdminClient,
  { options, reason }: Given<ResourceOptions>,
  name: string,
): Promise<ResourceView> {
  const backend = await backendOf(name, options, false);
  const body = { ...headOf(options), ...given('backend', Object.keys(backend).length > 0 ? backend : undefined) };
  if (Object.keys(body).length === 0)
    throw new CliError('what is to change?', 'sallyport resource set --help shows it');
  return admin.call(resources.change, { params: { name }, body, reason });
}

/**
 * Says at once what would else show as a backend that does not answer, and whose names are under two resources; on standard error,
 * for people.
 */
async function sayDoubts(admin: AdminClient, view: ResourceView): Promise<void> {
  for (const doubt of doubtsOfResource(view)) warn`note: ${doubt}\n`;
  const all = await admin.all(resources.list);
  for (const overlap of overlapsOf(all, view.name)) warn`note: ${overlap}\n`;
}

function settingsOf({ name, title, kind, authority, sites, region, backend }: ResourceView): [string, string][] {
  const place = { sites: sites ?? EVERY_SITE, ...given('region', region ?? undefined) };
  const all = { name, title, kind, authority, ...place, ...backend };
  return Object.entries(all).map(([setting, value]) => [setting, (SPOKEN[setting] ?? wordsOf)(value)]);
}

function wordsOf(value: unknown): string {
  if (Array.isArray(value)) return value.map(wordsOf).join(', ') || '(none)';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

type Settings = Required<ResourceView['backend']>;

/** Settings that nobody wants to read as they are. */
const SPOKEN: Readonly<Record<string, (value: unknown) => string>> = {
  ca: () => 'a PEM',
  clientCertificate: (value) => endOf((value as Settings['clientCertificate']).certificate),
  basic: (value) => `${(value as Settings['basic']).user}, with a password`,
  timeouts: (value) => limitsOf(value as Settings['timeouts']).join(', '),
  servers: (value) => (value as Settings['servers']).map(serverWords).join(', '),
};

function serverWords({ url, weight, standby }: Settings['servers'][number]): string {
  return [url, ...(weight === undefined ? [] : [`weight=${weight}`]), ...(standby ? ['standby'] : [])].join(',');
}

function endOf(pem: string): string {
  return `a PEM, good until ${formatTime(Date.parse(new X509Certificate(pem).validTo))}`;
}

async function testResource(
  admin: AdminClient,
  { options }: Given<{ readonly as?: string }>,
  name: string,
): Promise<ResourceTrial['tries']> {
  const query = options.as === undefined ? {} : { as: options.as };
  const { tries } = await admin.call(resources.test, { params: { name }, query });
  if (tries.length === 0)
    throw new CliError(
      'no Proxy of its sites is connected to the node that was asked',
      'see where they beat: sallyport status',
    );
  if (tries.some(({ ok }) => !ok)) process.exitCode = 1;
  return tries;
}
