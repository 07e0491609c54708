import {
  type Actor,
  changeSettings,
  disableUser,
  enableUser,
  findOperator,
  findUser,
  getRealm,
  type InForce,
  inviteOperator,
  issueCode,
  issueJoinToken,
  listAudit,
  listGroups,
  listInstallations,
  listSessions,
  listSites,
  listUsers,
  type PolicyRow,
  putGroup,
  putPolicy,
  putResource,
  putSite,
  putUser,
  type ResourceRow,
  randomId,
  redeemOperatorToken,
  removeNode,
  removeRight,
  revoke,
  revokeProxy,
  settingsOf,
  type UserWithGroups,
  untilInForce,
  type WaitingNode,
} from '@sallyport/access';
import { formatBase64Url, formatHex, formatLink } from '@sallyport/channel';
import { ProblemError } from '@sallyport/http-service';
import {
  AuditView,
  CodeInput,
  CodeView,
  GroupView,
  InstallationView,
  JoinTokenInput,
  JoinTokenView,
  NamePattern,
  OperatorCredential,
  OperatorLogin,
  PolicyInput,
  PolicyView,
  ProblemView,
  RealmSettings,
  RealmSettingsPatch,
  ResourceInput,
  ResourceView,
  RevocationInput,
  RevocationView,
  SessionView,
  SiteInput,
  SiteView,
  StatusView,
  User,
  UserInput,
} from '@sallyport/security-api';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import Type, { type Static, type TSchema } from 'typebox';
import type { RealmContext } from '../realm-context.ts';
import { type StatusParts, statusOf } from './status.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Name of the operator who asks. */
    operator: string;
  }
}

/** What the admin API needs beside the realm. */
export type AdminRoutes = StatusParts;

const NameParam = Type.Object({ name: Type.String({ pattern: NamePattern }) });
type NameParam = Static<typeof NameParam>;
const IdParam = Type.Object({ id: Type.String({ pattern: '^[A-Za-z0-9-]{8,64}$' }) });
type IdParam = Static<typeof IdParam>;
const NodeParam = Type.Object({ id: Type.String({ minLength: 1, maxLength: 128 }) });
type NodeParam = Static<typeof NodeParam>;
const Done = Type.Object({ done: Type.Boolean() });
const WAIT_LIMIT_MS = 60_000;
/** What is answered without a credential: the way to get one, and what load balancers ask. */
const OPEN_PATHS: readonly string[] = ['/v1/operators/login', '/healthz', '/readyz'];

/** Schema of an operation: what it takes, what it answers, and that errors are problem+json. */
function operation(
  operationId: string,
  summary: string,
  answer: TSchema,
  request: { body?: TSchema; params?: TSchema; querystring?: TSchema } = {},
) {
  const responses = { 200: answer, '4xx': ProblemView, '5xx': ProblemView };
  return { schema: { operationId, summary, tags: [operationId.split('.')[0]!], ...request, response: responses } };
}

/** Who acts and why. Every change needs the header `sallyport-reason`; it goes into the audit log. */
function actorOf(request: FastifyRequest): Actor {
  const reason = request.headers['sallyport-reason'];
  if (typeof reason !== 'string' || reason.length < 3 || reason.length > 500) {
    throw new ProblemError(400, 'ERR_SECURITY_REASON', 'the header sallyport-reason (3 to 500 characters) says why');
  }
  return { actor: request.operator, reason: decodeReason(reason) };
}

/** The client's own id of a change, from the header `sallyport-request`: repeated with it, a change is done once. */
function requestIdOf(request: FastifyRequest): string | undefined {
  const id = request.headers['sallyport-request'];
  if (id === undefined || (typeof id === 'string' && /^[A-Za-z0-9-]{8,64}$/.test(id))) return id;
  throw new ProblemError(400, 'ERR_SECURITY_REQUEST', 'sallyport-request is 8 to 64 letters, digits and dashes');
}

