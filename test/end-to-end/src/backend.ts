import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { WebSocketServer } from 'ws';

/** A real HTTP backend for tests; counts what really arrived. */
export interface Backend {
  readonly url: string;
  readonly requests: string[];
  /** Times each value of the header `x-id` arrived. */
  readonly seen: Map<string, number>;
  /** Who listens to `/events` now. */
  readonly listeners: ReadonlySet<ServerResponse>;
  /** Sends an event to all of them; without one it ends their streams. */
  sendEvent(data?: string): void;
  close(): Promise<void>;
}

/** Starts the backend: `/echo`, `/big/<bytes>`, `/upload`, `/slow/<ms>`, `/events`, `/headers`, `/ws`. */
export async function startBackend(): Promise<Backend> {
  const requests: string[] = [];
  const seen = new Map<string, number>();
  const listeners = new Set<ServerResponse>();
  const server = createHttpServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    const id = request.headers['x-id'];
    if (typeof id === 'string') seen.set(id, (seen.get(id) ?? 0) + 1);
    if (request.url === '/events') listen(response, listeners);
    else answer(request, response);
  });
  // `/ws?signed-in` is for who has the cookie.
  const sockets = new WebSocketServer({
    server,
    path: '/ws',
    maxPayload: 0,
    verifyClient: ({ req }, done) => {
      const welcome = !req.url!.endsWith('?signed-in') || req.headers.cookie === 'sid=abc';
      if (welcome) done(true);
      else done(false, 401, 'sign in first', { 'www-authenticate': 'Cookie' });
    },
  });
  sockets.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    seen,
    listeners,
    sendEvent: (data) => {
      for (const listener of listeners) {
        if (data === undefined) listener.end();
        else listener.write(`data: ${data}\n\n`);
      }
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        for (const socket of sockets.clients) socket.terminate();
        server.close(() => resolve());
      }),
  };
}

function listen(response: ServerResponse, listeners: Set<ServerResponse>): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
  listeners.add(response);
  response.once('close', () => listeners.delete(response));
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const url = request.url ?? '';
  const [, kind, argument] = url.split('/');
  if (kind === 'big') return sendBytes(response, Number(argument));
  if (kind === 'upload') return countUpload(request, response);
  if (kind === 'slow') return void setTimeout(() => response.end('slow'), Number(argument));
  if (kind === 'headers') return void response.end(JSON.stringify(request.headers));
  if (kind === 'status') return void response.writeHead(Number(argument)).end();
  if (kind === 'drop') return void request.socket.destroy();
  request.pipe(response);
}

/** Byte `i` of a test body. */
export function patternByte(i: number): number {
  return (i * 31 + (i >> 8)) & 0xff;
}

const PATTERN = Buffer.from(Uint8Array.from({ length: 1 << 16 }, (_, i) => patternByte(i)));

function sendBytes(response: ServerResponse, bytes: number): void {
  response.writeHead(200, { 'content-length': bytes });
  let left = bytes;
  const more = (): void => {
    while (left > 0) {
      const part = PATTERN.subarray(0, Math.min(left, PATTERN.length));
      left -= part.length;
      if (!response.write(part)) return void response.once('drain', more);
    }
    response.end();
  };
  more();
}

function countUpload(request: IncomingMessage, response: ServerResponse): void {
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  request.on('end', () => response.end(JSON.stringify({ bytes })));
}

/** A TCP server that gives every byte back. */
export async function startTcpEcho(): Promise<{ url: string; close(): void }> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => void server.close() };
}
