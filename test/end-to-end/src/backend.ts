import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { WebSocketServer } from 'ws';

/** A real HTTP backend for tests; counts what really arrived. */
export interface Backend {
  readonly url: string;
  readonly requests: string[];
  /** Times each value of the header `x-id` arrived. */
  readonly seen: Map<string, number>;
  close(): Promise<void>;
}

/** Starts the backend: `/echo`, `/big/<bytes>`, `/upload`, `/slow/<ms>`, `/events`, `/headers`, `/ws`. */
export async function startBackend(): Promise<Backend> {
  const requests: string[] = [];
  const seen = new Map<string, number>();
  const server = createHttpServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    const id = request.headers['x-id'];
    if (typeof id === 'string') seen.set(id, (seen.get(id) ?? 0) + 1);
    answer(request, response);
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
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        for (const socket of sockets.clients) socket.terminate();
        server.close(() => resolve());
      }),
  };
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const url = request.url ?? '';
  const [, kind, argument] = url.split('/');
  if (kind === 'big') return sendBytes(response, Number(argument));
  if (kind === 'upload') return countUpload(request, response);
  if (kind === 'slow') return void setTimeout(() => response.end('slow'), Number(argument));
  if (kind === 'events') return sendEvents(response);
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

function sendEvents(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  let count = 0;
  const timer = setInterval(() => {
    count += 1;
    response.write(`data: ${count}\n\n`);
    if (count === 5) {
      clearInterval(timer);
      response.end();
    }
  }, 100);
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
