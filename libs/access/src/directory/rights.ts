import { routesThatFit } from '@sallyport/channel';
import type { ProxyRow, SiteRow } from '../farm/rows.ts';
import type { UserRow } from '../people/rows.ts';
import type { AccessContext } from '../realm/context.ts';
import { getRealm } from '../realm/realm.ts';
import { fitsRegion, type OpenedResource, opensAt, sitesOf } from '../rights/places.ts';
import { type PolicySet, policiesByResource, readPolicySet, routesFor } from '../rights/policies.ts';
import type { PolicyRow, ResourceRow } from '../rights/rows.ts';
import { missing } from '../store/missing.ts';
import type { Transaction } from '../store/store.ts';

/** A group of a user and who put them there. */
export interface GroupReason {
  readonly group: string;
  /** `an operator`, or the directory and its own name of the group. */
  readonly by: string;
}

/** Whether a user may reach a resource, and why. */
export interface RightReason {
  readonly resource: string;
  readonly allowed: boolean;
  /** Policies that open it for the user, each by a group; or, when none does, those that would. */
  readonly policies: readonly { readonly policy: string; readonly groups: readonly string[]; readonly only: string }[];
  readonly words: string;
  /** By which sites, the preferred ones first, and by which policies there. */
  readonly sites: readonly SiteReason[];
}

/** Whether a site serves a resource to a user, and why not. */
export interface SiteReason {
  readonly site: string;
  readonly serves: boolean;
  /** Policies that open it there. */
  readonly policies: readonly string[];
  /** Proxies of the site that were not revoked. */
  readonly proxies: readonly string[];
  /** Why not; empty where it serves. */
  readonly words: string;
}

/** Effective rights of a user. */
export interface UserRights {
  readonly user: UserRow;
  readonly groups: readonly GroupReason[];
  readonly resources: readonly RightReason[];
  /** Why devices of the user may not reach all of it, in words. */
  readonly doubts: readonly string[];
}

/** Says why a user may, or may not, reach each resource. @throws AccessError ERR_ACCESS_NOT_FOUND */
export async function explainRights(access: AccessContext, userName: string): Promise<UserRights> {
  return access.store.transaction(async (transaction) => {
    const user = await transaction.tables.users.find({ name: userName });
    if (!user) throw missing('user', userName);
    const groups = await groupReasons(transaction, user.id);
    const names = new Set(groups.map(({ group }) => group));
    const set = await readPolicySet(transaction);
    const proxies = await transaction.tables.proxies.list({ where: { revokedAt: null } });
    const farm = { sites: set.sites, proxies: namesBySite(proxies) };
    const named = policiesByResource(set);
    const resources = set.resources.map((row) =>
      rightReason({ user, names, row, about: named.get(row.name) ?? [], farm }),
    );
    const { epoch, head } = await getRealm(transaction);
    return { user, groups, resources, doubts: routeDoubts(set, [...names], { epoch, asOf: head }) };
  });
}

/** Devices are told where resources are, as far as there is room (SPEC.md, section 5). */
function routeDoubts(
  set: PolicySet,
  groups: readonly string[],
  log: { readonly epoch: string; readonly asOf: number },
): string[] {
  const routes = routesFor(set, groups) ?? [];
  const told = routesThatFit({ ...log, routes }).routes.length;
  if (told === routes.length) return [];
  return [
    `there is room to tell devices where ${told} of these ${routes.length} resources are: from ${routes[told]!.name} on they reach what is at the site that they meet first`,
  ];
}

async function groupReasons({ tables }: Transaction, userId: string): Promise<GroupReason[]> {
  const members = (await tables.members.list({ where: { userId } })).map(({ groupName, source }) => {
    const slash = source.indexOf('/');
    return { groupName, source, directory: source.slice(0, slash), subject: source.slice(slash + 1) };
  });
  const named = await Promise.all(
    [...new Set(members.filter(({ source }) => source !== '').map(({ directory }) => directory))].map((directory) => {
      const subjects = members.filter((one) => one.directory === directory).map(({ subject }) => subject);
      return tables.directoryGroups.list({ where: { directory }, among: ['subject', subjects] });
    }),
  );
  const nameOf = new Map(named.flat().map(({ directory, subject, name }) => [`${directory}/${subject}`, name]));
  return members.map(({ groupName, source, directory, subject }) => ({
    group: groupName,
    by: source === '' ? 'an operator' : `${directory}: ${nameOf.get(source) ?? subject}`,
  }));
}

function namesBySite(proxies: readonly ProxyRow[]): ReadonlyMap<string, readonly string[]> {
  const bySite = new Map<string, string[]>();
  for (const { site, name } of proxies) bySite.set(site, [...(bySite.get(site) ?? []), name]);
  return bySite;
}

