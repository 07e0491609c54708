import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { tlsOptionsOf } from '@sallyport/certificates';
import { type CryptoProvider, ENDPOINT_PATH } from '@sallyport/channel';
import { addHealthRoutes, createService, guardedListener, pathOf } from '@sallyport/http-service';
import { parseAddress } from '@sallyport/settings';
import { guardWith, type Log } from '@sallyport/telemetry';
import type { FastifyInstance } from 'fastify';
import type { SocketAdmission, SocketPlace } from './device/admission.ts';
import type { Channels } from './device/channels.ts';
import { DeviceSocket } from './device/socket.ts';
import { upgradeAnswer, upgradeRefusal } from './device/upgrade.ts';
import { InstallPages } from './install-pages.ts';
import type { Serving } from './serving/serving.ts';
import type { SiteMapCache } from './serving/site-map.ts';

/** How the listener for devices is set up. */
export interface DeviceListenerOptions {
  readonly serving: Serving;
  readonly channels: Channels;
  readonly siteMap: Pick<SiteMapCache, 'get' | 'seq'>;
  readonly crypto: CryptoProvider;
  readonly admission: SocketAdmission;
  readonly installPages: InstallPages;
  readonly trustedHops: number;
  readonly maxSockets: number;
  /** PEM; absent when a load balancer in front ends TLS. The channel is encrypted end to end in any case. */
  readonly tls?: { readonly certificate: string; readonly key: string };
}

const HEADERS_TIMEOUT_MS = 5_000;
/** A connection that has not finished its TLS handshake by then ends, ms. */
const TLS_HANDSHAKE_MS = 5_000;
/** How often connections that say nothing are looked for, ms. */
const CHECK_MS = 1_000;

/** The listener for devices: one WebSocket endpoint, the signed site map, and pages for who has a link; nothing else. */
export function createDeviceListener(options: DeviceListenerOptions): Server {
  const { admission, siteMap, trustedHops, installPages } = options;
  const { log } = options.serving;
  const plain = guardedListener(log, async (request, response) => {
    if (InstallPages.isPath(pathOf(request)))
      return installPages.answer(request, response, deviceAddress(request, trustedHops));
    const { status, body } = await answerPlain(siteMap, request);
    response.writeHead(status, {
      'content-type': 'application/json',
      'access-control-allow-origin': '*',
      'cache-control': 'no-store',
    });
    response.end(body);
  });
  const server = listenerOf(options, plain);
  server.maxConnections = options.maxSockets;
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.requestTimeout = HEADERS_TIMEOUT_MS;
  server.on('clientError', (_error, socket) => socket.destroy());
  const places = new Map<string, SocketPlace>();
  server.on('connection', (socket: Socket) => {
    // Behind a load balancer the address is known with the request only.
    const place = admission.enter(trustedHops === 0 ? addressOfPeer(socket) : undefined, () => socket.destroy());
    const key = keyOf(socket);
    places.set(key, place);
    socket.once('close', () => {
      place.leave();
      places.delete(key);
    });
  });
  server.on('upgrade', (request, socket: Socket, head) => {
    const guard = guardWith((error) => {
      log.error({ err: error }, 'a socket could not be opened');
      socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    guard(() => openSocket(options, { request, socket, head, place: places.get(keyOf(socket)) }))();
  });
  return server;
}

/** A connection's name while it lives. */
function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function openSocket(
  options: DeviceListenerOptions,
  upgrade: { request: IncomingMessage; socket: Socket; head: Buffer; place: SocketPlace | undefined },
): void {
  const { request, socket, head, place } = upgrade;
  const refusal = upgradeRefusal(request);
  if (refusal) return refuse(socket, refusal);
  if (!place) return void socket.destroy();
  if (options.channels.stopping) return refuse(socket, '503 Service Unavailable', 'this Proxy is about to stop\n');
  const address = deviceAddress(request, options.trustedHops);
  if (options.trustedHops > 0) place.belongsTo(address);
  socket.write(upgradeAnswer(request));
  // Bytes that came behind the handshake are read as if they came now.
  if (head.length > 0) socket.unshift(head);
  new DeviceSocket(options, { socket, address, place });
}

function listenerOf({ tls }: DeviceListenerOptions, listener: RequestListener): Server {
  const limits = {
    maxHeaderSize: 8_192,
    connectionsCheckingInterval: CHECK_MS,
    // Whoever offers something else is answered as if they had not (RFC 9110, section 7.8).
    shouldUpgradeCallback: ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === 'websocket',
  };
  if (!tls) return createServer(limits, listener);
  const secure = {
    ...tlsOptionsOf('public'),
    cert: tls.certificate,
    key: tls.key,
    handshakeTimeout: TLS_HANDSHAKE_MS,
  };
  return createTlsServer({ ...limits, ...secure }, listener) as Server;
}

/** New connections get another certificate; those that stand go on. The listener was made with one. */
export function useCertificate(server: Server, { certificate: cert, key }: { certificate: string; key: string }): void {
  (server as TlsServer).setSecureContext({ ...tlsOptionsOf('public'), cert, key });
}

async function answerPlain(
  siteMap: Pick<SiteMapCache, 'get'>,
  request: IncomingMessage,
): Promise<{ status: number; body: string }> {
  if (pathOf(request) !== `${ENDPOINT_PATH}/site-map`) return { status: 404, body: '{"code":"ERR_HTTP_NOT_FOUND"}' };
  if (request.method !== 'GET') return { status: 405, body: '{"code":"ERR_HTTP_METHOD"}' };
  try {
    return { status: 200, body: JSON.stringify(await siteMap.get()) };
  } catch {
    return { status: 503, body: '{"code":"UNAVAILABLE"}' };
  }
}

function refuse(socket: Socket, status: string, text = ''): void {
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
}

/** What stands in the place of an address that nobody knows: it satisfies no rule about networks, and is one `for` of RFC 7239. */
const UNKNOWN = 'unknown';

function addressOfPeer({ remoteAddress }: Socket): string {
  return parseAddress(remoteAddress ?? '') ?? UNKNOWN;
}

/**
 * The device's address: what the outermost trusted load balancer saw. Where that says none, the device is nowhere that is known: it is not
 * where the balancer is.
 */
export function deviceAddress(request: IncomingMessage, trustedHops: number): string {
  if (trustedHops === 0) return addressOfPeer(request.socket);
  const hops = String(request.headers['x-forwarded-for'] ?? '').split(',');
  return parseHop(hops[hops.length - trustedHops] ?? '') ?? UNKNOWN;
}

/** Some load balancers write a port behind the address. */
function parseHop(hop: string): string | undefined {
  const text = hop.trim();
  return parseAddress(text) ?? parseAddress(text.replace(/^(\[.*\]|[0-9.]+):\d{1,5}$/, '$1'));
}

/** Health on a listener of its own, from the beginning of a start on. Ready means: it has joined, the lease lives and we do not drain. */
export function createHealthService(log: Log, ready: () => boolean): FastifyInstance {
  const service = createService({ log, ready });
  addHealthRoutes(service, { ready });
  return service;
}