/** Reasons in other alphabets come percent-encoded, because header fields are ASCII. */
function decodeReason(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The admin API. It denies by default: who asks is checked before a body is read. */
export function addAdminRoutes(service: FastifyInstance, routes: AdminRoutes): void {
  const { context } = routes;
  service.addHook('onRequest', async (request) => {
    if (OPEN_PATHS.includes(request.routeOptions.url ?? '')) return;
    const [, token] = /^Bearer (\S{1,256})$/.exec(request.headers.authorization ?? '') ?? [];
    const operator = token && (await findOperator(context.access, token));
    if (!operator)
      throw new ProblemError(401, 'ERR_SECURITY_OPERATOR', 'an operator credential is needed: sallyport login');
    request.operator = operator.name;
  });
  addOperatorRoutes(service, context);
  addUserRoutes(service, context);
  addRightRoutes(service, context);
  addEnrolmentRoutes(service, context);
  addSessionRoutes(service, context);
  addFarmRoutes(service, routes);
}

function addOperatorRoutes(service: FastifyInstance, { access, addressThrottle }: RealmContext): void {
  service.post<{ Body: OperatorLogin }>(
    '/v1/operators/login',
    operation('operators.login', 'Exchange a one-time token for a credential', OperatorCredential, {
      body: OperatorLogin,
    }),
    async ({ body, ip }) => {
      if ((await addressThrottle.take(`operator ${ip}`)) > 0)
        throw new ProblemError(429, 'ERR_SECURITY_SLOW', 'too many attempts');
      const credential = await redeemOperatorToken(access, body.token, body.name);
      if (!credential)
        throw new ProblemError(403, 'ERR_SECURITY_TOKEN', 'the one-time token is unknown, used or expired');
      return credential;
    },
  );
  service.post<{ Params: NameParam }>(
    '/v1/operators/:name/invite',
    operation('operators.invite', 'Issue a one-time token for another operator', OperatorCredential, {
      params: NameParam,
    }),
    async (request) => inviteOperator(access, request.params.name, request.operator),
  );
}

function userView({ user, groups }: UserWithGroups): User {
  const { id, name, displayName, enabled, createdAt } = user;
  return { id, name, displayName, enabled, createdAt, groups: [...groups] };
}

function addUserRoutes(service: FastifyInstance, context: RealmContext): void {
  const { access, bus } = context;
  service.get('/v1/users', operation('users.list', 'All users', Type.Array(User)), async () =>
    (await listUsers(access)).map(userView),
  );
  service.put<{ Params: NameParam; Body: UserInput }>(
    '/v1/users/:name',
    operation('users.put', 'Create or change a user', User, { params: NameParam, body: UserInput }),
    async (request) => {
      const user = await putUser(access, request.params.name, request.body, actorOf(request));
      bus.publish('entries');
      return userView(user);
    },
  );
  service.post<{ Params: NameParam }>(
    '/v1/users/:name/disable',
    operation('users.disable', 'Disable a user and end everything of theirs', RevocationView, { params: NameParam }),
    async (request) => {
      const by = actorOf(request);
      const requestId = requestIdOf(request) ?? randomId(access.crypto);
      const index = await disableUser(access, request.params.name, requestId, by);
      const force = await untilInForce(waitingNode(context), index, WAIT_LIMIT_MS);
      const found = (await findUser(access, request.params.name))!;
      return revocationView(context, { index, kind: 'user', subject: found.user.id, reason: by.reason }, force);
    },
  );
  service.post<{ Params: NameParam }>(
    '/v1/users/:name/enable',
    operation('users.enable', 'Let a disabled user in again; nothing of before revives', Done, { params: NameParam }),
    async (request) => {
      await enableUser(access, request.params.name, actorOf(request));
      return { done: true };
    },
  );
  service.get('/v1/groups', operation('groups.list', 'All groups', Type.Array(GroupView)), async () =>
    (await listGroups(access)).map(({ group, members }) => ({ ...group, members })),
  );
  service.put<{ Params: NameParam }>(
    '/v1/groups/:name',
    operation('groups.put', 'Create a group', Done, { params: NameParam }),
    async (request) => {
      await putGroup(access, request.params.name, actorOf(request));
      return { done: true };
    },
  );
}

/** This node as it waits for a revocation to be in force. */
function waitingNode({ access, node, bus, monotonicMs, log }: RealmContext): WaitingNode {
  const trouble = (error: unknown): void =>
    log.warn({ err: error }, 'the leases could not be read while a revocation waits');
  return { access, leases: node.leases, bus, monotonicMs, trouble };
}

/** The answer to a revocation: in force, or for whom it waits and until when. */
function revocationView(
  { wallMs }: RealmContext,
  entry: Pick<RevocationView, 'index' | 'kind' | 'subject' | 'reason'>,
  { waitedMs, waitingFor }: InForce,
): RevocationView {
  const at = wallMs();
  const waiting = waitingFor.map((proxy) => ({ ...proxy, untilAt: at + proxy.remainingMs }));
  return { ...entry, at, inForce: waiting.length === 0, waitedMs, waitingFor: waiting };
}

function resourceView({ name, kind, authority, title, backend }: ResourceRow): ResourceView {
  return { name, kind, authority, title, backend: backend as unknown as ResourceView['backend'] };
}

function policyView({ name, groups, resources, rule }: PolicyRow): PolicyView {
  const { context = {}, ...rest } = rule as unknown as Pick<PolicyView, 'context' | 'methods' | 'paths'>;
  return { name, groups: groups as string[], resources: resources as string[], context, ...rest };
}

function addRightRoutes(service: FastifyInstance, { access, bus }: RealmContext): void {
  service.get('/v1/resources', operation('resources.list', 'All resources', Type.Array(ResourceView)), async () =>
    (await access.store.transaction(({ tables }) => tables.resources.list())).map(resourceView),
  );
  service.put<{ Params: NameParam; Body: ResourceInput }>(
    '/v1/resources/:name',
    operation('resources.put', 'Create or replace a resource', ResourceView, {
      params: NameParam,
      body: ResourceInput,
    }),
    async (request) => {
      const row = await putResource(access, request.params.name, request.body, actorOf(request));
      bus.publish('entries');
      return resourceView(row);
    },
  );
  service.get('/v1/policies', operation('policies.list', 'All policies', Type.Array(PolicyView)), async () =>
    (await access.store.transaction(({ tables }) => tables.policies.list())).map(policyView),
  );
  service.put<{ Params: NameParam; Body: PolicyInput }>(
    '/v1/policies/:name',
    operation('policies.put', 'Create or replace a policy', PolicyView, { params: NameParam, body: PolicyInput }),
    async (request) => {
      const row = await putPolicy(access, request.params.name, request.body, actorOf(request));
      bus.publish('entries');
      return policyView(row);
    },
  );
  for (const table of ['resources', 'policies'] as const) {
    service.delete<{ Params: NameParam }>(
      `/v1/${table}/:name`,
      operation(`${table}.remove`, `Remove one of the ${table}`, Done, { params: NameParam }),
      async (request) => {
        const done = await removeRight(access, table, request.params.name, actorOf(request));
        bus.publish('entries');
        return { done };
      },
    );
  }
}

function addEnrolmentRoutes(service: FastifyInstance, context: RealmContext): void {
  const { access } = context;
  service.post<{ Body: CodeInput }>(
    '/v1/codes',
    operation('codes.issue', 'Issue an activation code with its link', CodeView, { body: CodeInput }),
    async (request) => {
      const { user, ttlMs } = request.body;
      const issued = await issueCode(access, user, ttlMs, actorOf(request));
      const settings = settingsOf(await access.store.transaction((transaction) => getRealm(transaction)));
      const origins = (await listSites(access)).flatMap((site) => site.origins as string[]);
      if (origins.length === 0)
        throw new ProblemError(409, 'ERR_SECURITY_NO_SITE', 'no site has an origin yet: sallyport site put');
      const { keys } = context;
      const link = formatLink(settings.enrolPage, {
        origins,
        realm: access.store.realm,
        kid: keys.newestKid,
        rs: keys.handshake.get(keys.newestKid)!.publicKey,
        root: keys.rootThumbprint,
        code: issued.code,
      });
      return { id: issued.id, user, code: issued.code, link, expiresAt: issued.expiresAt };
    },
  );
  service.get(
    '/v1/installations',
    operation('installations.list', 'All installations', Type.Array(InstallationView)),
    async () =>
      (await listInstallations(access)).map(({ installation, user }) => {
        const { id, status, generation, app, model, createdAt, lastSeenAt } = installation;
        return { id, user, status, generation, app, model, createdAt, lastSeenAt };
      }),
  );
}

function addSessionRoutes(service: FastifyInstance, context: RealmContext): void {
  const { access } = context;
  const Query = Type.Object({ all: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])) });
  service.get<{ Querystring: Static<typeof Query> }>(
    '/v1/sessions',
    operation('sessions.list', 'Live sessions, or all', Type.Array(SessionView), { querystring: Query }),
    async ({ query }) => {
      const listed = await listSessions(access, query.all === 'true');
      const seen = await context.presence.find(listed.map(({ session }) => session.id));
      return listed.map(({ session, user }) => {
        const { id, app, createdAt, expiresAt, endedAt, endReason, installationId, chanNo } = session;
        return {
          id,
          user,
          installation: installationId,
          app,
          createdAt,
          expiresAt,
          endedAt,
          endReason,
          lastChannel: chanNo,
          seenAt: seen.get(id)?.at ?? null,
          proxy: seen.get(id)?.proxy ?? null,
        };
      });
    },
  );
  service.put<{ Params: IdParam; Body: RevocationInput }>(
    '/v1/revocations/:id',
    operation('revocations.put', 'Revoke; answers when it is in force, or for whom it waits', RevocationView, {
      params: IdParam,
      body: RevocationInput,
    }),
    async (request) => {
      const { kind, subject, reason } = request.body;
      const row = await revoke(
        access,
        { requestId: request.params.id, kind, subject },
        { actor: request.operator, reason },
      );
      const force = await untilInForce(waitingNode(context), row.index, WAIT_LIMIT_MS);
      return revocationView(context, { index: row.index, kind, subject: row.subject, reason }, force);
    },
  );
  const AuditQuery = Type.Object({ limit: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,2}$' })) });
  service.get<{ Querystring: Static<typeof AuditQuery> }>(
    '/v1/audit',
    operation('audit.list', 'Newest audit events', Type.Array(AuditView), { querystring: AuditQuery }),
    async ({ query }) =>
      (await access.store.transaction((transaction) => listAudit(transaction, Number(query.limit ?? 100)))).map(
        (row) => {
          const { seq, at, actor, action, subject, outcome, reason, hash } = row;
          return { seq, at, actor, action, subject, outcome, reason, hash: formatHex(hash) };
        },
      ),
  );
}

