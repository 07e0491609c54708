import {
  type AccessContext,
  confirmBinding,
  disableUser,
  enableUser,
  explainRights,
  findUser,
  issueFactor,
  listBindings,
  listGroups,
  listProxiesWithLeases,
  listUsers,
  missing,
  putGroup,
  putUser,
  randomId,
  refuseBinding,
  removeFactor,
  removeUser,
  renameUser,
  type UserWithGroups,
} from '@sallyport/access';
import { ProblemError } from '@sallyport/http-service';
import type { User } from '@sallyport/security-api';
import { bindings, factors, groups, users } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import type { SecurityNode } from '../farm/node.ts';
import { proxyView } from '../farm/status.ts';
import type { InForce } from '../revocation/in-force.ts';
import { totpUri } from '../sign-in/second-factor.ts';
import { pageOf } from './paging.ts';
import { revocationView } from './revoking.ts';
import { serve } from './serve.ts';

/** What operations on users work with. */
export interface UserRoutes {
  readonly access: AccessContext;
  readonly inForce: InForce;
  readonly node: Pick<SecurityNode, 'leases'>;
  readonly wallMs: () => number;
}

/** Names of Proxies that may serve now. */
async function liveProxies({ access, node }: UserRoutes): Promise<ReadonlySet<string>> {
  const { proxies, ...seen } = await listProxiesWithLeases(access, { after: '', limit: Number.MAX_SAFE_INTEGER });
  const views = proxies.map((row) => proxyView(row, { ...seen, node }));
  return new Set(views.filter(({ live, revokedAt }) => live && revokedAt === null).map(({ name }) => name));
}

function userView({ user, groups }: UserWithGroups): User {
  const { id, name, displayName, enabled, directory, createdAt } = user;
  return { id, name, displayName, enabled, directory, createdAt, groups: [...groups] };
}

/** Users with their second factors, groups, and accounts that wait for an officer. */
export function addUserRoutes(service: FastifyInstance, routes: UserRoutes): void {
  addUsers(service, routes);
  addLeaving(service, routes);
  addFactors(service, routes);
  addGroups(service, routes);
  addBindings(service, routes);
}

function addUsers(service: FastifyInstance, routes: UserRoutes): void {
  const { access, inForce } = routes;
  serve(service, users.list, async ({ query }) => (await listUsers(access, pageOf(query))).map(userView));
  serve(service, users.get, async ({ params: { name } }) => {
    const found = await findUser(access, name);
    if (!found) throw missing('user', name);
    return userView(found);
  });
  serve(service, users.put, async ({ params: { name }, body, by }) => {
    if (body.account !== undefined && body.directory === undefined)
      throw new ProblemError('ERR_ACCESS_INVALID', 'an account is one of a directory: name that, too');
    const user = await putUser(access, name, body, by);
    await inForce.ensureSoon(user.ended);
    return userView(user);
  });
  serve(service, users.rename, async ({ params: { name }, body, by }) => {
    const user = await renameUser(access, name, body.name, by);
    await inForce.ensureAll();
    return userView(user);
  });
  serve(service, users.enable, async ({ params: { name }, by }) => {
    await enableUser(access, name, by);
    return { done: true };
  });
  serve(service, users.rights, async ({ params: { name } }) => {
    const { user, groups, resources: reasons, doubts } = await explainRights(access, name);
    const live = await liveProxies(routes);
    const resources = reasons.map(({ sites, ...reason }) => ({
      ...reason,
      sites: sites.map(({ proxies, ...site }) => ({ ...site, liveProxies: proxies.filter((one) => live.has(one)) })),
    }));
    return {
      user: user.name,
      enabled: user.enabled,
      directory: user.directory,
      groups,
      resources,
      doubts: [...doubts],
    };
  });
}

/** Everything of a user ends; answered when that is in force, or for whom it waits. */
function addLeaving(service: FastifyInstance, { access, inForce, wallMs }: UserRoutes): void {
  serve(service, users.disable, async ({ params: { name }, requestId = randomId(access.crypto), by }) => {
    const { index, subject } = await disableUser(access, name, requestId, by);
    const waited = await inForce.wait({ index });
    return revocationView(wallMs(), { index, kind: 'user', subject, reason: by.reason }, waited);
  });
  serve(service, users.remove, async ({ params: { name }, requestId = randomId(access.crypto), by }) => {
    const index = await removeUser(access, name, requestId, by);
    const waited = await inForce.wait({ index });
    return revocationView(wallMs(), { index, kind: 'user', subject: name, reason: by.reason }, waited);
  });
}

function addFactors(service: FastifyInstance, { access, inForce }: UserRoutes): void {
  serve(service, factors.issue, async ({ params: { name }, query, by }) => {
    const { secret, index } = await issueFactor(access, name, { keepSessions: query.keepSessions === 'true' }, by);
    await inForce.ensureSoon(index);
    return { user: name, ...totpUri(access.store.realm, name, secret) };
  });
  serve(service, factors.remove, async ({ params: { name }, query, by }) => {
    const { removed, index } = await removeFactor(access, name, { keepSessions: query.keepSessions === 'true' }, by);
    await inForce.ensureSoon(index);
    return { done: removed };
  });
}

function addGroups(service: FastifyInstance, { access }: UserRoutes): void {
  serve(service, groups.list, async ({ query }) =>
    (await listGroups(access, pageOf(query))).map(({ group, count, members }) => {
      const { name, createdAt } = group;
      return { name, createdAt, count, members };
    }),
  );
  serve(service, groups.put, async ({ params: { name }, by }) => {
    await putGroup(access, name, by);
    return { done: true };
  });
}

/** Accounts of providers that wait for an officer to say whose they are. */
function addBindings(service: FastifyInstance, { access }: UserRoutes): void {
  serve(service, bindings.list, async ({ query }) =>
    (await listBindings(access, pageOf(query))).map(({ binding, user }) => {
      const { id, directory, subject, login, email, createdAt } = binding;
      return { id, user, directory, subject, login, email, createdAt };
    }),
  );
  serve(service, bindings.confirm, async ({ params: { id }, by }) => {
    await confirmBinding(access, id, by);
    return { done: true };
  });
  serve(service, bindings.refuse, async ({ params: { id }, by }) => {
    await refuseBinding(access, id, by);
    return { done: true };
  });
}
