import {
  changeSettings,
  getRealm,
  issueJoinToken,
  putSite,
  removeNode,
  replaceHandshakeKeys,
  revokeProxy,
  settingsOf,
  untilProxyGone,
} from '@sallyport/access';
import { formatBase64Url } from '@sallyport/channel';
import {
  HandshakeKeysView,
  JoinTokenInput,
  JoinTokenView,
  NodeView,
  ProxyRevocationView,
  ProxyView,
  RealmSettings,
  RealmSettingsPatch,
  SiteInput,
  SiteView,
  StatusView,
} from '@sallyport/security-api';
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { waitingNode } from '../farm/in-force.ts';
import type { AdminRoutes } from './admin.ts';
import { actorOf, changing, Done, NameParam, NodeParam, operation } from './operation.ts';
import { CursorQuery, pageOf, SubjectQuery } from './paging.ts';
import { forceView, WAIT_LIMIT, whenChanged } from './revoking.ts';
import { listedNodes, listedProxies, statusOf } from './status.ts';

/** Sites, Proxies, nodes, settings and the status. */
export function addFarmRoutes(service: FastifyInstance, routes: AdminRoutes): void {
  const { context } = routes;
  const { access } = context;
  const sites = operation('sites.list', 'Sites in the order of their names, a page of them', Type.Array(SiteView), {
    querystring: CursorQuery,
  });
  service.get<{ Querystring: CursorQuery }>('/v1/sites', sites, async ({ query }) => {
    const { after, limit } = pageOf(query);
    const rows = await access.store.transaction(({ tables }) => tables.sites.list({ above: ['name', after], limit }));
    return rows.map((site) => ({
      ...site,
      origins: site.origins as string[],
      resources: site.resources as string[],
    }));
  });
  service.put<{ Params: NameParam; Body: SiteInput }>(
    '/v1/sites/:name',
    changing('sites.put', 'Create or replace a site', SiteView, { params: NameParam, body: SiteInput }),
    async (request) => {
      const { origins, resources = [] } = request.body;
      const site = { name: request.params.name, origins, resources };
      await putSite(access, site, actorOf(request));
      await whenChanged(context);
      return site;
    },
  );
  const proxies = operation(
    'proxies.list',
    'Proxies by name with their leases, a page of them',
    Type.Array(ProxyView),
    {
      querystring: CursorQuery,
    },
  );
  service.get<{ Querystring: CursorQuery }>('/v1/proxies', proxies, async ({ query }) =>
    listedProxies(context, pageOf(query)),
  );
  const nodes = operation('nodes.list', 'Security nodes by id, as this one sees them, a page', Type.Array(NodeView), {
    querystring: SubjectQuery,
  });
  service.get<{ Querystring: SubjectQuery }>('/v1/nodes', nodes, async ({ query }) =>
    listedNodes(context, pageOf(query)),
  );
  service.post<{ Body: JoinTokenInput }>(
    '/v1/join-tokens',
    changing('proxies.invite', 'Issue a join token for a new Proxy', JoinTokenView, { body: JoinTokenInput }),
    async (request) => {
      const issued = await issueJoinToken(access, request.body, actorOf(request));
      const content = JSON.stringify({
        urls: context.node.proxyUrls,
        ca: context.keys.ca.fingerprint,
        token: `${issued.id}.${issued.secret}`,
      });
      return { token: formatBase64Url(new TextEncoder().encode(content)), expiresAt: issued.expiresAt };
    },
  );
  service.post<{ Params: NameParam }>(
    '/v1/proxies/:name/revoke',
    changing(
      'proxies.revoke',
      "Take a Proxy's right to serve; answers when none of its processes has a lease any more",
      ProxyRevocationView,
      { params: NameParam },
    ),
    async (request): Promise<ProxyRevocationView> => {
      const { name } = request.params;
      const done = await revokeProxy(access, name, actorOf(request));
      // Also for one that was revoked before: perhaps nobody has waited.
      const force = done
        ? await untilProxyGone(waitingNode(context), name, WAIT_LIMIT)
        : { waitedMs: 0, waitingFor: [] };
      return { done, ...forceView(context.wallMs(), force) };
    },
  );
  service.get('/v1/realm', operation('realm.get', 'Settings of the realm', RealmSettings), async () =>
    settingsOf(await access.store.transaction((transaction) => getRealm(transaction))),
  );
  service.patch<{ Body: RealmSettingsPatch }>(
    '/v1/realm',
    changing('realm.change', 'Change settings of the realm', RealmSettings, { body: RealmSettingsPatch }),
    async (request) => {
      const settings = await changeSettings(access, request.body as Partial<RealmSettings>, actorOf(request));
      await whenChanged(context);
      return settings;
    },
  );
  service.post(
    '/v1/handshake-keys/replace',
    changing(
      'realm.rekey',
      'Take all handshake keys out of use but a new one: for keys that may be in wrong hands',
      HandshakeKeysView,
    ),
    async (request) => {
      const by = actorOf(request);
      const revoked = await replaceHandshakeKeys(access, by);
      await context.liveKeys.reread();
      return { kid: context.keys.newestKid, revoked: [...revoked] };
    },
  );
  service.get('/v1/status', operation('status.get', 'What runs, computed from live answers', StatusView), async () =>
    statusOf(routes),
  );
  service.delete<{ Params: NodeParam }>(
    '/v1/nodes/:id',
    changing('nodes.remove', 'Forget a Security node that will not come back', Done, { params: NodeParam }),
    async (request) => ({ done: await removeNode(access, request.params.id, actorOf(request)) }),
  );
}
