import { type Change, change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { bumpMapVersion, bumpPolicyVersion, getRealm, noteLongestLease } from '../realm/realm.ts';
import { sitesOf } from '../rights/places.ts';
import { AccessError } from '../store/errors.ts';
import { missing } from '../store/missing.ts';
import type { ListPage } from '../store/pages.ts';
import type { Transaction } from '../store/store.ts';
import type { ProxiesWithLeases } from './proxies.ts';
import type { SiteRow } from './rows.ts';
import { checkMapFits, siteMapBytes } from './site-map.ts';

/** What an operator says of a site; what is not said of its lease stays. */
export interface SiteOrder {
  readonly name: string;
  readonly origins: readonly string[];
  /** How long its Proxies may serve after a beat, ms; null for as long as the nodes say. */
  readonly leaseMs?: number | null | undefined;
}

/**
 * Creates or replaces a site. A lease is noted as one that may be given before it can be.
 * @throws AccessError ERR_ACCESS_INVALID when no Proxy and no device would take the site map behind it
 */
export async function putSite(
  access: AccessContext,
  { name, origins, leaseMs }: SiteOrder,
  by: Actor,
): Promise<SiteRow> {
  return change(access, by, async (begun) => {
    const { sites } = begun.tables;
    const before = await sites.find({ name });
    const bytes = await siteMapBytes(begun, access.store.realm);
    const lease = leaseMs === undefined ? (before?.leaseMs ?? null) : leaseMs;
    if (lease !== null) await noteLongestLease(begun, lease);
    await bumpMapVersion(begun);
    const site = { name, origins, resources: [], leaseMs: lease, drainedAt: before?.drainedAt ?? null };
    if (before) await sites.update({ where: { name } }, { origins, leaseMs: lease });
    else await sites.insert(site);
    await checkMapFits(begun, access.store.realm, bytes);
    // There is one more place where sessions may reach what is at every site.
    if (!before) await rightsMoved(begun);
    begun.audit('site.put', name);
    return site;
  });
}

async function rightsMoved(begun: Change): Promise<void> {
  await bumpPolicyVersion(begun);
  await begun.rereadRights('*');
}

/**
 * Removes a site that nothing names any more; false when there was none.
 * @throws AccessError ERR_ACCESS_CONFLICT that says what names it
 */
export async function removeSite(access: AccessContext, name: string, by: Actor): Promise<boolean> {
  return change(access, by, async (begun) => {
    const { sites, joinTokens } = begun.tables;
    if (!(await sites.find({ name }, 'update'))) {
      begun.unchanged();
      return false;
    }
    const named = await namersOf(begun, name);
    if (named.length > 0)
      throw new AccessError('ERR_ACCESS_CONFLICT', `site ${name} is still named by ${named.join(', ')}`);
    await joinTokens.remove({ where: { site: name } });
    await sites.remove({ where: { name } });
    await bumpMapVersion(begun);
    await rightsMoved(begun);
    begun.audit('site.remove', name);
    return true;
  });
}

/** What names a site, in words. */
async function namersOf({ tables }: Transaction, site: string): Promise<string[]> {
  const resources = (await tables.resources.list()).filter((row) => sitesOf(row)?.includes(site));
  const proxies = (await tables.proxies.list({ where: { site } })).filter(({ revokedAt }) => revokedAt === null);
  const policies = (await tables.policies.list()).filter(({ place }) =>
    [...(place?.sites ?? []), ...(place?.notSites ?? [])].includes(site),
  );
  return [
    ...resources.map((row) => `resource ${row.name}`),
    ...proxies.map((row) => `Proxy ${row.name}`),
    ...policies.map((row) => `policy ${row.name}`),
  ];
}

/**
 * Empties a site, or opens it again: its Proxies take no new channels, and devices are told to move on.
 * @throws AccessError ERR_ACCESS_NOT_FOUND
 */
export async function drainSite(
  access: AccessContext,
  { name, drained }: { readonly name: string; readonly drained: boolean },
  by: Actor,
): Promise<SiteRow> {
  return change(access, by, async (begun) => {
    const { sites } = begun.tables;
    const before = await sites.find({ name }, 'update');
    if (!before) throw missing('site', name);
    const same = (before.drainedAt !== null) === drained;
    if (same) {
      begun.unchanged();
      return before;
    }
    const drainedAt = drained ? begun.at : null;
    await sites.update({ where: { name } }, { drainedAt });
    await bumpMapVersion(begun);
    await rightsMoved(begun);
    begun.audit(drained ? 'site.drain' : 'site.open', name);
    return { ...before, drainedAt };
  });
}

/**
 * Lists of resources that sites had under a version before become the sites of these resources, so that nothing is served anywhere
 * that was not before. Once; gives how many resources were placed. To call at the start of a node.
 */
export async function adoptSiteLists(access: AccessContext): Promise<number> {
  if (!(await listSites(access)).some(hasList)) return 0;
  const by = { actor: 'security', reason: 'sites of an earlier version named resources' };
  return change(access, by, async (begun) => {
    const { sites, resources } = begun.tables;
    const rows = await sites.list({}, 'update');
    if (!rows.some(hasList)) {
      begun.unchanged();
      return 0;
    }
    const unplaced = (await resources.list({}, 'update')).filter((row) => row.sites === null);
    for (const { name } of unplaced) {
      const at = rows.filter((row) => !hasList(row) || row.resources.includes(name)).map((row) => row.name);
      if (at.length < rows.length) await resources.update({ where: { name } }, { sites: at });
    }
    for (const { name } of rows.filter(hasList)) await sites.update({ where: { name } }, { resources: [] });
    await rightsMoved(begun);
    begun.audit('resource.place', '*');
    return unplaced.length;
  });
}

function hasList({ resources }: SiteRow): boolean {
  return resources.length > 0;
}

/** All sites. */
export async function listSites(access: AccessContext): Promise<readonly SiteRow[]> {
  return access.store.transaction(({ tables }) => tables.sites.list());
}

/** Sites with what is known of their Proxies, as they were at one moment of the store's clock (epoch ms). */
export interface SitesWithProxies extends ProxiesWithLeases {
  readonly sites: readonly SiteRow[];
}

/** A page of sites by name; `after` is the last name of the page before. */
export function listSitePage({ store }: AccessContext, { after, limit }: ListPage): Promise<SitesWithProxies> {
  return store.transaction(async (transaction) => {
    const { tables } = transaction;
    const { head } = await getRealm(transaction);
    return {
      sites: await tables.sites.list({ above: ['name', after], limit }),
      proxies: await tables.proxies.list(),
      leases: await tables.leases.list(),
      now: transaction.now(),
      head,
    };
  });
}

/** Resources that are at a site, by what they say; `everySite` of them are so because they name none. */
export function resourcesAt(
  { store }: AccessContext,
  site: string,
): Promise<{ readonly named: readonly string[]; readonly everySite: readonly string[] }> {
  return store.transaction(async ({ tables }) => {
    const rows = await tables.resources.list();
    return {
      named: rows.filter((row) => sitesOf(row)?.includes(site)).map(({ name }) => name),
      everySite: rows.filter((row) => row.sites === null).map(({ name }) => name),
    };
  });
}
