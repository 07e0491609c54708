import type { ContextRule, PolicyView, ResourceView } from '@sallyport/security-api';
import { type Command, Option } from 'commander';
import { CliError, printRows } from '../output.ts';
import { allPages } from '../pages.ts';
import { globalsOf, reasonOf, withAdmin } from '../program.ts';
import { overlapsOf } from '../resources/overlaps.ts';
import { say, warn } from '../terminal.ts';
import { addResourceCommands, flatResource, given, RESOURCE_COLUMNS, suggestSet } from './resources.ts';

interface PolicyOptions {
  readonly group: string[];
  readonly resource: string[];
  readonly method?: string[];
  readonly path?: string[];
  readonly context?: string;
}

interface PolicyChangeOptions extends Partial<PolicyOptions> {
  readonly addGroup?: string[];
  readonly removeGroup?: string[];
  readonly addResource?: string[];
  readonly removeResource?: string[];
  readonly unset?: string[];
}

const POLICY_COLUMNS = ['name', 'groups', 'resources', 'methods', 'paths', 'context'];

/** `sallyport resource …` and `sallyport policy …` */
export function addRightCommands(program: Command): void {
  const resource = program.command('resource').description('what is protected');
  addResourceCommands(resource);
  addListing(resource, 'resources', RESOURCE_COLUMNS, (row) => flatResource(row as ResourceView));
  const policy = program.command('policy').description('which groups reach which resources, and from which apps');
  policy
    .command('add <name>')
    .description('create a policy')
    .requiredOption('-g, --group <names...>', 'groups that it opens for')
    .requiredOption('-r, --resource <names...>', 'resources that it opens')
    .option('--method <names...>', 'only these methods; any method works, also PROPFIND, REPORT or PURGE')
    .option('--path <prefixes...>', 'only paths under these')
    .addOption(new Option('--context <json>', 'what must hold of the app context, as JSON').default('{}'))
    .action(addPolicy);
  policy
    .command('set <name>')
    .description('change a policy; what is not named stays')
    .option('-g, --group <names...>', 'all groups that it opens for')
    .option('--add-group <names...>', 'more groups')
    .option('--remove-group <names...>', 'groups that it opens for no more')
    .option('-r, --resource <names...>', 'all resources that it opens')
    .option('--add-resource <names...>', 'more resources')
    .option('--remove-resource <names...>', 'resources that it opens no more')
    .option('--method <names...>', 'only these methods; any method works, also PROPFIND, REPORT or PURGE')
    .option('--path <prefixes...>', 'only paths under these')
    .option('--context <json>', 'what must hold of the app context, as JSON')
    .addOption(new Option('--unset <settings...>', 'take these away').choices(['methods', 'paths']))
    .action(setPolicy);
  addListing(policy, 'policies', POLICY_COLUMNS, (row) => row);
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
    admin.call<PolicyView>('PUT', `/v1/policies/${encodeURIComponent(name)}`, { body, reason, onlyNew: true }),
  ).catch(suggestSet('policy', name));
  printRows([view], POLICY_COLUMNS, globals.json);
}

async function setPolicy(name: string, options: PolicyChangeOptions, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const body = {
    ...given('groups', options.group),
    ...given('addGroups', options.addGroup),
    ...given('removeGroups', options.removeGroup),
    ...given('resources', options.resource),
    ...given('addResources', options.addResource),
    ...given('removeResources', options.removeResource),
    ...given('methods', options.method),
    ...given('paths', options.path),
    ...given('context', options.context === undefined ? undefined : parseRule(options.context)),
    ...Object.fromEntries((options.unset ?? []).map((name) => [name, null])),
  };
  if (Object.keys(body).length === 0) throw new CliError('what is to change?', 'sallyport policy set --help shows it');
  const reason = reasonOf(globals, 'policy set');
  const view = await withAdmin(globals, (admin) =>
    admin.call<PolicyView>('PATCH', `/v1/policies/${encodeURIComponent(name)}`, { body, reason }),
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
      if (path === 'resources' && !globals.json)
        for (const overlap of overlapsOf(rows as unknown as ResourceView[])) warn`note: ${overlap}\n`;
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
