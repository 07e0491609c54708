import { isOwnField, speaksForProxy } from '@sallyport/channel';
import type {
  AccessRule,
  Backend,
  PolicyChange,
  PolicyInput,
  ResourceChange,
  ResourceGrant,
  ResourceInput,
} from '@sallyport/security-api';
import { change } from './change.ts';
import type { AccessContext, Actor } from './context.ts';
import { AccessError } from './errors.ts';
import { getRealm } from './realm.ts';
import type { Transaction } from './store.ts';
import type { Json, PolicyRow, ResourceRow, SiteRow, StoredRule } from './tables.ts';

/** Resources, policies and sites of a realm at one moment. */
export interface PolicySet {
  readonly resources: readonly ResourceRow[];
  readonly policies: readonly PolicyRow[];
  readonly sites: readonly SiteRow[];
}

/** Reads all resources, policies and sites. */
export async function readPolicySet({ tables }: Transaction): Promise<PolicySet> {
  return {
    resources: await tables.resources.list(),
    policies: await tables.policies.list(),
    sites: await tables.sites.list(),
  };
}

/**
 * What a site serves: the resources it names, all when it names none. A site that does not exist serves nothing.
 */
export function servedAt(set: PolicySet, site: string, resources: readonly ResourceGrant[]): ResourceGrant[] {
  const row = set.sites.find(({ name }) => name === site);
  if (!row) return [];
  const names = row.resources as readonly string[];
  return names.length === 0 ? [...resources] : resources.filter(({ name }) => names.includes(name));
}

/** What a member of the groups may reach, each resource with every rule that opens it. Deny is the default. */
export function grantedResources(set: PolicySet, groups: readonly string[]): ResourceGrant[] {
  const applicable = set.policies.filter((policy) =>
    (policy.groups as string[]).some((group) => groups.includes(group)),
  );
  return set.resources.flatMap((resource) => {
    const opening = applicable.filter((policy) => (policy.resources as string[]).includes(resource.name));
    if (opening.length === 0) return [];
    const { name, kind, authority } = resource;
    // What a backend wants delegated is between Security and the provider.
    const { delegate: _, ...backend } = resource.backend as unknown as Backend;
    return [{ name, kind, authority, backend, rules: opening.map(ruleOf) }];
  });
}

function ruleOf(policy: PolicyRow): AccessRule {
  const { context, methods, paths } = policy.rule as unknown as StoredRule;
  return {
    policy: policy.name,
    context,
    ...(methods ? { methods: [...methods] } : {}),
    ...(paths ? { paths: [...paths] } : {}),
  };
}

/** Runs a change of rights: version, log entry for open channels and audit event in one transaction. */
async function changeRights(
  access: AccessContext,
  of: { readonly action: string; readonly subject: string; readonly by: Actor },
  work: (transaction: Transaction) => Promise<void>,
): Promise<void> {
  const { action, subject, by } = of;
  await change(access, by, async (begun) => {
    await work(begun);
    const { policyVersion } = await getRealm(begun);
    await begun.tables.realms.update({ where: { id: 'realm' } }, { policyVersion: policyVersion + 1 });
    await begun.rereadRights('*');
    begun.audit(action, subject);
  });
}

/** Whether something of that name may be there already. */
export interface PutOptions {
  readonly onlyNew?: boolean;
}

/**
 * Creates or replaces a resource.
 * @throws AccessError ERR_ACCESS_CONFLICT when another one has the authority, or `onlyNew` one has the name; ERR_ACCESS_INVALID
 */
export async function putResource(
  access: AccessContext,
  name: string,
  input: ResourceInput,
  by: Actor,
  options: PutOptions = {},
): Promise<ResourceRow> {
  const row = resourceRow(name, input);
  await changeRights(access, { action: 'resource.put', subject: name, by }, async ({ tables }) => {
    await refuseTaken(tables, row);
    const { name: _, ...columns } = row;
    const there = await tables.resources.find({ name }, 'update');
    if (there && options.onlyNew) throw new AccessError('ERR_ACCESS_CONFLICT', `there is a resource ${name} already`);
    if (there) await tables.resources.update({ where: { name } }, columns);
    else await tables.resources.insert(row);
  });
  return row;
}

