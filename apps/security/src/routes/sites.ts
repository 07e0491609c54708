import {
  type AccessContext,
  drainSite,
  leaseHolderOf,
  listSitePage,
  missing,
  type ProxyRow,
  putSite,
  removeSite,
  resourcesAt,
  revocationBoundMs,
  type SiteRow,
  type SitesWithProxies,
} from '@sallyport/access';
import type { SiteDetails, SiteView } from '@sallyport/security-api';
import { sites } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import type { SecurityNode } from '../farm/node.ts';
import { proxyView } from '../farm/status.ts';
import type { InForce } from '../revocation/in-force.ts';
import { pageOf } from './paging.ts';
import { serve } from './serve.ts';

/** What operations on sites work with. */
export interface SiteRoutes {
  readonly access: AccessContext;
  readonly inForce: InForce;
  readonly node: Pick<SecurityNode, 'leases'>;
  /** The lease of Proxies whose site has none of its own, ms. */
  readonly leaseMs: number;
}

type SiteProxy = SiteDetails['proxies'][number];

/** Sites. */
export function addSiteRoutes(service: FastifyInstance, parts: SiteRoutes): void {
  const { access, inForce } = parts;
  const viewOf = async (name: string): Promise<SiteView> => {
    const { proxies: _, ...view } = await findSite(parts, name);
    return view;
  };
  serve(service, sites.list, async ({ query }) => {
    const seen = await listSitePage(access, pageOf(query));
    return seen.sites.map((site) => {
      const { proxies: _, ...view } = siteWithProxies(parts, site, seen);
      return view;
    });
  });
  serve(service, sites.get, async ({ params: { name } }) => {
    const site = await findSite(parts, name);
    const { named, everySite } = await resourcesAt(access, name);
    return { ...site, resources: [...named], everySite: [...everySite] };
  });
  serve(service, sites.put, async ({ params: { name }, body: { origins, leaseMs }, by }) => {
    await putSite(access, { name, origins, leaseMs }, by);
    await inForce.ensureAll();
    return viewOf(name);
  });
  for (const [operation, drained] of [
    [sites.drain, true],
    [sites.open, false],
  ] as const)
    serve(service, operation, async ({ params: { name }, by }) => {
      await drainSite(access, { name, drained }, by);
      await inForce.ensureAll();
      return viewOf(name);
    });
  serve(service, sites.remove, async ({ params: { name }, by }) => {
    const done = await removeSite(access, name, by);
    await inForce.ensureAll();
    return { done };
  });
}

type SiteWithProxies = Omit<SiteDetails, 'resources' | 'everySite'>;

/** @throws AccessError ERR_ACCESS_NOT_FOUND */
async function findSite(parts: SiteRoutes, name: string): Promise<SiteWithProxies> {
  const seen = await listSitePage(parts.access, { after: '', limit: Number.MAX_SAFE_INTEGER });
  const site = seen.sites.find((row) => row.name === name);
  if (!site) throw missing('site', name);
  return siteWithProxies(parts, site, seen);
}

function siteWithProxies(parts: SiteRoutes, site: SiteRow, seen: SitesWithProxies): SiteWithProxies {
  const { name, origins, drainedAt } = site;
  const leaseMs = site.leaseMs ?? parts.leaseMs;
  const own = seen.proxies.filter((row) => row.site === name && row.revokedAt === null);
  const proxies = own.map((row) => siteProxy(parts, row, seen));
  const sum = (of: (proxy: SiteProxy) => number): number => proxies.reduce((all, proxy) => all + of(proxy), 0);
  return {
    name,
    origins: [...origins],
    leaseMs,
    ownLease: site.leaseMs !== null,
    revocationMs: revocationBoundMs(leaseMs),
    drainedAt,
    liveProxies: sum(({ live }) => Number(live)),
    channels: sum(({ channels }) => channels),
    requests: sum(({ requests }) => requests),
    bytes: sum(({ bytes }) => bytes),
    proxies,
  };
}

/** What its live processes have served counts for a Proxy. */
function siteProxy({ node }: SiteRoutes, row: ProxyRow, seen: SitesWithProxies): SiteProxy {
  const { name, live, channels, leaseUntil, node: beatsAt, instances } = proxyView(row, { ...seen, node });
  const living = new Set(instances.map(({ instance }) => instance));
  const rows = seen.leases.filter((lease) => {
    const holder = leaseHolderOf(lease);
    return holder.name === name && living.has(holder.instance);
  });
  const requests = rows.reduce((all, lease) => all + lease.requests, 0);
  const bytes = rows.reduce((all, lease) => all + lease.bytes, 0);
  return { name, live, channels, requests, bytes, rttMs: rows[0]?.rttMs ?? null, leaseUntil, node: beatsAt };
}
