import { type AccessContext, listSitePage, putSite } from '@sallyport/access';
import { sites } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import type { InForce } from '../revocation/in-force.ts';
import { pageOf } from './paging.ts';
import { serve } from './serve.ts';

/** What operations on sites work with. */
export interface SiteRoutes {
  readonly access: AccessContext;
  readonly inForce: InForce;
}

/** Sites. */
export function addSiteRoutes(service: FastifyInstance, { access, inForce }: SiteRoutes): void {
  serve(service, sites.list, async ({ query }) =>
    (await listSitePage(access, pageOf(query))).map(({ name, origins, resources }) => ({ name, origins, resources })),
  );
  serve(service, sites.put, async ({ params: { name }, body: { origins, resources = [] }, by }) => {
    const site = { name, origins, resources };
    await putSite(access, site, by);
    await inForce.ensureAll();
    return site;
  });
}
