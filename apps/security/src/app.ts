import type { Server } from 'node:https';
import fastifySwagger from '@fastify/swagger';
import { addHealthRoutes, createService, type ServiceOptions, UnknownSockets } from '@sallyport/http-service';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { attachControl } from './farm/control.ts';
import { type ProxyIdentity, proxyIdentity } from './farm/proxy-identity.ts';
import { siteMapSigner } from './farm/site-map.ts';
import type { RealmContext } from './realm-context.ts';
import { type AdminRoutes, addAdminRoutes } from './routes/admin.ts';
import { addLogoutRoute } from './routes/logout.ts';
import { addProxyRoutes } from './routes/proxies.ts';
import { addScimRoutes, SCIM_PREFIX } from './routes/scim.ts';
import { addTextCheck } from './routes/texts.ts';
import { sendError } from './scim/errors.ts';
import { Handshakes } from './sign-in/handshakes.ts';
import { createSignIn } from './sign-in/sign-in.ts';

/** Certificate and key of a listener, PEM. */
export interface ServerCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** TLS of every listener. */
export const TLS = { minVersion: 'TLSv1.3' } as const;

/** TLS of the listener for directories: their clients are not ours. */
export const DIRECTORY_TLS = {
  minVersion: 'TLSv1.2',
  // Forward secrecy and AEAD only: what TLS 1.3 has anyway, and of TLS 1.2 the suites without CBC, CCM or ARIA.
  ciphers: [
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'TLS_AES_128_GCM_SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
  ].join(':'),
} as const;

/** Sockets of a listener of those whom nobody knows: a provider may log a thousand people out at once. */
const UNKNOWN_SOCKETS = { all: 4_000, ofAddress: 1_000 } as const;
/** How long somebody may take for a TLS handshake, and then for the head of a request, ms. */
const STRANGER_MS = 10_000;

/** Bounds the sockets of strangers; `isKnown` is asked once who asks has been looked at. */
function limitStrangers(service: FastifyInstance, isKnown: (request: FastifyRequest) => boolean): UnknownSockets {
  const server = service.server as unknown as Server;
  server.headersTimeout = STRANGER_MS;
  const unknown = new UnknownSockets(server, UNKNOWN_SOCKETS);
  service.addHook('preHandler', async (request) => {
    if (isKnown(request)) unknown.know(request.raw.socket);
  });
  return unknown;
}

/** The listener for Proxies: mutual TLS, except where a route says otherwise. */
export function createProxyService(
  context: RealmContext,
  certificate: ServerCertificate,
): { service: FastifyInstance; handshakes: Handshakes; endControl: () => void } {
  const { access, liveKeys, log, bus, node, leaseMs, journal, proxies, wallMs, monotonicMs } = context;
  const { addressThrottle, refusals } = context;
  const siteMap = siteMapSigner({ access, liveKeys });
  const clocks = { wallMs, monotonicMs };
  const signIn = createSignIn(context);
  const handshakes = new Handshakes({ access, liveKeys, addressThrottle, refusals, log, ...clocks, signIn, siteMap });
  const identifyKey = proxyIdentity({ access, monotonicMs });
  const options = { log, ready: () => !node.draining };
  const ca = liveKeys.current.ca.certificate;
  // Certificates are asked for but checked by the routes, because joining Proxies have none.
  const https = {
    ...TLS,
    handshakeTimeout: STRANGER_MS,
    cert: certificate.certificate,
    key: certificate.key,
    ca,
    requestCert: true,
    rejectUnauthorized: false,
  };
  const service = createService({ ...options, https });
  const unknown = limitStrangers(service, () => false);
  const identify: ProxyIdentity = async (socket) => {
    const proxy = await identifyKey(socket);
    if (proxy) unknown.know(socket);
    return proxy;
  };
  context.metrics.gauge('sallyport_handshakes_in_flight', 'handshakes waiting for HS3', () => handshakes.size);
  addHealthRoutes(service, options);
  addTextCheck(service);
  addProxyRoutes(service, { context, handshakes, siteMap, identify });
  const control = { access, leaseMs, journal, bus, node, proxies, identify, log };
  const endControl = attachControl(service.server as unknown as Server, control);
  return { service, handshakes, endControl };
}

/** The listener for SCIM clients and OpenID providers: TLS, and nothing of the other listeners. */
export function createDirectoryService(context: RealmContext, certificate: ServerCertificate): FastifyInstance {
  const { log, node } = context;
  const refusePath: ServiceOptions['refusePath'] = ({ url }, reply) =>
    /^\/+scim(\/|$)/.test(url ?? '') && sendError(reply, 400, 'the path cannot be read', 'invalidSyntax');
  const options = { log, ready: () => !node.draining, lenientSlashes: true, refusePath };
  const https = {
    ...DIRECTORY_TLS,
    handshakeTimeout: STRANGER_MS,
    cert: certificate.certificate,
    key: certificate.key,
  };
  const service = createService({ ...options, https });
  limitStrangers(service, ({ scim }) => scim !== undefined);
  service.get('/healthz', async () => ({ status: 'ok' }));
  void service.register(async (scope) => {
    addTextCheck(scope as unknown as FastifyInstance);
    addLogoutRoute(scope as unknown as FastifyInstance, context);
  });
  void service.register(async (scope) => addScimRoutes(scope as unknown as FastifyInstance, context), {
    prefix: SCIM_PREFIX,
  });
  return service;
}

/** The listener for operators: TLS, bearer credentials, OpenAPI at `/openapi.json`. */
export async function createAdminService(
  routes: AdminRoutes,
  certificate: ServerCertificate,
): Promise<FastifyInstance> {
  const { log, node } = routes.context;
  const options = { log, ready: () => !node.draining };
  const https = { ...TLS, handshakeTimeout: STRANGER_MS, cert: certificate.certificate, key: certificate.key };
  const service = createService({ ...options, https });
  limitStrangers(service, ({ operator }) => operator !== undefined);
  await service.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Sallyport admin API',
        version: routes.version,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      components: { securitySchemes: { operator: { type: 'http', scheme: 'bearer' } } },
      security: [{ operator: [] }],
    },
    refResolver: { buildLocalReference: (json, _base, _fragment, index) => String(json['$id'] ?? `schema${index}`) },
  });
  await service.register(async (scope) => {
    addHealthRoutes(scope as unknown as FastifyInstance, options);
    addTextCheck(scope as unknown as FastifyInstance);
    addAdminRoutes(scope as unknown as FastifyInstance, routes);
    scope.get('/openapi.json', { schema: { hide: true } as object }, async () => service.swagger());
  });
  return service;
}
