import { readFileSync } from 'node:fs';
import type { ResourceTrial, ResourceView } from '@sallyport/security-api';
import { type Command, Option } from 'commander';
import { CliError, formatDuration, printJson, printRows } from '../output.ts';
import { globalsOf, reasonOf, withAdmin } from '../program.ts';
import { doubtsOf } from '../resource-doubts.ts';
import { say, warn } from '../terminal.ts';
import { parseDuration } from '../units.ts';
import { userPath } from '../user-path.ts';

interface ResourceOptions {
  readonly authority?: string;
  readonly backend?: string;
  readonly network?: string[];
  readonly ca?: string;
  readonly title?: string;
  readonly readsContent?: boolean;
  readonly xForwarded?: boolean;
  readonly publicScheme?: string;
  readonly passField?: string[];
  readonly paths?: string;
  readonly delegate?: string;
  readonly delegateAudience?: string;
  readonly connectTimeout?: string;
  readonly answerTimeout?: string;
  readonly idleTimeout?: string;
  readonly unset?: string[];
}

/** Options that are time limits, each with what the wire calls it. */
const TIME_LIMITS = { connectTimeout: 'connectMs', answerTimeout: 'answerMs', idleTimeout: 'idleMs' } as const;

/** Columns of a list of resources. */
export const RESOURCE_COLUMNS: readonly string[] = [
  'name',
  'title',
  'kind',
  'authority',
  'backend',
  'networks',
  'settings',
];

/** A resource as a row of a table; `settings` are those that are not the usual ones. */
export function flatResource(resource: ResourceView): object {
  const {
    url,
    networks,
    ca,
    readsContent,
    xForwarded,
    publicScheme,
    passFields = [],
    paths,
    delegate,
    timeouts = {},
  } = resource.backend;
  const settings = [
    ...(ca === undefined ? [] : ['ca']),
    ...(readsContent ? ['reads-content'] : []),
    ...(xForwarded ? ['x-forwarded'] : []),
    ...(publicScheme === undefined ? [] : [`public-scheme ${publicScheme}`]),
    ...passFields.map((field) => `pass-field ${field}`),
    ...(paths === 'exact' ? ['exact paths'] : []),
    ...(delegate ? [`delegate ${delegate.directory}`] : []),
    ...limitsOf(timeouts),
  ];
  return { ...resource, backend: url, networks, settings };
}

/** Time limits as words, like `answer-timeout 75 s`. */
function limitsOf(timeouts: NonNullable<ResourceView['backend']['timeouts']>): string[] {
  return Object.entries(timeouts).map(([name, ms]) => `${name.replace('Ms', '-timeout')} ${formatDuration(ms)}`);
}

/** `sallyport resource add|set|show|test` */
export function addResourceCommands(resource: Command): void {
  const add = resource
    .command('add <name>')
    .description('create a resource')
    .requiredOption('--authority <host[:port]>', 'what devices write in their URLs')
    .requiredOption('--backend <url>', 'where it really is: http://, https:// or tcp://');
  addSettings(add).action(addResource);
  const set = resource
    .command('set <name>')
    .description('change a resource; what is not named stays')
    .option('--authority <host[:port]>', 'what devices write in their URLs')
    .option('--backend <url>', 'where it really is: http://, https:// or tcp://');
  addSettings(set)
    .addOption(
      new Option('--unset <settings...>', 'take these away').choices([
        'ca',
        'readsContent',
        'xForwarded',
        'publicScheme',
        'passFields',
        'paths',
        'delegate',
        'connectTimeout',
        'answerTimeout',
        'idleTimeout',
      ]),
    )
    .action(setResource);
  resource
    .command('show <name>')
    .description('everything about one resource')
    .action(async (name: string, _options, command: Command) => {
      const globals = globalsOf(command);
      const view = await withAdmin(globals, (admin) => admin.call<ResourceView>('GET', pathOf(name)));
      if (globals.json) return printJson(view);
      for (const [setting, value] of settingsOf(view)) say`${setting.padEnd(14)} ${value}\n`;
      sayDoubts(view);
    });
  resource
    .command('test <name>')
    .description('let the Proxies try the backend, and say what is wrong; fails when a Proxy does not reach it')
    .action(testResource);
}

