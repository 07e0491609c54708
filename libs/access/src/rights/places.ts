import type { Route } from '@sallyport/channel';
import { PLACE_FIELDS } from '@sallyport/security-api';
import type { SiteRow } from '../farm/rows.ts';
import { AccessError } from '../store/errors.ts';
import type { PolicyRow, ResourceRow, StoredPlace } from './rows.ts';

/** A resource with the policies that open it to somebody. */
export interface OpenedResource {
  readonly row: ResourceRow;
  /** Never empty. */
  readonly policies: readonly PolicyRow[];
}

/** Sites by preference; those of one list are equally good. */
function ranksOf(sites: readonly string[]): string[][] {
  return sites.map((rank) => rank.split(','));
}

/** All sites that a resource names; undefined for every site. */
export function sitesOf({ sites }: Pick<ResourceRow, 'sites'>): readonly string[] | undefined {
  return sites === null ? undefined : ranksOf(sites).flat();
}

/** True where a resource is at a site, be it open to somebody or not. */
export function isAt(row: Pick<ResourceRow, 'sites'>, site: string): boolean {
  return sitesOf(row)?.includes(site) ?? true;
}

/** True when a policy opens something of a region: a resource without one satisfies no rule about regions. */
export function fitsRegion({ place }: PolicyRow, { region }: Pick<ResourceRow, 'region'>): boolean {
  const { regions, notRegions } = place ?? {};
  if (!regions && !notRegions) return true;
  if (region === null) return false;
  return (regions?.includes(region) ?? true) && !notRegions?.includes(region);
}

/** True when a policy lets Proxies of a site serve what it opens. */
function fitsSite({ place }: PolicyRow, site: string): boolean {
  const { sites, notSites } = place ?? {};
  return (sites?.includes(site) ?? true) && !notSites?.includes(site);
}

/**
 * The policies that open a resource through the Proxies of a site; none where that site does not serve it. What a site serves to
 * somebody is decided here and nowhere else: grants, rights that are read again, assertions, tokens for backends and routes follow.
 */
export function opensAt(site: string, { row, policies }: OpenedResource): readonly PolicyRow[] {
  return isAt(row, site) ? policies.filter((policy) => fitsSite(policy, site)) : [];
}

/** Where somebody reaches what is opened to them, among the sites that there are; undefined for nowhere. */
export function routeTo(sites: readonly SiteRow[], opened: OpenedResource): Route | undefined {
  const { name, kind, authority, title } = opened.row;
  const ranks = openRanks(sites, ranksAmong(sites, opened.row), opened);
  if (ranks.length === 0) return undefined;
  return { name, kind, authority, ...(title === name ? {} : { title }), sites: ranks };
}

/** A resource of every site prefers none. */
function ranksAmong(sites: readonly SiteRow[], row: ResourceRow): string[][] {
  return row.sites === null ? [sites.map(({ name }) => name)] : ranksOf(row.sites);
}

/** Without sites that do not serve it; a site that is being emptied stays only where there is no other. */
function openRanks(sites: readonly SiteRow[], ranks: string[][], opened: OpenedResource): string[][] {
  const there = new Map(sites.map((site) => [site.name, site]));
  const serving = keepSites(ranks, (site) => there.has(site) && opensAt(site, opened).length > 0);
  const staying = keepSites(serving, (site) => there.get(site)?.drainedAt === null);
  return staying.length > 0 ? staying : serving;
}

function keepSites(ranks: readonly string[][], keep: (site: string) => boolean): string[][] {
  return ranks.map((rank) => rank.filter(keep)).filter((rank) => rank.length > 0);
}

/**
 * Sites as a resource row keeps them. What is not said stays as it is; a new resource is at the only site of the realm.
 * @throws AccessError ERR_ACCESS_INVALID for a site that is not there, one twice, or none where there are several
 */
export function storedSites(
  name: string,
  said: readonly string[] | null | undefined,
  of: { readonly before: Pick<ResourceRow, 'sites'> | undefined; readonly sites: readonly Pick<SiteRow, 'name'>[] },
): readonly string[] | null {
  if (said === null) return null;
  if (said === undefined && of.before) return of.before.sites;
  const there = of.sites.map((site) => site.name);
  if (said === undefined) return onlySite(name, there);
  const named = ranksOf(said).flat();
  const unknown = named.find((site) => !there.includes(site));
  if (unknown !== undefined) throw invalid(`${name}: there is no site ${unknown}; there are ${there.join(', ')}`);
  if (new Set(named).size < named.length) throw invalid(`${name}: a site is named twice`);
  return [...said];
}

function onlySite(name: string, there: readonly string[]): readonly string[] | null {
  if (there.length <= 1) return there.length === 0 ? null : [...there];
  throw invalid(`${name}: say at which sites it is, of ${there.join(', ')}, or that it is at every site`);
}

/** A place as a policy row keeps it; null for everywhere. Of what is said null takes away what was before. */
export function storedPlace(
  before: StoredPlace | null,
  said: { readonly [Field in keyof StoredPlace]?: StoredPlace[Field] | null | undefined },
): StoredPlace | null {
  const merged: { -readonly [Field in keyof StoredPlace]: StoredPlace[Field] } = {};
  for (const field of PLACE_FIELDS) {
    const value = said[field] === undefined ? before?.[field] : said[field];
    if (value) merged[field] = [...value];
  }
  return Object.keys(merged).length === 0 ? null : merged;
}

function invalid(message: string): AccessError {
  return new AccessError('ERR_ACCESS_INVALID', message);
}