function rightReason(of: {
  user: UserRow;
  names: ReadonlySet<string>;
  row: ResourceRow;
  /** Policies that name it. */
  about: readonly PolicyRow[];
  farm: RightsFarm;
}): RightReason {
  const { user, names, row, about } = of;
  const grouped = about.filter((policy) => policy.groups.some((group) => names.has(group)));
  const opening = grouped.filter((policy) => fitsRegion(policy, row));
  const described = (opening.length > 0 ? opening : about).map((policy) => ({
    policy: policy.name,
    groups: policy.groups.filter((group) => opening.length === 0 || names.has(group)),
    only: conditionsOf(policy),
  }));
  const sites = siteReasons(of.farm, { row, policies: opening });
  // Before the first site is there, policies are all that can be said.
  const served = of.farm.sites.length === 0 ? opening.length > 0 : sites.some(({ serves }) => serves);
  const allowed = user.enabled && served;
  const words = closedByPlace({ row, grouped, opening, sites }) ?? wordsOf(user, opening.length > 0, described);
  return {
    resource: row.name,
    allowed,
    policies: described,
    words: user.enabled ? words : wordsOf(user, false, []),
    sites,
  };
}

/** What is asked for places. */
interface RightsFarm {
  readonly sites: readonly SiteRow[];
  /** Names of Proxies by site. */
  readonly proxies: ReadonlyMap<string, readonly string[]>;
}

/** Of every site that has the resource, the preferred ones first. */
function siteReasons({ sites, proxies }: RightsFarm, opened: OpenedResource): SiteReason[] {
  const there = new Map(sites.map((site) => [site.name, site]));
  const named = sitesOf(opened.row) ?? [...there.keys()];
  return named.map((site) => {
    const policies = opensAt(site, opened).map((policy) => policy.name);
    const own = proxies.get(site) ?? [];
    const serves = there.has(site) && policies.length > 0;
    const words = siteWords(there.get(site), { opened: opened.policies.length > 0, serves });
    return { site, serves, policies, proxies: own, words };
  });
}

function siteWords(site: SiteRow | undefined, { opened, serves }: { opened: boolean; serves: boolean }): string {
  if (!site) return 'there is no such site';
  if (serves) return site.drainedAt === null ? '' : 'the site is being emptied';
  return opened ? 'no policy opens it through this site' : 'no policy opens it';
}

/** Why policies for the user's groups open nothing all the same; undefined where places are not the reason. */
function closedByPlace(of: {
  readonly row: ResourceRow;
  readonly grouped: readonly PolicyRow[];
  readonly opening: readonly PolicyRow[];
  readonly sites: readonly SiteReason[];
}): string | undefined {
  const { row, grouped, opening, sites } = of;
  if (grouped.length > 0 && opening.length === 0) {
    const region = row.region === null ? 'the resource has no region' : `the resource is in region ${row.region}`;
    return `${region}: ${grouped.map(({ name }) => name).join(', ')} opens others`;
  }
  if (opening.length === 0 || sites.length === 0 || sites.some(({ serves }) => serves)) return undefined;
  const why = sites.map(({ site, words }) => `${site}: ${words}`).join('; ');
  return `no site serves it: ${why}`;
}

function wordsOf(user: UserRow, opened: boolean, described: RightReason['policies']): string {
  if (!user.enabled)
    return user.outByDirectory ? `${user.directory} says that the user is out` : 'the user is disabled';
  if (opened) return described.map(({ policy, groups }) => `${policy} opens it for ${groups.join(', ')}`).join('; ');
  if (described.length === 0) return 'no policy opens it for anybody';
  return described.map(({ policy, groups }) => `${policy} would, for ${groups.join(', ')}`).join('; ');
}

const PLACE_WORDS = {
  sites: 'through site',
  notSites: 'not through site',
  networks: 'from network',
  notNetworks: 'not from network',
  regions: 'in region',
  notRegions: 'not in region',
  countries: 'from country',
  notCountries: 'not from country',
} as const;

/** What else must hold, in short; empty when nothing must. */
function conditionsOf({ rule, place }: PolicyRow): string {
  const { context = {}, methods, paths } = rule;
  const parts = [
    ...(methods ? [`methods ${methods.join(' ')}`] : []),
    ...(paths ? [`paths ${paths.join(' ')}`] : []),
    ...(Object.keys(context).length > 0 ? [`app context ${JSON.stringify(context)}`] : []),
    ...Object.entries(PLACE_WORDS).flatMap(([field, words]) => {
      const named = place?.[field as keyof typeof PLACE_WORDS];
      return named ? [`${words} ${named.join(' ')}`] : [];
    }),
  ];
  return parts.join(', ');
}