function addSettings(command: Command): Command {
  return command
    .option('--network <cidr...>', 'private or loopback networks that the backend may lie in')
    .option('--ca <file>', 'PEM of the CA of an https backend')
    .option('--title <text>', 'name to show')
    .option('--reads-content', 'the backend reads all content: any method may have some, connections are kept after it')
    .option('--x-forwarded', 'tell the backend by X-Forwarded-For, -Host and -Proto, too')
    .addOption(
      new Option(
        '--public-scheme <scheme>',
        'what users have in their address bars, whatever a device says: the backend is told it, redirects are mapped to it',
      ).choices(['http', 'https']),
    )
    .option('--pass-field <names...>', 'fields of devices that pass although backends take them from a proxy in front')
    .addOption(
      new Option('--paths <grammar>', 'exact: every path as it came, for instance with %2F or %25 in it').choices([
        'strict',
        'exact',
      ]),
    )
    .option('--delegate <directory>', 'the backend wants a token that this OpenID provider gives in exchange')
    .option('--delegate-audience <audience>', 'for whom that token is')
    .option('--connect-timeout <time>', 'until a connection to the backend stands: 5s unless you say otherwise')
    .option('--answer-timeout <time>', 'until an answer begins once the request is out: 60s; like 75s, 5m, 500ms')
    .option('--idle-timeout <time>', 'for how long nothing may move: answers 5m, content 1m, WebSockets and TCP 2h');
}

function pathOf(name: string): string {
  return `/v1/resources/${encodeURIComponent(name)}`;
}

/** A field of a body when there is something to say of it. */
export function given<Value>(name: string, value: Value | undefined): Record<string, Value> {
  return value === undefined ? {} : { [name]: value };
}

/** Says how to change what is there already, to who tried to add it. */
export function suggestSet(what: string, name: string): (error: unknown) => never {
  return (error) => {
    const { message, code } = error as CliError;
    const there = code === 'ERR_ACCESS_CONFLICT' && message.endsWith('already');
    throw there ? new CliError(message, `change it: sallyport ${what} set ${name} …`, code) : error;
  };
}

function backendOf(name: string, options: ResourceOptions): Record<string, unknown> {
  const { delegate, delegateAudience } = options;
  return {
    ...given('url', options.backend),
    ...given('networks', options.network),
    ...given('ca', options.ca === undefined ? undefined : readFileSync(userPath(options.ca), 'utf8')),
    ...given('readsContent', options.readsContent),
    ...given('xForwarded', options.xForwarded),
    ...given('publicScheme', options.publicScheme),
    ...given('passFields', options.passField),
    ...given('paths', options.paths),
    ...given('delegate', delegate && { directory: delegate, audience: delegateAudience ?? name }),
    ...given('timeouts', timeoutsOf(options)),
    ...Object.fromEntries((options.unset ?? []).filter((name) => !(name in TIME_LIMITS)).map((name) => [name, null])),
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

function headOf({ authority, title, backend }: ResourceOptions): Record<string, unknown> {
  const kind = backend === undefined ? undefined : backend.startsWith('tcp:') ? 'tcp' : 'http';
  return { ...given('kind', kind), ...given('authority', authority), ...given('title', title) };
}

async function addResource(name: string, options: ResourceOptions, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const body = { ...headOf(options), backend: { networks: [], ...backendOf(name, options) } };
  const reason = reasonOf(globals, 'resource add');
  const view = await withAdmin(globals, (admin) =>
    admin.call<ResourceView>('PUT', pathOf(name), { body, reason, onlyNew: true }),
  ).catch(suggestSet('resource', name));
  printRows([flatResource(view)], RESOURCE_COLUMNS, globals.json);
  sayDoubts(view);
}

async function setResource(name: string, options: ResourceOptions, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const backend = backendOf(name, options);
  const body = { ...headOf(options), ...given('backend', Object.keys(backend).length > 0 ? backend : undefined) };
  if (Object.keys(body).length === 0)
    throw new CliError('what is to change?', 'sallyport resource set --help shows it');
  const reason = reasonOf(globals, 'resource set');
  const view = await withAdmin(globals, (admin) => admin.call<ResourceView>('PATCH', pathOf(name), { body, reason }));
  printRows([flatResource(view)], RESOURCE_COLUMNS, globals.json);
  sayDoubts(view);
}

/** Says at once what would else show as a backend that does not answer; on standard error, for people. */
function sayDoubts(view: ResourceView): void {
  for (const doubt of doubtsOf(view)) warn`note: ${doubt}\n`;
}

function settingsOf({ name, title, kind, authority, backend }: ResourceView): [string, string][] {
  const all = { name, title, kind, authority, ...backend };
  return Object.entries(all).map(([setting, value]) => {
    if (setting === 'ca') return [setting, 'a PEM'];
    return [setting, setting === 'timeouts' ? limitsOf(backend.timeouts ?? {}).join(', ') : wordsOf(value)];
  });
}

function wordsOf(value: unknown): string {
  if (Array.isArray(value)) return value.join(', ') || '(none)';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

async function testResource(name: string, _options: unknown, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const { tries } = await withAdmin(globals, (admin) => admin.call<ResourceTrial>('POST', `${pathOf(name)}/test`));
  printRows(tries, ['proxy', 'ok', 'reason', 'detail', 'ms'], globals.json);
  if (tries.length === 0)
    throw new CliError('no Proxy is connected to the node that was asked', 'see where they beat: sallyport status');
  if (tries.some(({ ok }) => !ok)) process.exitCode = 1;
}
