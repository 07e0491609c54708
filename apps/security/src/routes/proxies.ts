import { type AccessContext, issueJoinToken, listProxiesWithLeases, moveProxy, revokeProxy } from '@sallyport/access';
import { formatBase64Url } from '@sallyport/channel';
import { proxies } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import type { SecurityNode } from '../farm/node.ts';
import { proxyView } from '../farm/status.ts';
import type { LiveKeys } from '../keys/live-keys.ts';
import type { InForce } from '../revocation/in-force.ts';
import { pageOf } from './paging.ts';
import { forceView } from './revoking.ts';
import { serve } from './serve.ts';

/** What operations on Proxies work with. */
export interface ProxyRoutes {
  readonly access: AccessContext;
  readonly inForce: InForce;
  readonly node: Pick<SecurityNode, 'leases' | 'proxyUrls'>;
  readonly liveKeys: Pick<LiveKeys, 'current'>;
  readonly wallMs: () => number;
}

/** Proxies: who they are, how they join, and how they are revoked. */
export function addProxyRoutes(service: FastifyInstance, routes: ProxyRoutes): void {
  const { access, inForce, node, liveKeys, wallMs } = routes;
  serve(service, proxies.list, async ({ query }) => {
    const { proxies: rows, ...seen } = await listProxiesWithLeases(access, pageOf(query));
    return rows.map((row) => proxyView(row, { node, ...seen }));
  });
  serve(service, proxies.invite, async ({ body, by }) => {
    const { id, secret, expiresAt } = await issueJoinToken(access, body, by);
    const content = { urls: node.proxyUrls, ca: liveKeys.current.ca.fingerprint, token: `${id}.${secret}` };
    return { token: formatBase64Url(new TextEncoder().encode(JSON.stringify(content))), expiresAt };
  });
  serve(service, proxies.move, async ({ params: { name }, body: { site }, by }) => {
    const done = await moveProxy(access, { name, site }, by);
    // Also for one that is there already: perhaps nobody has waited.
    await inForce.ensureAll();
    return { done };
  });
  serve(service, proxies.revoke, async ({ params: { name }, by }) => {
    const done = await revokeProxy(access, name, by);
    // Also for one that was revoked before: perhaps nobody has waited.
    const waited = done ? await inForce.waitForProxy(name) : { waitedMs: 0, waitingFor: [] };
    return { done, ...forceView(wallMs(), waited) };
  });
}
