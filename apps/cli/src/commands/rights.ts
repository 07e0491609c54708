import { readFileSync } from 'node:fs';
import type { ContextRule, PolicyView, ResourceTrial, ResourceView } from '@sallyport/security-api';
import { type Command, Option } from 'commander';
import { CliError, printRows } from '../output.ts';
import { allPages } from '../pages.ts';
import { globalsOf, reasonOf, withAdmin } from '../program.ts';
import { say } from '../terminal.ts';
import { userPath } from '../user-path.ts';

interface ResourceOptions {
  readonly authority: string;
  readonly backend: string;
  readonly network?: string[];
  readonly ca?: string;
  readonly title?: string;
  readonly readsContent?: boolean;
  readonly xForwarded?: boolean;
  readonly passField?: string[];
  readonly delegate?: string;
  readonly delegateAudience?: string;
}

interface PolicyOptions {
  readonly group: string[];
  readonly resource: string[];
  readonly method?: string[];
  readonly path?: string[];
  readonly context?: string;
}

function flat(resource: ResourceView): object {
  const { url, networks, readsContent, xForwarded, passFields = [] } = resource.backend;
  const settings = [
    ...(readsContent ? ['reads-content'] : []),
    ...(xForwarded ? ['x-forwarded'] : []),
    ...passFields.map((field) => `pass-field ${field}`),
  ];
  return { ...resource, backend: url, networks, settings };
}

const RESOURCE_COLUMNS = ['name', 'kind', 'authority', 'backend', 'networks', 'settings'];
const POLICY_COLUMNS = ['name', 'groups', 'resources', 'methods', 'paths', 'context'];

/** `sallyport resource …` and `sallyport policy …` */
export function addRightCommands(program: Command): void {
  const resource = program.command('resource').description('what is protected');
  resource
    .command('add <name>')
    .description('create or replace a resource')
    .requiredOption('--authority <host[:port]>', 'what devices write in their URLs')
    .requiredOption('--backend <url>', 'where it really is: http://, https:// or tcp://')
    .option('--network <cidr...>', 'private or loopback networks that the backend may lie in')
    .option('--ca <file>', 'PEM of the CA of an https backend')
    .option('--title <text>', 'name to show')
    .option('--reads-content', 'the backend reads all content: any method may have some, connections are kept after it')
    .option('--x-forwarded', 'tell the backend by X-Forwarded-For, -Host and -Proto, too')
    .option('--pass-field <names...>', 'fields of devices that pass although backends take them from a proxy in front')
    .option('--delegate <directory>', 'the backend wants a token that this OpenID provider gives in exchange')
    .option('--delegate-audience <audience>', 'for whom that token is')
    .action(addResource);
  resource
    .command('test <name>')
    .description('let the Proxies try the backend, and say what is wrong; fails when a Proxy does not reach it')
    .action(testResource);
  addListing(resource, 'resources', RESOURCE_COLUMNS, (row) => flat(row as ResourceView));
  const policy = program.command('policy').description('which groups reach which resources, and from which apps');
  policy
    .command('add <name>')
    .description('create or replace a policy')
    .requiredOption('-g, --group <names...>', 'groups that it opens for')
    .requiredOption('-r, --resource <names...>', 'resources that it opens')
    .option('--method <names...>', 'only these methods')
    .option('--path <prefixes...>', 'only paths under these')
    .addOption(new Option('--context <json>', 'what must hold of the app context, as JSON').default('{}'))
    .action(addPolicy);
  addListing(policy, 'policies', POLICY_COLUMNS, (row) => row);
}

async function addResource(name: string, options: ResourceOptions, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const body = {
    kind: options.backend.startsWith('tcp:') ? 'tcp' : 'http',
    authority: options.authority,
    backend: {
      url: options.backend,
      networks: options.network ?? [],
      ...(options.ca === undefined ? {} : { ca: readFileSync(userPath(options.ca), 'utf8') }),
      ...(options.readsContent ? { readsContent: true } : {}),
      ...(options.xForwarded ? { xForwarded: true } : {}),
      ...(options.passField ? { passFields: options.passField } : {}),
      ...delegateOf(name, options),
    },
    ...(options.title === undefined ? {} : { title: options.title }),
  };
  const reason = reasonOf(globals, 'resource add');
  const view = await withAdmin(globals, (admin) =>
    admin.call<ResourceView>('PUT', `/v1/resources/${name}`, { body, reason }),
  );
  printRows([flat(view)], RESOURCE_COLUMNS, globals.json);
}

async function testResource(name: string, _options: unknown, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const { tries } = await withAdmin(globals, (admin) =>
    admin.call<ResourceTrial>('POST', `/v1/resources/${encodeURIComponent(name)}/test`),
  );
  printRows(tries, ['proxy', 'ok', 'reason', 'detail', 'ms'], globals.json);
  if (tries.length === 0)
    throw new CliError('no Proxy is connected to the node that was asked', 'see where they beat: sallyport status');
  if (tries.some(({ ok }) => !ok)) process.exitCode = 1;
}

function delegateOf(name: string, { delegate, delegateAudience }: ResourceOptions): object {
  if (delegate === undefined) return {};
  return { delegate: { directory: delegate, audience: delegateAudience ?? name } };
}

async function addPolicy(name: string, options: PolicyOptions, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const body = {
    groups: options.group,
    resources: options.resource,
    context: parseRule(options.context ?? '{}'),
    ...(options.method ? { methods: options.method } : {}),
    ...(options.path ? { paths: options.path } : {}),
  };
  const reason = reasonOf(globals, 'policy add');
  const view = await withAdmin(globals, (admin) =>
    admin.call<PolicyView>('PUT', `/v1/policies/${name}`, { body, reason }),
  );
  printRows([view], POLICY_COLUMNS, globals.json);
}

function parseRule(text: string): ContextRule {
  try {
    return JSON.parse(text) as ContextRule;
  } catch {
    throw new CliError('--context is not JSON', `for instance: --context '{"posture":{"rooted":false}}'`);
  }
}

function addListing(parent: Command, path: string, columns: readonly string[], view: (row: object) => object): void {
  parent
    .command('list')
    .description(`all ${path}`)
    .action(async (_options, command: Command) => {
      const globals = globalsOf(command);
      const rows = await withAdmin(globals, (admin) =>
        allPages<{ readonly name: string }>(admin, `/v1/${path}`, ({ name }) => name),
      );
      printRows(rows.map(view), columns, globals.json);
    });
  parent
    .command('remove <name>')
    .description('remove one; open channels lose it at once')
    .action(async (name: string, _options, command: Command) => {
      const globals = globalsOf(command);
      const reason = reasonOf(globals, `${parent.name()} remove`);
      const { done } = await withAdmin(globals, (admin) =>
        admin.call<{ done: boolean }>('DELETE', `/v1/${path}/${name}`, { reason }),
      );
      say`${done ? `${name} is removed` : `there was no ${name}`}\n`;
    });
}
