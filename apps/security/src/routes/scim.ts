import { type AccessContext, findSourceGroup, type WrittenGroup } from '@sallyport/access';
import {
  applyPatch,
  type GroupPatch,
  GroupPatchReader,
  MAX_GROUP_OPERATIONS,
  memberIds,
  Pace,
  parseOperation,
  parsePatch,
  patchOperations,
  resourceTypes,
  ScimError,
  type ScimObject,
  type ScimValue,
  scimSchemas,
  serviceProviderConfig,
  URNS,
} from '@sallyport/directory';
import { isText } from '@sallyport/security-api';
import type { Log } from '@sallyport/telemetry';
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import type { InForce } from '../revocation/in-force.ts';
import { addBodyParsers, bodyOf, GROUP_BODY_BYTES, USER_BODY_BYTES } from '../scim/bodies.ts';
import { type ScimClient, scimClientOf } from '../scim/client.ts';
import { SCIM_TYPE, send, sendError, sendFailure, sendNotFound } from '../scim/errors.ts';
import { changeScimGroup, createScimGroup, removeScimGroup } from '../scim/groups.ts';
import { type ListQuery, listScimGroups, listScimUsers, project, type Written, writtenGroup } from '../scim/lists.ts';
import { changeScimUser, createScimUser, readScimUserBy, removeScimUser } from '../scim/users.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The SCIM client that asks, on its paths. */
    scim: ScimClient;
  }
}

interface ById {
  Params: { id: string };
  Querystring: ListQuery;
}

/** Where SCIM is, with its version. */
export const SCIM_PREFIX = '/scim';

/** What SCIM clients are served with. */
export interface ScimRoutes {
  readonly access: AccessContext;
  /** Where the clients reach this node. */
  readonly directoryUrl: string | undefined;
  readonly inForce: InForce;
  readonly log: Log;
}

/** The SCIM 2.0 server (RFC 7644) below its prefix. Who asks is checked before a body is read. */
export function addScimRoutes(service: FastifyInstance, routes: ScimRoutes): void {
  service.addHook('onRequest', async (request, reply) => {
    const client = await scimClientOf(routes, request);
    if (!client) return refuseClient(reply);
    request.scim = client;
    const { id = '' } = request.params as { id?: string };
    if (!isText(id)) return sendNotFound(reply);
    checkQuery(request.query as object);
  });
  addBodyParsers(service);
  // A body may be long on its way; a token that was ended meanwhile changes nothing.
  service.addHook('preHandler', async (request, reply) => {
    if (request.body !== undefined && !(await scimClientOf(routes, request))) return refuseClient(reply);
  });
  service.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) =>
    sendFailure(routes.log, error, reply),
  );
  service.setNotFoundHandler((_request, reply) => sendNotFound(reply));
  void service.register(
    async (version) => {
      const scope = version;
      scope.setNotFoundHandler((_request, reply) => sendNotFound(reply));
      addDiscoveryRoutes(scope);
      addUserRoutes(scope, routes);
      addGroupRoutes(scope, routes);
      addUnsupported(scope);
    },
    { prefix: '/v2' },
  );
}

function refuseClient(reply: FastifyReply): FastifyReply {
  return sendError(reply.header('www-authenticate', 'Bearer'), 401, 'a token of "sallyport directory token" is needed');
}

/** @throws ScimError for a parameter that is there twice: which of the two is meant? */
function checkQuery(query: object): void {
  for (const [name, value] of Object.entries(query))
    if (typeof value !== 'string') throw new ScimError('invalidSyntax', `${name.slice(0, 32)} is given more than once`);
}

