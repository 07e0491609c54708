import { StoreError } from '@sallyport/access';
import {
  applyPatch,
  isObject,
  memberIds,
  parsePatch,
  resourceTypes,
  ScimError,
  type ScimObject,
  type ScimValue,
  scimSchemas,
  serviceProviderConfig,
  splitGroupPatch,
  URNS,
} from '@sallyport/directory';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { whenInForce } from '../in-force.ts';
import type { RealmContext } from '../realm-context.ts';
import { type ScimClient, scimClientOf } from '../scim/client.ts';
import { changeScimGroup, createScimGroup, removeScimGroup } from '../scim/groups.ts';
import {
  type ListQuery,
  listScimGroups,
  listScimUsers,
  project,
  readScimGroupBy,
  readScimUserBy,
  wantsMembers,
} from '../scim/lists.ts';
import { changeScimUser, createScimUser, removeScimUser } from '../scim/users.ts';

const JSON_TYPE = 'application/scim+json';

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

/** The SCIM 2.0 server (RFC 7644). Who asks is checked before a body is read. */
export function addScimRoutes(service: FastifyInstance, context: RealmContext): void {
  service.addContentTypeParser(JSON_TYPE, { parseAs: 'string' }, service.getDefaultJsonParser('error', 'error'));
  service.addHook('onRequest', async (request, reply) => {
    const client = await scimClientOf(context, request);
    if (!client)
      return sendError(
        reply.header('www-authenticate', 'Bearer'),
        401,
        'a token of "sallyport directory token" is needed',
      );
    request.scim = client;
  });
  service.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) =>
    scimFailure(context, error, reply),
  );
  addDiscoveryRoutes(service);
  addUserRoutes(service, context);
  addGroupRoutes(service, context);
}

function send(reply: FastifyReply, status: number, body: object): FastifyReply {
  return reply.code(status).type(JSON_TYPE).send(JSON.stringify(body));
}

function sendError(reply: FastifyReply, status: number, detail: string, scimType?: string): FastifyReply {
  return send(reply, status, {
    schemas: [URNS.error],
    status: String(status),
    ...(scimType ? { scimType } : {}),
    detail,
  });
}

function notFound(reply: FastifyReply): FastifyReply {
  return sendError(reply, 404, 'there is no such resource');
}

function scimFailure(
  { log }: RealmContext,
  error: Error & { statusCode?: number; code?: string },
  reply: FastifyReply,
): FastifyReply {
  if (error instanceof ScimError) return sendError(reply, error.status, error.message, error.scimType);
  if (error instanceof StoreError && error.code === 'ERR_STORE_CONFLICT')
    return sendError(reply, 409, 'taken already', 'uniqueness');
  const status = error instanceof StoreError ? 503 : (error.statusCode ?? 500);
  if (status < 500) return sendError(reply, status, error.message, 'invalidSyntax');
  log.error({ err: error }, 'a SCIM request failed');
  return sendError(
    reply,
    status,
    status === 503 ? 'the database does not answer; try again' : 'something went wrong on our side',
  );
}

function addDiscoveryRoutes(service: FastifyInstance): void {
  service.get('/ServiceProviderConfig', async ({ scim }, reply) => send(reply, 200, serviceProviderConfig(scim.base)));
  const collections = { ResourceTypes: resourceTypes, Schemas: scimSchemas } as const;
  for (const [name, of] of Object.entries(collections)) {
    service.get(`/${name}`, async ({ scim }, reply) => {
      const resources = of(scim.base);
      const counts = { totalResults: resources.length, startIndex: 1, itemsPerPage: resources.length };
      return send(reply, 200, { schemas: [URNS.list], ...counts, Resources: resources });
    });
    service.get<ById>(`/${name}/:id`, async ({ scim, params }, reply) => {
      const found = of(scim.base).find((resource) => (resource as { id: string }).id === params.id);
      return found ? send(reply, 200, found) : notFound(reply);
    });
  }
}

function bodyOf({ body }: FastifyRequest): ScimObject {
  if (!isObject(body)) throw new ScimError('invalidSyntax', 'a JSON object is expected');
  return body;
}

function addUserRoutes(service: FastifyInstance, context: RealmContext): void {
  service.get<ById>('/Users', async ({ scim, query }, reply) =>
    send(reply, 200, await listScimUsers(context, scim, query)),
  );
  service.get<ById>('/Users/:id', async ({ scim, params, query }, reply) => {
    const user = await readScimUserBy(context, scim, params.id);
    return user ? send(reply, 200, project(user, query)) : notFound(reply);
  });
  service.post<ById>('/Users', async (request, reply) => {
    const { user, index } = await createScimUser(context, request.scim, bodyOf(request));
    await whenInForce(context, index);
    const { location } = user['meta'] as { location: string };
    return send(reply.header('location', location), 201, project(user, request.query));
  });
  const change = async (request: FastifyRequest<ById>, reply: FastifyReply, of: (before: ScimObject) => unknown) => {
    const written = await changeScimUser(context, request.scim, request.params.id, of);
    if (!written) return notFound(reply);
    await whenInForce(context, written.index);
    return send(reply, 200, project(written.user, request.query));
  };
  service.put<ById>('/Users/:id', (request, reply) => change(request, reply, () => bodyOf(request)));
  service.patch<ById>('/Users/:id', (request, reply) => {
    const operations = parsePatch(bodyOf(request));
    return change(request, reply, (before) => applyPatch(before, operations));
  });
  service.delete<ById>('/Users/:id', async ({ scim, params }, reply) => {
    const index = await removeScimUser(context, scim, params.id);
    if (index === undefined) return notFound(reply);
    await whenInForce(context, index);
    return reply.code(204).send();
  });
}

function addGroupRoutes(service: FastifyInstance, context: RealmContext): void {
  service.get<ById>('/Groups', async ({ scim, query }, reply) =>
    send(reply, 200, await listScimGroups(context, scim, query)),
  );
  service.get<ById>('/Groups/:id', async ({ scim, params, query }, reply) => {
    const group = await readScimGroupBy(context, scim, params.id, wantsMembers(query));
    return group ? send(reply, 200, project(group, query)) : notFound(reply);
  });
  service.post<ById>('/Groups', async (request, reply) => {
    const { group, index } = await createScimGroup(context, request.scim, bodyOf(request));
    await whenInForce(context, index);
    const { location } = group['meta'] as { location: string };
    return send(reply.header('location', location), 201, project(group, request.query));
  });
  service.put<ById>('/Groups/:id', async (request, reply) => {
    const body = bodyOf(request);
    const members = memberIds(body['members'] as ScimValue | undefined);
    const patch = { attributes: body, steps: [{ op: 'replace', members }] } as const;
    const written = await changeScimGroup(context, request.scim, request.params.id, () => patch);
    if (!written) return notFound(reply);
    await whenInForce(context, written.index);
    return send(reply, 200, project(written.group, request.query));
  });
  service.patch<ById>('/Groups/:id', async (request, reply) => {
    const operations = parsePatch(bodyOf(request));
    const written = await changeScimGroup(context, request.scim, request.params.id, (before) =>
      splitGroupPatch(before, operations),
    );
    if (!written) return notFound(reply);
    await whenInForce(context, written.index);
    // Entra ID expects no content here, and members may be very many.
    return reply.code(204).send();
  });
  service.delete<ById>('/Groups/:id', async ({ scim, params }, reply) => {
    const index = await removeScimGroup(context, scim, params.id);
    if (index === undefined) return notFound(reply);
    await whenInForce(context, index);
    return reply.code(204).send();
  });
}
