import {
  type AccessContext,
  applyResources,
  changeResource,
  findResource,
  listResources,
  openedBackend,
  proxiesServing,
  putResource,
  type ResourceRow,
  removeRight,
  shownBackend,
} from '@sallyport/access';
import { isWildcard, wildcardPart } from '@sallyport/channel';
import { ProblemError } from '@sallyport/http-service';
import type { Backend, ResourceView } from '@sallyport/security-api';
import { resources } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import type { ProxyLinks } from '../farm/proxy-links.ts';
import { withOwnCa } from '../keys/assertions.ts';
import type { LiveKeys } from '../keys/live-keys.ts';
import type { InForce } from '../revocation/in-force.ts';
import { pageOf } from './paging.ts';
import { serve } from './serve.ts';

/** What operations on resources work with. */
export interface ResourceRoutes {
  readonly access: AccessContext;
  readonly inForce: InForce;
  readonly proxies: Pick<ProxyLinks, 'try'>;
  readonly liveKeys: Pick<LiveKeys, 'current'>;
}

function resourceView({ name, kind, authority, title, backend, sites, region }: ResourceRow): ResourceView {
  return { name, kind, authority, title, sites: sites && [...sites], region, backend: shownBackend(backend) };
}

/** @throws ProblemError ERR_SECURITY_RESOURCE */
async function getResource(access: AccessContext, name: string): Promise<ResourceRow> {
  const row = await findResource(access, name);
  if (!row) throw new ProblemError('ERR_SECURITY_RESOURCE', `there is no resource ${name}`);
  return row;
}

/**
 * What is tried: the backend as somebody reaches it who asks for a name.
 * @throws ProblemError ERR_SECURITY_RESOURCE when a wildcard needs another name
 */
function asAskedFor(
  { name, authority }: ResourceRow,
  backend: Backend,
  asked = authority,
): { readonly authority: string; readonly backend: Backend } {
  if (!isWildcard(authority)) return { authority, backend };
  const part = wildcardPart(authority, asked);
  if (part === undefined || isWildcard(asked))
    throw new ProblemError('ERR_SECURITY_RESOURCE', `${name} is ${authority}: say which name of those is tried`, 400);
  return { authority: asked, backend: { ...backend, url: backend.url.replace('*', part) } };
}

/** Resources. */
export function addResourceRoutes(service: FastifyInstance, routes: ResourceRoutes): void {
  const { access, inForce, proxies } = routes;
  serve(service, resources.list, async ({ query }) => (await listResources(access, pageOf(query))).map(resourceView));
  serve(service, resources.get, async ({ params: { name } }) => resourceView(await getResource(access, name)));
  serve(service, resources.put, async ({ params: { name }, body, by, onlyNew }) => {
    const row = await putResource(access, name, body, by, { onlyNew });
    await inForce.ensureAll();
    return resourceView(row);
  });
  serve(service, resources.apply, async ({ body, by }) => {
    const plan = await applyResources(access, body, by);
    if (!body.dryRun && plan.changes.some(({ what }) => what !== 'same')) await inForce.ensureAll();
    return plan;
  });
  serve(service, resources.change, async ({ params: { name }, body, by }) => {
    const row = await changeResource(access, name, body, by);
    await inForce.ensureAll();
    return resourceView(row);
  });
  serve(service, resources.remove, async ({ params: { name }, by }) => {
    const done = await removeRight(access, 'resources', name, by);
    await inForce.ensureAll();
    return { done };
  });
  serve(service, resources.test, async ({ params: { name }, query }) => {
    const row = await getResource(access, name);
    const asked = asAskedFor(row, openedBackend(access, row), query.as);
    const { authority, backend } = withOwnCa(routes, { kind: row.kind, ...asked });
    return { name, tries: await proxies.try({ authority, backend }, await proxiesServing(access, row)) };
  });
}