/** Methods that routes may have. HEAD comes with GET. */
const METHODS: readonly HTTPMethods[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** Every method that a path does not have is 405 with those that it has (RFC 9110, section 15.5.6). */
function refuseOthers(service: FastifyInstance, url: string, allowed: readonly HTTPMethods[]): void {
  const others = METHODS.filter((method) => !allowed.includes(method));
  const allow = [...allowed, ...(allowed.includes('GET') ? ['HEAD'] : [])].join(', ');
  const refuse = async (_request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> =>
    sendError(reply.header('allow', allow), 405, `this path has ${allow}`);
  service.route({ method: [...others], url, onRequest: refuse, handler: refuse });
}

/** What the RFC has and we do not is 501 (RFC 7644, sections 3.11, 3.7 and 3.4.3). */
function addUnsupported(service: FastifyInstance): void {
  const refuse = async (_request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> =>
    sendError(reply, 501, 'this server does not do that: see ServiceProviderConfig');
  for (const url of ['/Me', '/Bulk', '/.search', '/Users/.search', '/Groups/.search'])
    service.route({ method: [...METHODS], url, onRequest: refuse, handler: refuse });
}

function sendWritten(reply: FastifyReply, status: number, written: Written): FastifyReply {
  return reply.code(status).type(SCIM_TYPE).send(written);
}

function addDiscoveryRoutes(service: FastifyInstance): void {
  service.get('/ServiceProviderConfig', async ({ scim }, reply) => send(reply, 200, serviceProviderConfig(scim.base)));
  refuseOthers(service, '/ServiceProviderConfig', ['GET']);
  const collections = { ResourceTypes: resourceTypes, Schemas: scimSchemas } as const;
  for (const [name, of] of Object.entries(collections)) {
    service.get(`/${name}`, async ({ scim }, reply) => {
      const resources = of(scim.base);
      const counts = { totalResults: resources.length, startIndex: 1, itemsPerPage: resources.length };
      return send(reply, 200, { schemas: [URNS.list], ...counts, Resources: resources });
    });
    service.get<ById>(`/${name}/:id`, async ({ scim, params }, reply) => {
      const found = of(scim.base).find((resource) => (resource as { id: string }).id === params.id);
      return found ? send(reply, 200, found) : sendNotFound(reply);
    });
    for (const url of [`/${name}`, `/${name}/:id`]) refuseOthers(service, url, ['GET']);
  }
}

function addUserRoutes(service: FastifyInstance, routes: ScimRoutes): void {
  const { access } = routes;
  const limit = { bodyLimit: USER_BODY_BYTES };
  service.get<ById>('/Users', async ({ scim, query }, reply) =>
    sendWritten(reply, 200, await listScimUsers(access, scim, query)),
  );
  service.get<ById>('/Users/:id', async ({ scim, params, query }, reply) => {
    const user = await readScimUserBy(access, scim, params.id);
    return user ? send(reply, 200, project(user, query)) : sendNotFound(reply);
  });
  service.post<ById>('/Users', limit, async (request, reply) => {
    const { user, index } = await createScimUser(access, request.scim, bodyOf(request));
    if (index > 0) await routes.inForce.ensureForDirectory(index);
    const { location } = user['meta'] as { location: string };
    return send(reply.header('location', location), 201, project(user, request.query));
  });
  const change = async (request: FastifyRequest<ById>, reply: FastifyReply, edit: (before: ScimObject) => unknown) => {
    const written = await changeScimUser(access, request.scim, request.params.id, edit);
    if (!written) return sendNotFound(reply);
    await routes.inForce.ensureForDirectory(written.index);
    return send(reply, 200, project(written.user, request.query));
  };
  service.put<ById>('/Users/:id', limit, (request, reply) => change(request, reply, () => bodyOf(request)));
  service.patch<ById>('/Users/:id', limit, (request, reply) => {
    const operations = parsePatch(bodyOf(request));
    return change(request, reply, (before) => applyPatch(before, operations));
  });
  service.delete<ById>('/Users/:id', limit, async ({ scim, params }, reply) => {
    const index = await removeScimUser(access, scim, params.id);
    // Not there any more: perhaps by a first try that nobody has waited for.
    await routes.inForce.ensureForDirectory(index ?? 0);
    if (index === undefined) return sendNotFound(reply);
    return reply.code(204).send();
  });
  refuseOthers(service, '/Users', ['GET', 'POST']);
  refuseOthers(service, '/Users/:id', ['GET', 'PUT', 'PATCH', 'DELETE']);
}

function addGroupRoutes(service: FastifyInstance, routes: ScimRoutes): void {
  const { access } = routes;
  const limit = { bodyLimit: GROUP_BODY_BYTES };
  service.get<ById>('/Groups', async ({ scim, query }, reply) =>
    sendWritten(reply, 200, await listScimGroups(access, scim, query)),
  );
  service.get<ById>('/Groups/:id', async ({ scim, params, query }, reply) => {
    const row = await findSourceGroup(access, scim.directory, params.id);
    return row ? sendWritten(reply, 200, writtenGroup(access, scim, { row, query })) : sendNotFound(reply);
  });
  const answer = async (request: FastifyRequest<ById>, reply: FastifyReply, written: WrittenGroup | undefined) => {
    if (!written) return sendNotFound(reply);
    await routes.inForce.ensureForDirectory(written.index);
    const { scim, query, method } = request;
    // Entra ID expects no content here, and members may be very many.
    if (method === 'PATCH') return reply.code(204).send();
    const { row } = written;
    if (method === 'POST') reply.header('location', `${scim.base}/Groups/${row.subject}`);
    return sendWritten(reply, method === 'POST' ? 201 : 200, writtenGroup(access, scim, { row, query }));
  };
  service.post<ById>('/Groups', limit, async (request, reply) =>
    answer(request, reply, await createScimGroup(access, request.scim, bodyOf(request), new Pace())),
  );
  service.put<ById>('/Groups/:id', limit, async (request, reply) => {
    const body = bodyOf(request);
    const members = memberIds(body['members'] as ScimValue | undefined);
    const edit = (): GroupPatch => ({ attributes: body, steps: [{ op: 'replace', members }] });
    const of = { subject: request.params.id, edit, pace: new Pace() };
    return answer(request, reply, await changeScimGroup(access, request.scim, of));
  });
  service.patch<ById>('/Groups/:id', limit, async (request, reply) => {
    const pace = new Pace();
    const reader = await readGroupPatch(bodyOf(request), pace);
    const of = { subject: request.params.id, edit: (before: ScimObject) => reader.patchOf(before), pace };
    return answer(request, reply, await changeScimGroup(access, request.scim, of));
  });
  service.delete<ById>('/Groups/:id', limit, async ({ scim, params }, reply) => {
    const index = await removeScimGroup(access, scim, params.id);
    await routes.inForce.ensureForDirectory(index ?? 0);
    if (index === undefined) return sendNotFound(reply);
    return reply.code(204).send();
  });
  refuseOthers(service, '/Groups', ['GET', 'POST']);
  refuseOthers(service, '/Groups/:id', ['GET', 'PUT', 'PATCH', 'DELETE']);
}

/** Units that reading one operation costs. */
const OPERATION_UNITS = 10;

async function readGroupPatch(body: ScimObject, pace: Pace): Promise<GroupPatchReader> {
  const reader = new GroupPatchReader();
  for (const operation of patchOperations(body, MAX_GROUP_OPERATIONS)) {
    reader.take(parseOperation(operation));
    if (pace.spend(OPERATION_UNITS)) await pace.rest();
  }
  return reader;
}
