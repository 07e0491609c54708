import type { Server } from 'node:https';
import fastifySwagger from '@fastify/swagger';
import { tlsOptionsOf } from '@sallyport/certificates';
import { addHealthRoutes, createService, type ServiceOptions, UnknownSockets } from '@sallyport/http-service';
import { AUTHORITIES_FIELD } from '@sallyport/security-api/admin';
import type { Log, Metrics } from '@sallyport/telemetry';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { attachControl, type ControlParts } from './farm/control.ts';
import type { SecurityNode } from './farm/node.ts';
import { type IdentifyProxy, proxyIdentity } from './farm/proxy-identity.ts';
import { markOfAuthorities, type ServerCertificate } from './keys/certificates.ts';
import { type AdminRoutes, addAdminRoutes } from './routes/admin.ts';
import { addLogoutRoute, type LogoutRoutes } from './routes/logout.ts';
import { addProxyApi, type ProxyApiParts } from './routes/proxy-api.ts';
import { addScimRoutes, SCIM_PREFIX, type ScimRoutes } from './routes/scim.ts';
import { addTextCheck } from './routes/texts.ts';
import { sendError } from './scim/errors.ts';
import { addInstallRoutes } from './updates/install-routes.ts';
import { addUpdateRoutes, UPDATES_PREFIX, type UpdateRoutes } from './updates/update-routes.ts';

/** Sockets of a listener of those whom nobody knows: a provider may log a thousand people out at once. */
const UNKNOWN_SOCKETS = { all: 4_000, ofAddress: 1_000 } as const;
/** How long somebody may take for a TLS handshake, and then for the head of a request, ms. */
const STRANGER_MS = 10_000;

/** Bounds the sockets of strangers; `isKnown` is asked once who asks has been looked at. */
function limitStrangers(service: FastifyInstance, isKnown: (request: FastifyRequest) => boolean): UnknownSockets {
  const server = service.server as Server;
  server.headersTimeout = STRANGER_MS;
  const unknown = new UnknownSockets(server, UNKNOWN_SOCKETS);
  service.addHook('preHandler', async (request) => {
    if (isKnown(request)) unknown.know(request.raw.socket);
  });
  return unknown;
}

/** What the listener for Proxies serves with. */
export interface ProxyServiceParts
  extends Omit<ProxyApiParts, 'identify'>,
    Omit<ControlParts, 'identify' | 'authorities'>,
    UpdateRoutes {
  readonly node: SecurityNode;
  readonly metrics: Metrics;
  readonly monotonicMs: () => number;
}

/** The listener for Proxies: mutual TLS, except where a route says otherwise. */
export function createProxyService(
  parts: ProxyServiceParts,
  certificate: ServerCertificate,
): { service: FastifyInstance; endControl: () => void } {
  const { liveKeys, handshakes, node, metrics, log } = parts;
  const options = { log, ready: () => !node.draining };
  // Certificates are asked for but checked by the routes, because joining Proxies have none.
  const https = {
    ...tlsOptionsOf('Proxy'),
    handshakeTimeout: STRANGER_MS,
    cert: certificate.certificate,
    key: certificate.key,
    ca: [...liveKeys.current.authorities],
    requestCert: true,
    rejectUnauthorized: false,
  };
  const service = createService({ ...options, https });
  const unknown = limitStrangers(service, () => false);
  const identifyKey = proxyIdentity(parts);
  const identify: IdentifyProxy = async (socket) => {
    const proxy = await identifyKey(socket);
    if (proxy) unknown.know(socket);
    return proxy;
  };
  metrics.gauge('sallyport_handshakes_in_flight', 'handshakes waiting for HS3', () => handshakes.size);
  addHealthRoutes(service, options);
  addTextCheck(service);
  addProxyApi(service, { ...parts, identify });
  addInstallRoutes(service, parts);
  void service.register(async (scope) => addUpdateRoutes(scope, parts, ({ raw }) => unknown.know(raw.socket)), {
    prefix: UPDATES_PREFIX,
  });
  const endControl = attachControl(service.server as Server, {
    ...parts,
    identify,
    authorities: () => liveKeys.current.authorities,
  });
  return { service, endControl };
}

/** What the listener for directories serves with. */
export interface DirectoryServiceParts extends ScimRoutes, LogoutRoutes {
  readonly node: Pick<SecurityNode, 'draining'>;
}

/** The listener for SCIM clients and OpenID providers: TLS, and nothing of the other listeners. */
export function createDirectoryService(parts: DirectoryServiceParts, certificate: ServerCertificate): FastifyInstance {
  const { log, node } = parts;
  const refusePath: ServiceOptions['refusePath'] = ({ url }, reply) =>
    /^\/+scim(\/|$)/.test(url ?? '') && sendError(reply, 400, 'the path cannot be read', 'invalidSyntax');
  const options = { log, ready: () => !node.draining, lenientSlashes: true, refusePath };
  const https = {
    ...tlsOptionsOf('directory'),
    handshakeTimeout: STRANGER_MS,
    cert: certificate.certificate,
    key: certificate.key,
  };
  const service = createService({ ...options, https });
  limitStrangers(service, ({ scim }) => scim !== undefined);
  service.get('/healthz', async () => ({ status: 'ok' }));
  void service.register(async (scope) => {
    addTextCheck(scope);
    addLogoutRoute(scope, parts);
  });
  void service.register(async (scope) => addScimRoutes(scope, parts), {
    prefix: SCIM_PREFIX,
  });
  return service;
}

/** What the listener for operators serves with. */
export type AdminServiceParts = AdminRoutes & {
  readonly node: Pick<SecurityNode, 'draining'>;
  readonly log: Log;
};

/** The listener for operators: TLS, bearer credentials, OpenAPI at `/openapi.json`. */
export async function createAdminService(
  parts: AdminServiceParts,
  certificate: ServerCertificate,
): Promise<FastifyInstance> {
  const { log, node, version } = parts;
  const options = { log, ready: () => !node.draining };
  const https = {
    ...tlsOptionsOf('admin'),
    handshakeTimeout: STRANGER_MS,
    cert: certificate.certificate,
    key: certificate.key,
  };
  const service = createService({ ...options, https });
  limitStrangers(service, ({ operator, publisher }) => operator !== undefined || publisher !== undefined);
  service.addHook('onSend', async (_request, reply) => {
    reply.header(AUTHORITIES_FIELD, markOfAuthorities(parts.liveKeys.current.authorities));
  });
  await service.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Sallyport admin API',
        version,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      components: { securitySchemes: { operator: { type: 'http', scheme: 'bearer' } } },
      security: [{ operator: [] }],
    },
    refResolver: { buildLocalReference: (json, _base, _fragment, index) => String(json['$id'] ?? `schema${index}`) },
  });
  await service.register(async (scope) => {
    addHealthRoutes(scope, options);
    addTextCheck(scope);
    addAdminRoutes(scope, parts);
    scope.get('/openapi.json', { schema: { hide: true } as object }, async () => service.swagger());
  });
  return service;
}
