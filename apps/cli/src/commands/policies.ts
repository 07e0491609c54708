import { type AttestedRule, type ContextRule, PLACE_FIELDS, type PolicyView } from '@sallyport/security-api';
import { policies } from '@sallyport/security-api/admin';
import type { AdminClient } from '@sallyport/security-client/admin';
import { type Command, Option } from 'commander';
import { addOperatorCommand, type CommandOption, type Given, required, table } from '../operator-command.ts';
import { CliError } from '../output.ts';
import { parseDuration } from '../units.ts';
import { given, sayRemoved, suggestSet } from './resources.ts';

interface PolicyOptions {
  readonly group: string[];
  readonly resource: string[];
  readonly method?: string[];
  readonly path?: string[];
  readonly context?: string;
  readonly attested?: string;
  readonly level?: string;
  readonly site?: string[];
  readonly notSite?: string[];
  readonly network?: string[];
  readonly notNetwork?: string[];
  readonly region?: string[];
  readonly notRegion?: string[];
  readonly country?: string[];
  readonly notCountry?: string[];
}

interface PolicyChangeOptions extends Partial<PolicyOptions> {
  readonly addGroup?: string[];
  readonly removeGroup?: string[];
  readonly addResource?: string[];
  readonly removeResource?: string[];
  readonly unset?: string[];
}

const showPolicies = table<PolicyView>(
  ['name', 'groups', 'resources', 'methods', 'paths', 'place', 'context'],
  (view) => ({
    ...view,
    place: PLACE_FIELDS.flatMap((field) => (view[field] ? [`${field} ${view[field].join(' ')}`] : [])),
  }),
);

const METHOD: CommandOption = [
  '--method <names...>',
  'only these methods; any method works, also PROPFIND, REPORT or PURGE',
];
const PATH: CommandOption = ['--path <prefixes...>', 'only paths under these'];
const CONTEXT = 'what must hold of the app context, as JSON';

/** What evidence a policy demands. */
const EVIDENCE_OPTIONS: readonly CommandOption[] = [
  ['--attested <age>', 'only for apps that have proved what they are within this time, like 15m'],
  new Option('--level <level>', 'how strong that evidence must be; hardware unless said otherwise').choices([
    'software',
    'platform',
    'hardware',
  ]),
];

function attestedOf({ attested, level }: Partial<PolicyOptions>): AttestedRule | undefined {
  if (attested === undefined && level === undefined) return undefined;
  if (attested === undefined) throw new CliError('how old may the evidence be?', 'for instance: --attested 15m');
  return { withinMs: parseDuration(attested), level: (level ?? 'hardware') as AttestedRule['level'] };
}

/** Where a policy holds. */
const PLACE_OPTIONS: readonly CommandOption[] = [
  ['--site <names...>', 'only through Proxies of these sites'],
  ['--not-site <names...>', 'never through Proxies of these sites'],
  ['--network <cidr...>', 'only for devices in these networks, as the Proxy sees their addresses'],
  ['--not-network <cidr...>', 'not for devices in these networks'],
  ['--country <codes...>', 'only for devices in these countries, like DE AT, by the file of the Proxy'],
  ['--not-country <codes...>', 'not for devices in these countries, nor where none is known'],
  ['--region <names...>', 'of the resources only those of these regions'],
  ['--not-region <names...>', 'of the resources none of these regions'],
];

function placeOf(options: Partial<PolicyOptions>): Record<string, string[]> {
  return {
    ...given('sites', options.site),
    ...given('notSites', options.notSite),
    ...given('networks', options.network),
    ...given('notNetworks', options.notNetwork),
    ...given('regions', options.region),
    ...given('notRegions', options.notRegion),
    ...given('countries', options.country),
    ...given('notCountries', options.notCountry),
  };
}

/** `sallyport policy …` */
export function addPolicyCommands(program: Command): void {
  const policy = program.command('policy').description('which groups reach which resources, and from which apps');
  addOperatorCommand(policy, {
    name: 'add <name>',
    about: 'create a policy',
    options: [
      required('-g, --group <names...>', 'groups that it opens for'),
      required('-r, --resource <names...>', 'resources that it opens'),
      METHOD,
      PATH,
      ...PLACE_OPTIONS,
      ...EVIDENCE_OPTIONS,
      ['--context <json>', CONTEXT, '{}'],
    ],
    run: addPolicy,
    show: showPolicies,
  });
  addOperatorCommand(policy, {
    name: 'set <name>',
    about: 'change a policy; what is not named stays',
    options: [
      ['-g, --group <names...>', 'all groups that it opens for'],
      ['--add-group <names...>', 'more groups'],
      ['--remove-group <names...>', 'groups that it opens for no more'],
      ['-r, --resource <names...>', 'all resources that it opens'],
      ['--add-resource <names...>', 'more resources'],
      ['--remove-resource <names...>', 'resources that it opens no more'],
      METHOD,
      PATH,
      ...PLACE_OPTIONS,
      ...EVIDENCE_OPTIONS,
      ['--context <json>', CONTEXT],
      new Option('--unset <settings...>', 'take these away').choices(['methods', 'paths', 'attested', ...PLACE_FIELDS]),
    ],
    run: setPolicy,
    show: showPolicies,
  });
  addOperatorCommand(policy, {
    name: 'list',
    about: 'all policies',
    run: (admin) => admin.all(policies.list),
    show: showPolicies,
  });
  addOperatorCommand(policy, {
    name: 'remove <name>',
    about: 'remove one; open channels lose it at once',
    run: (admin, { reason }, name: string) => admin.call(policies.remove, { params: { name }, reason }),
    show: sayRemoved,
  });
}

async function addPolicy(
  admin: AdminClient,
  { options, reason }: Given<PolicyOptions>,
  name: string,
): Promise<PolicyView[]> {
  const body = {
    groups: options.group,
    resources: options.resource,
    context: { ...parseRule(options.context ?? '{}'), ...given('attested', attestedOf(options)) },
    ...(options.method ? { methods: options.method } : {}),
    ...(options.path ? { paths: options.path } : {}),
    ...placeOf(options),
  };
  const call = { params: { name }, body, reason, onlyNew: true };
  return [await admin.call(policies.put, call).catch(suggestSet('policy', name))];
}

async function setPolicy(
  admin: AdminClient,
  { options, reason }: Given<PolicyChangeOptions>,
  name: string,
): Promise<PolicyView[]> {
  const body = {
    ...given('groups', options.group),
    ...given('addGroups', options.addGroup),
    ...given('removeGroups', options.removeGroup),
    ...given('resources', options.resource),
    ...given('addResources', options.addResource),
    ...given('removeResources', options.removeResource),
    ...given('methods', options.method),
    ...given('paths', options.path),
    ...placeOf(options),
    ...given('context', options.context === undefined ? undefined : parseRule(options.context)),
    ...given('attested', attestedOf(options)),
    ...Object.fromEntries((options.unset ?? []).map((name) => [name, null])),
  };
  if (Object.keys(body).length === 0) throw new CliError('what is to change?', 'sallyport policy set --help shows it');
  return [await admin.call(policies.change, { params: { name }, body, reason })];
}

function parseRule(text: string): ContextRule {
  try {
    return JSON.parse(text) as ContextRule;
  } catch {
    throw new CliError('--context is not JSON', `for instance: --context '{"posture":{"rooted":false}}'`);
  }
}