/**
 * Changes what is named of a resource; null takes an optional setting of its backend away (RFC 7396).
 * @throws AccessError ERR_ACCESS_NOT_FOUND, and like `putResource`
 */
export async function changeResource(
  access: AccessContext,
  name: string,
  changed: ResourceChange,
  by: Actor,
): Promise<ResourceRow> {
  let row: ResourceRow | undefined;
  await changeRights(access, { action: 'resource.change', subject: name, by }, async ({ tables }) => {
    const before = await tables.resources.find({ name }, 'update');
    if (!before) throw new AccessError('ERR_ACCESS_NOT_FOUND', `no resource ${name}`);
    const { backend = {}, ...rest } = changed;
    const { kind, authority, title } = before;
    const merged = mergePatch(before.backend as object, backend) as Backend;
    row = resourceRow(name, { kind, authority, title, ...rest, backend: merged });
    await refuseTaken(tables, row);
    const { name: _, ...columns } = row;
    await tables.resources.update({ where: { name } }, columns);
  });
  return row!;
}

/** What RFC 7396, section 2 makes of an object; without settings that have nothing left in them. */
function mergePatch(before: object, patch: object): object {
  const merged: Record<string, unknown> = { ...before };
  for (const [name, value] of Object.entries(patch)) {
    if (isObject(value)) merged[name] = mergePatch(isObject(merged[name]) ? merged[name] : {}, value);
    else merged[name] = value;
    const nothing = value === null || (isObject(merged[name]) && Object.keys(merged[name]).length === 0);
    if (nothing) delete merged[name];
  }
  return merged;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

async function refuseTaken({ resources }: Transaction['tables'], { name, authority }: ResourceRow): Promise<void> {
  const taken = (await resources.list({ where: { authority } })).find((other) => other.name !== name);
  if (taken) throw new AccessError('ERR_ACCESS_CONFLICT', `the resource ${taken.name} has the authority ${authority}`);
}

function resourceRow(name: string, { kind, authority, title, backend }: ResourceInput): ResourceRow {
  if (!URL.canParse(backend.url)) throw new AccessError('ERR_ACCESS_INVALID', 'the URL of the backend is not valid');
  for (const network of backend.networks) checkNetwork(network);
  for (const field of backend.passFields ?? []) checkPassField(field);
  if (backend.url.startsWith('tcp:') !== (kind === 'tcp'))
    throw new AccessError('ERR_ACCESS_INVALID', 'a tcp resource has a tcp:// backend, an http one http(s)://');
  return { name, kind, authority, title: title ?? name, backend: backend as unknown as Json };
}

/** @throws AccessError ERR_ACCESS_INVALID for a field that no setting lets pass, or that passes without one. */
function checkPassField(name: string): void {
  if (isOwnField(name) || name.startsWith('proxy-'))
    throw new AccessError('ERR_ACCESS_INVALID', `only the gateway itself sets ${name}`);
  if (!speaksForProxy(name)) throw new AccessError('ERR_ACCESS_INVALID', `${name} passes without a setting`);
}

/** @throws AccessError ERR_ACCESS_INVALID for what is not an address with a prefix length. */
function checkNetwork(network: string): void {
  const [address = '', bits = '', ...rest] = network.split('/');
  const host = address.includes(':') ? `[${address}]` : address;
  // No zeros in front: some read them as octal.
  const v4 = /^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/.test(address);
  const fits = /^\d{1,3}$/.test(bits) && Number(bits) <= (v4 ? 32 : 128) && rest.length === 0;
  if (!fits || (!v4 && !address.includes(':')) || !URL.canParse(`http://${host}/`)) {
    throw new AccessError('ERR_ACCESS_INVALID', 'a network is written as address/bits, for instance 10.0.0.0/8');
  }
}

/**
 * Creates or replaces a policy.
 * @throws AccessError ERR_ACCESS_NOT_FOUND for an unknown group or resource, ERR_ACCESS_CONFLICT when `onlyNew` one has the name
 */
export async function putPolicy(
  access: AccessContext,
  name: string,
  input: PolicyInput,
  by: Actor,
  options: PutOptions = {},
): Promise<PolicyRow> {
  const { groups, resources, ...rule } = input;
  const row: PolicyRow = { name, groups, resources, rule: rule as unknown as Json };
  await changeRights(access, { action: 'policy.put', subject: name, by }, async ({ tables }) => {
    await checkNamed(tables, input);
    const { name: _, ...columns } = row;
    const there = await tables.policies.find({ name }, 'update');
    if (there && options.onlyNew) throw new AccessError('ERR_ACCESS_CONFLICT', `there is a policy ${name} already`);
    if (there) await tables.policies.update({ where: { name } }, columns);
    else await tables.policies.insert(row);
  });
  return row;
}

/** Changes what is named of a policy. @throws AccessError ERR_ACCESS_NOT_FOUND for an unknown policy, group or resource */
export async function changePolicy(
  access: AccessContext,
  name: string,
  changed: PolicyChange,
  by: Actor,
): Promise<PolicyRow> {
  let row: PolicyRow | undefined;
  await changeRights(access, { action: 'policy.change', subject: name, by }, async ({ tables }) => {
    const before = await tables.policies.find({ name }, 'update');
    if (!before) throw new AccessError('ERR_ACCESS_NOT_FOUND', `no policy ${name}`);
    const { groups, addGroups, removeGroups, resources, addResources, removeResources, ...rule } = changed;
    const lists = {
      groups: changedList(groups ?? (before.groups as string[]), addGroups, removeGroups),
      resources: changedList(resources ?? (before.resources as string[]), addResources, removeResources),
    };
    await checkNamed(tables, lists);
    const merged = Object.entries({ ...(before.rule as object), ...rule }).filter(([, value]) => value !== null);
    row = { name, ...lists, rule: Object.fromEntries(merged) as Json };
    await tables.policies.update({ where: { name } }, { ...lists, rule: row.rule });
  });
  return row!;
}

function changedList(list: readonly string[], add: readonly string[] = [], remove: readonly string[] = []): string[] {
  return [...new Set([...list, ...add])].filter((item) => !remove.includes(item));
}

async function checkNamed(
  tables: Transaction['tables'],
  { groups, resources }: { readonly groups: readonly string[]; readonly resources: readonly string[] },
): Promise<void> {
  for (const group of groups) {
    if (!(await tables.groups.find({ name: group })))
      throw new AccessError('ERR_ACCESS_NOT_FOUND', `no group ${group}`);
  }
  for (const resource of resources) {
    const found = await tables.resources.find({ name: resource }, 'share');
    if (!found) throw new AccessError('ERR_ACCESS_NOT_FOUND', `no resource ${resource}`);
  }
}

/**
 * Removes a resource or a policy; false when there was none. A resource leaves every policy and site that names it: another one
 * of its name is not open to anybody from the start.
 */
export async function removeRight(
  access: AccessContext,
  table: 'resources' | 'policies',
  name: string,
  by: Actor,
): Promise<boolean> {
  let removed = 0;
  const action = table === 'resources' ? 'resource.remove' : 'policy.remove';
  await changeRights(access, { action, subject: name, by }, async ({ tables }) => {
    removed = await tables[table].remove({ where: { name } });
    if (table === 'resources') await leave(tables, name);
  });
  return removed > 0;
}

async function leave({ policies, sites }: Transaction['tables'], resource: string): Promise<void> {
  for (const { name, resources } of await policies.list({}, 'update')) {
    const left = (resources as string[]).filter((other) => other !== resource);
    if (left.length < (resources as string[]).length) await policies.update({ where: { name } }, { resources: left });
  }
  for (const { name, resources } of await sites.list({}, 'update')) {
    const left = (resources as string[]).filter((other) => other !== resource);
    // A site that names nothing serves everything: one whose last resource goes keeps the name, which leads nowhere.
    if (left.length > 0 && left.length < (resources as string[]).length)
      await sites.update({ where: { name } }, { resources: left });
  }
}
