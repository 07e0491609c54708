import {
  type ChannelError,
  checkPath,
  faultOfMethod,
  isWildcard,
  liesUnder,
  pathOnly,
  type Route,
} from '@sallyport/channel';
import type { AccessRule, ContextRule, PolicyChange, PolicyInput, ResourceGrant } from '@sallyport/security-api';
import type { AppRow, UpdateFileRow } from '../apps/rows.ts';
import type { SiteRow } from '../farm/rows.ts';
import { checkApps } from '../realm/apps-named.ts';
import { change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { bumpPolicyVersion } from '../realm/realm.ts';
import { AccessError } from '../store/errors.ts';
import { missing } from '../store/missing.ts';
import type { ListPage } from '../store/pages.ts';
import type { Transaction } from '../store/store.ts';
import { shownBackend } from './backend-secrets.ts';
import { fitsRegion, isAt, type OpenedResource, opensAt, routeTo, storedPlace } from './places.ts';
import { checkNetwork } from './resource-rules.ts';
import type { PolicyRow, ResourceRow, StoredPlace, StoredRule } from './rows.ts';

/** Resources, policies, sites and apps of a realm at one moment. */
export interface PolicySet {
  readonly resources: readonly ResourceRow[];
  readonly policies: readonly PolicyRow[];
  readonly sites: readonly SiteRow[];
  readonly apps: readonly AppRow[];
  /** The newest root of updates, as its file; undefined while there is none. */
  readonly updateRoot: UpdateFileRow | undefined;
}

/** Reads all resources, policies, sites and apps. */
export async function readPolicySet({ tables }: Transaction): Promise<PolicySet> {
  const [resources, policies, sites, apps, [updateRoot]] = await Promise.all([
    tables.resources.list(),
    tables.policies.list(),
    tables.sites.list(),
    tables.apps.list(),
    tables.updateFiles.list({ where: { role: 'root' }, newestFirst: true, limit: 1 }),
  ]);
  return { resources, policies, sites, apps, updateRoot };
}

/**
 * What the Proxies of a site serve to a member of the groups: resources of that site, each with every rule that opens it there. A site
 * that does not exist serves nothing.
 */
export function servedAt(set: PolicySet, site: string, groups: readonly string[]): ResourceGrant[] {
  if (!set.sites.some(({ name }) => name === site)) return [];
  return openedFor(set, groups).flatMap((opened) => {
    const policies = opensAt(site, opened);
    return policies.length === 0 ? [] : [resourceGrant(set, { row: opened.row, policies })];
  });
}

/**
 * Where a member of the groups reaches what; undefined in a realm of one site, where nothing can be chosen.
 */
export function routesFor(set: PolicySet, groups: readonly string[]): Route[] | undefined {
  if (set.sites.length < 2) return undefined;
  return openedFor(set, groups).flatMap((opened) => routeTo(set.sites, opened) ?? []);
}

/** What a member of the groups may reach, wherever it is, each resource with every rule that opens it. */
export function grantedResources(set: PolicySet, groups: readonly string[]): ResourceGrant[] {
  return openedFor(set, groups).map((opened) => resourceGrant(set, opened));
}

/** Sites whose Proxies may hear of the backend of a resource: those that serve it to somebody or, where no policy opens it yet, those where it is. */
export function sitesServing(set: PolicySet, row: ResourceRow): string[] {
  const opening = (policiesByResource(set).get(row.name) ?? []).filter((policy) => fitsRegion(policy, row));
  const serves = (site: string): boolean =>
    opening.length === 0 ? isAt(row, site) : opensAt(site, { row, policies: opening }).length > 0;
  return set.sites.map(({ name }) => name).filter(serves);
}

/** Policies by the resource that they name, by the set that they stand in. */
const naming = new WeakMap<PolicySet, ReadonlyMap<string, readonly PolicyRow[]>>();

/** The policies that name each resource, in the order of the set. */
export function policiesByResource(set: PolicySet): ReadonlyMap<string, readonly PolicyRow[]> {
  const known = naming.get(set);
  if (known) return known;
  const named = new Map<string, PolicyRow[]>();
  for (const policy of set.policies)
    for (const name of new Set(policy.resources)) {
      const policies = named.get(name);
      if (policies) policies.push(policy);
      else named.set(name, [policy]);
    }
  naming.set(set, named);
  return named;
}

/** True where an authority is opened to a member of the groups, at whatever site. */
export function opensAuthority(set: PolicySet, groups: readonly string[], authority: string): boolean {
  return openedFor(set, groups).some(({ row }) => row.kind === 'http' && row.authority === authority);
}

/** Resources with the policies that open them to a member of the groups. Deny is the default. */
function openedFor(set: PolicySet, groups: readonly string[]): OpenedResource[] {
  const named = policiesByResource(set);
  const own = new Set(groups);
  const applicable = new Set(set.policies.filter((policy) => policy.groups.some((group) => own.has(group))));
  return set.resources.flatMap((row) => {
    const policies = (named.get(row.name) ?? []).filter((policy) => applicable.has(policy) && fitsRegion(policy, row));
    return policies.length === 0 ? [] : [{ row, policies }];
  });
}

function resourceGrant(set: PolicySet, { row, policies }: OpenedResource): ResourceGrant {
  const { name, kind, authority, title } = row;
  const called = title === name ? {} : { title };
  // What a backend wants delegated is between Security and the provider.
  const { delegate: _, ...backend } = shownBackend(row.backend);
  const except = nearerThan(set, row);
  const carved = except.length > 0 ? { except } : {};
  return { name, kind, authority, ...called, ...carved, backend, rules: policies.map(ruleOf) };
}

/** Authorities under a wildcard by resource, by the set that they stand in. */
const carvedOut = new WeakMap<PolicySet, Map<string, string[]>>();

/**
 * Authorities of other resources under a wildcard: whoever asks for one of those means that resource, and is not let in by the
 * wildcard when it is closed to them.
 */
function nearerThan(set: PolicySet, { name, kind, authority }: ResourceRow): string[] {
  if (!isWildcard(authority)) return [];
  const known = carvedOut.get(set) ?? new Map<string, string[]>();
  carvedOut.set(set, known);
  const found =
    known.get(name) ??
    set.resources
      .filter((other) => other.kind === kind && liesUnder(authority, other.authority))
      .map((other) => other.authority);
  known.set(name, found);
  return found;
}

function ruleOf(policy: PolicyRow): AccessRule {
  const { context, methods, paths } = policy.rule;
  const { networks, notNetworks, countries, notCountries } = policy.place ?? {};
  return {
    policy: policy.name,
    context,
    ...(methods ? { methods: [...methods] } : {}),
    ...(paths ? { paths: [...paths] } : {}),
    ...(networks ? { networks: [...networks] } : {}),
    ...(notNetworks ? { notNetworks: [...notNetworks] } : {}),
    ...(countries ? { countries: [...countries] } : {}),
    ...(notCountries ? { notCountries: [...notCountries] } : {}),
  };
}

/** Runs a change of rights: version, log entry for open channels and audit event in one transaction. */
export async function changeRights(
  access: AccessContext,
  of: { readonly action: string; readonly subject: string; readonly by: Actor },
  work: (transaction: Transaction) => Promise<void>,
): Promise<void> {
  const { action, subject, by } = of;
  await change(access, by, async (begun) => {
    await work(begun);
    await bumpPolicyVersion(begun);
    await begun.rereadRights('*');
    begun.audit(action, subject);
  });
}

/** Whether something of that name may be there already. */
export interface PutOptions {
  readonly onlyNew?: boolean;
}

/** A page of policies by name; `after` is the last name of the page before. */
export function listPolicies({ store }: AccessContext, { after, limit }: ListPage): Promise<readonly PolicyRow[]> {
  return store.transaction(({ tables }) => tables.policies.list({ above: ['name', after], limit }));
}

/**
 * Creates or replaces a policy.
 * @throws AccessError ERR_ACCESS_NOT_FOUND for an unknown group or resource, ERR_ACCESS_CONFLICT when `onlyNew` one has the
 * name, ERR_ACCESS_INVALID
 */
export async function putPolicy(
  access: AccessContext,
  name: string,
  input: PolicyInput,
  by: Actor,
  options: PutOptions = {},
): Promise<PolicyRow> {
  const { groups, resources, context, methods, paths, ...place } = input;
  const rule = { context, ...(methods ? { methods } : {}), ...(paths ? { paths } : {}) };
  checkRule(rule);
  const row: PolicyRow = { name, groups, resources, rule, place: storedPlace(null, place) };
  await changeRights(access, { action: 'policy.put', subject: name, by }, async (begun) => {
    const { tables } = begun;
    await checkNamed(tables, input);
    await checkApps(begun, rule.context);
    await checkPlace(tables, row.place);
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
  await changeRights(access, { action: 'policy.change', subject: name, by }, async (begun) => {
    const { tables } = begun;
    const before = await tables.policies.find({ name }, 'update');
    if (!before) throw missing('policy', name);
    const { groups, addGroups, removeGroups, resources, addResources, removeResources, ...rest } = changed;
    const { sites, notSites, networks, notNetworks, regions, notRegions, countries, notCountries, ...about } = rest;
    const { attested, ...named } = about;
    const context = contextAfter(before.rule.context, { ...named, attested });
    const rule = context ? { ...named, context } : named;
    checkRule(rule);
    const lists = {
      groups: changedList(groups ?? before.groups, addGroups, removeGroups),
      resources: changedList(resources ?? before.resources, addResources, removeResources),
    };
    await checkNamed(tables, lists);
    if (rule.context) await checkApps(begun, rule.context);
    const said = { sites, notSites, networks, notNetworks, regions, notRegions, countries, notCountries };
    const place = storedPlace(before.place, said);
    await checkPlace(tables, place);
    row = { name, ...lists, rule: changedRule(before.rule, rule), place };
    await tables.policies.update({ where: { name } }, { ...lists, rule: row.rule, place });
  });
  return row!;
}

/** The rule for app contexts behind a change, which may name what evidence is demanded apart from the rest. */
function contextAfter(
  before: ContextRule,
  { context, attested }: Pick<PolicyChange, 'context'> & { readonly attested: PolicyChange['attested'] | undefined },
): ContextRule | undefined {
  if (attested === undefined) return context;
  const { attested: _, ...rest } = context ?? before;
  return attested === null ? rest : { ...rest, attested };
}

/** What is named is changed, null takes it away; the order of the columns is part of the row's MAC. */
function changedRule(before: StoredRule, changed: Pick<PolicyChange, 'context' | 'methods' | 'paths'>): StoredRule {
  const merged = { ...before, ...changed };
  for (const name of ['methods', 'paths'] as const) if (merged[name] === null) delete merged[name];
  return merged as StoredRule;
}

/** @throws AccessError ERR_ACCESS_INVALID for a method or a path that no request will ever have. */
function checkRule({ methods, paths }: Pick<PolicyChange, 'methods' | 'paths'>): void {
  for (const method of methods ?? []) {
    const fault = faultOfMethod(method);
    if (fault !== '') throw new AccessError('ERR_ACCESS_INVALID', fault);
  }
  for (const path of paths ?? []) checkPrefix(path);
}

function checkPrefix(path: string): void {
  try {
    checkPath(path, 'exact');
  } catch (error) {
    throw new AccessError('ERR_ACCESS_INVALID', `no path begins like that: ${(error as ChannelError).message}`);
  }
  if (path !== pathOnly(path)) throw new AccessError('ERR_ACCESS_INVALID', 'a policy opens paths, not queries (?)');
}

function changedList(list: readonly string[], add: readonly string[] = [], remove: readonly string[] = []): string[] {
  return [...new Set([...list, ...add])].filter((item) => !remove.includes(item));
}

async function checkNamed(
  tables: Transaction['tables'],
  { groups, resources }: { readonly groups: readonly string[]; readonly resources: readonly string[] },
): Promise<void> {
  for (const group of groups) {
    if (!(await tables.groups.find({ name: group }))) throw missing('group', group);
  }
  for (const resource of resources) {
    const found = await tables.resources.find({ name: resource }, 'share');
    if (!found) throw missing('resource', resource);
  }
}

/** @throws AccessError ERR_ACCESS_INVALID for a site that is not there, or a network that is none. */
async function checkPlace(tables: Transaction['tables'], place: StoredPlace | null): Promise<void> {
  for (const site of [...(place?.sites ?? []), ...(place?.notSites ?? [])]) {
    if (!(await tables.sites.find({ name: site }))) throw new AccessError('ERR_ACCESS_INVALID', `no site ${site}`);
  }
  for (const network of [...(place?.networks ?? []), ...(place?.notNetworks ?? [])]) checkNetwork(network);
}

/**
 * Removes a resource or a policy; false when there was none. A resource leaves every policy that names it: another one
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

/** Takes a resource out of the policies that name it. */
export async function leave({ policies }: Transaction['tables'], resource: string): Promise<void> {
  for (const { name, resources } of await policies.list({}, 'update')) {
    const left = resources.filter((other) => other !== resource);
    if (left.length < resources.length) await policies.update({ where: { name } }, { resources: left });
  }
}