function addFarmRoutes(service: FastifyInstance, routes: AdminRoutes): void {
  const { context } = routes;
  const { access } = context;
  service.get('/v1/sites', operation('sites.list', 'All sites', Type.Array(SiteView)), async () =>
    (await listSites(access)).map((site) => ({
      ...site,
      origins: site.origins as string[],
      resources: site.resources as string[],
    })),
  );
  service.put<{ Params: NameParam; Body: SiteInput }>(
    '/v1/sites/:name',
    operation('sites.put', 'Create or replace a site', SiteView, { params: NameParam, body: SiteInput }),
    async (request) => {
      const { origins, resources = [] } = request.body;
      const site = { name: request.params.name, origins, resources };
      await putSite(access, site, actorOf(request));
      return site;
    },
  );
  service.post<{ Body: JoinTokenInput }>(
    '/v1/join-tokens',
    operation('proxies.invite', 'Issue a join token for a new Proxy', JoinTokenView, { body: JoinTokenInput }),
    async (request) => {
      const { name, site, ttlMs } = request.body;
      const issued = await issueJoinToken(
        access,
        { name, site, ...(ttlMs === undefined ? {} : { ttlMs }) },
        actorOf(request),
      );
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
    operation('proxies.revoke', "Take a Proxy's right to serve; its certificate is worth nothing any more", Done, {
      params: NameParam,
    }),
    async (request) => ({ done: await revokeProxy(access, request.params.name, actorOf(request)) }),
  );
  service.get('/v1/realm', operation('realm.get', 'Settings of the realm', RealmSettings), async () =>
    settingsOf(await access.store.transaction((transaction) => getRealm(transaction))),
  );
  service.patch<{ Body: RealmSettingsPatch }>(
    '/v1/realm',
    operation('realm.change', 'Change settings of the realm', RealmSettings, { body: RealmSettingsPatch }),
    async (request) => changeSettings(access, request.body as Partial<RealmSettings>, actorOf(request)),
  );
  service.get('/v1/status', operation('status.get', 'What runs, computed from live answers', StatusView), async () =>
    statusOf(routes),
  );
  service.delete<{ Params: NodeParam }>(
    '/v1/nodes/:id',
    operation('nodes.remove', 'Forget a Security node that will not come back', Done, { params: NodeParam }),
    async (request) => ({ done: await removeNode(access, request.params.id, actorOf(request)) }),
  );
}
