import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { guardWith, type Log } from '@sallyport/telemetry';

/** Answers one request. It may throw: then the request is answered with 500, or its connection ends. */
export type PlainListener = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

const HEADERS_TIMEOUT_MS = 5_000;
const CHECK_MS = 1_000;

/** A listener that no request can make throw; `listener` fails for its own request only, with a line in the log. */
export function guardedListener(log: Log, listener: PlainListener): (...of: Parameters<PlainListener>) => void {
  return (request, response) => {
    const failed = (error: unknown): void => {
      log.error({ err: error, method: request.method }, 'a request failed');
      fail(response);
    };
    response.on('error', () => response.destroy());
    guardWith(failed)(() => void Promise.resolve(listener(request, response)).catch(failed))();
  };
}

/** A small server without routes of its own: what is malformed is answered with 400, and nothing ends the process. */
export function createPlainServer(log: Log, listener: PlainListener, options: ServerOptions = {}): Server {
  const limits = { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: CHECK_MS };
  const server = createServer({ ...limits, ...options }, guardedListener(log, listener));
  server.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    else socket.destroy();
  });
  return server;
}

/** Path of a request as it was written, without query; undefined for what is no path. */
export function pathOf(request: Pick<IncomingMessage, 'url'>): string | undefined {
  const { url = '' } = request;
  if (!url.startsWith('/') || url.startsWith('//')) return undefined;
  return URL.parse(url, 'http://plain')?.pathname;
}

function fail(response: ServerResponse): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(500, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
  response.end('something went wrong on our side\n');
}
