import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { type CryptoProvider, ENDPOINT_PATH } from '@sallyport/channel';
import { addHealthRoutes, createService } from '@sallyport/http-service';
import type { Metrics } from '@sallyport/telemetry';
import type { FastifyInstance } from 'fastify';
import { DeviceSocket } from './device-socket.ts';
import type { Farm } from './farm.ts';
import { upgradeAnswer, upgradeRefusal } from './upgrade.ts';

/** How the listener for devices is set up. */
export interface DeviceListenerOptions {
  readonly farm: Farm;
  readonly crypto: CryptoProvider;
  readonly trustedHops: number;
  readonly maxSockets: number;
  /** PEM files; absent when a load balancer in front ends TLS. The channel is encrypted end to end in any case. */
  readonly tls?: { readonly certificateFile: string; readonly keyFile: string };
}

const HEADERS_TIMEOUT_MS = 5_000;
/** How often connections that say nothing are looked for, ms. */
const CHECK_MS = 1_000;

/** The listener for devices: one WebSocket endpoint and the signed site map, nothing else. */
export function createDeviceListener(options: DeviceListenerOptions): Server {
  const server = listenerOf(options, (request, response) => {
    void answerPlain(options.farm, request.url ?? '').then(({ status, body }) => {
      response.writeHead(status, {
        'content-type': 'application/json',
        'access-control-allow-origin': '*',
        'cache-control': 'no-store',
      });
      response.end(body);
    });
  });
  server.maxConnections = options.maxSockets;
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.requestTimeout = HEADERS_TIMEOUT_MS;
  server.on('clientError', (_error, socket) => socket.destroy());
  let open = 0;
  server.on('upgrade', (request, socket: Socket, head) => {
    socket.on('error', () => socket.destroy());
    const busy = options.farm.draining || open >= options.maxSockets ? '503 Service Unavailable' : undefined;
    const refusal = upgradeRefusal(request) ?? busy;
    if (refusal) return refuse(socket, refusal);
    open += 1;
    socket.once('close', () => {
      open -= 1;
    });
    socket.write(upgradeAnswer(request));
    // Bytes that came behind the handshake are read as if they came now.
    if (head.length > 0) socket.unshift(head);
    new DeviceSocket(options, { socket, address: addressOf(request, options.trustedHops) });
  });
  return server;
}

function listenerOf({ tls }: DeviceListenerOptions, listener: RequestListener): Server {
  const limits = { maxHeaderSize: 8_192, connectionsCheckingInterval: CHECK_MS };
  if (!tls) return createServer(limits, listener);
  const files = { cert: readFileSync(tls.certificateFile), key: readFileSync(tls.keyFile) };
  return createTlsServer({ ...limits, ...files, minVersion: 'TLSv1.2' }, listener) as unknown as Server;
}

async function answerPlain(farm: Farm, url: string): Promise<{ status: number; body: string }> {
  if (!url.startsWith(`${ENDPOINT_PATH}/site-map`)) return { status: 404, body: '{"code":"ERR_HTTP_NOT_FOUND"}' };
  try {
    return { status: 200, body: JSON.stringify(await farm.siteMap()) };
  } catch {
    return { status: 503, body: '{"code":"UNAVAILABLE"}' };
  }
}

function refuse(socket: Socket, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
}

/** The device's address: what the outermost trusted load balancer saw, else the socket's peer. */
export function addressOf(request: IncomingMessage, trustedHops: number): string {
  const peer = request.socket.remoteAddress ?? 'unknown';
  if (trustedHops === 0) return peer;
  const header = request.headers['x-forwarded-for'];
  const hops = String(header ?? '')
    .split(',')
    .map((hop) => hop.trim())
    .filter(Boolean);
  return hops[hops.length - trustedHops] ?? peer;
}

/** Health and metrics on a listener of their own. Ready means: the lease lives and we do not drain. */
export function createHealthService(farm: Farm, metrics: Metrics): FastifyInstance {
  const options = { log: farm.log, metrics, ready: () => farm.mayServe() && !farm.draining };
  const service = createService(options);
  addHealthRoutes(service, options);
  return service;
}
