import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Device } from '@sallyport/device';
import { forwardAccess, type Refusal } from './access.ts';
import { type Answer, answerOf, plainAnswer } from './refusal.ts';
import { absoluteTarget, answeredFields, forwardedFields, hasContent, originTarget, type Target } from './target.ts';
import { carryDown, tunnel } from './tunnel.ts';
import { forwardWebSocket } from './web-socket.ts';

/** Who may use the proxy; gives why not. */
export type Access = (request: IncomingMessage) => Refusal | undefined;

const NO_TARGET = 'this is a forward proxy: ask for a whole URL, for instance with curl -x';

/**
 * A local HTTP forward proxy: any client of this user can go through the gateway. Absolute-form requests and
 * WebSockets go to HTTP resources, CONNECT to TCP resources or, on port 80, to HTTP ones. Whatever a client sends, it ends at most
 * its own connection.
 */
export function createForwardProxy(device: Device, access: Access = forwardAccess(undefined)): Server {
  // Requests inside of a CONNECT to port 80 arrive here with a plain path; who opened the tunnel was let in.
  const inner = serverOf(device, originTarget, () => undefined);
  const server = serverOf(device, absoluteTarget, access);
  server.on('connect', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    guarded(socket, async () => {
      const refused = access(request);
      if (refused) return refuse(socket, plainAnswer(refused.status, refused.text));
      await connectTo(device, inner, { authority: request.url ?? '', socket, head });
    });
  });
  return server;
}

function serverOf(device: Device, targetOf: (request: IncomingMessage) => Target | undefined, access: Access): Server {
  const server = createServer(
    {
      requestTimeout: 0,
      // An offer of anything else, like h2c, is no reason to refuse a request (RFC 9110, section 7.8).
      shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === 'websocket',
    },
    (request, response) => {
      guarded(request.socket, async () => {
        const refused = access(request);
        if (refused) return answer(response, plainAnswer(refused.status, refused.text));
        await relay(device, { request, response, target: targetOf(request) });
      });
    },
  );
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    guarded(socket, async () => {
      const refused = access(request);
      if (refused) return refuse(socket, plainAnswer(refused.status, refused.text));
      const target = targetOf(request);
      if (!target) return refuse(socket, plainAnswer(400, NO_TARGET));
      const failed = await forwardWebSocket(device, { request, socket, head, target });
      if (failed) refuse(socket, failed);
    });
  });
  return server;
}

/** Runs what a client has caused. If it fails, that client's connection ends, and nothing else. */
function guarded(socket: Duplex, work: () => Promise<void> | void): void {
  Promise.resolve()
    .then(work)
    .catch(() => socket.destroy());
}

async function relay(
  device: Device,
  call: { readonly request: IncomingMessage; readonly response: ServerResponse; readonly target: Target | undefined },
): Promise<void> {
  const { request, response, target } = call;
  if (!target) return answer(response, plainAnswer(400, NO_TARGET));
  const abort = new AbortController();
  response.on('error', () => response.destroy());
  response.on('close', () => abort.abort());
  const head = { method: request.method ?? 'GET', scheme: 'http', ...target, fields: forwardedFields(request) };
  const body = hasContent(request) ? (request as AsyncIterable<Uint8Array>) : undefined;
  try {
    const got = await device.request(head, body, abort.signal);
    response.writeHead(got.status, answeredFields(got.fields));
    response.flushHeaders();
    await carryDown(got.body, response);
  } catch (error) {
    if (!response.headersSent) return answer(response, answerOf(device, error));
    // A cut after the head can only be shown by cutting this connection too, and never by an end that looks like a good one.
    response.socket?.resetAndDestroy();
    response.destroy();
  }
}

function answer(response: ServerResponse, { status, fields, text }: Answer): void {
  response.writeHead(status, { ...fields, 'content-type': 'text/plain; charset=utf-8' });
  response.end(`sallyport: ${text}\n`);
}

/** Answers on a socket that no response belongs to, and closes it. */
function refuse(socket: Duplex, { status, fields, text }: Answer): void {
  if (!socket.writable) return void socket.destroy();
  const body = `sallyport: ${text}\n`;
  const lines = Object.entries({
    ...fields,
    connection: 'close',
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Refused'}\r\n${lines.join('')}\r\n${body}`);
}

async function connectTo(
  device: Device,
  inner: Server,
  to: { readonly authority: string; readonly socket: Socket; readonly head: Buffer },
): Promise<void> {
  const { authority, socket, head } = to;
  try {
    // What the user may reach is known once a channel stands.
    await device.resume();
    const found = device.resources.some((resource) => resource.kind === 'tcp' && resource.authority === authority);
    if (found) return await tunnel(await device.connect(authority), { socket, head });
  } catch (error) {
    return refuse(socket, answerOf(device, error));
  }
  if (!authority.endsWith(':80'))
    return refuse(
      socket,
      plainAnswer(
        403,
        `${printableTarget(authority)} is no TCP resource of yours; HTTP resources are reached with http:// URLs`,
      ),
    );
  socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
  if (head.length > 0) socket.unshift(head);
  inner.emit('connection', socket);
}

/** A target that a client sent, as it may stand in an answer to it. */
function printableTarget(authority: string): string {
  return /^[\x21-\x7e]{1,256}$/.test(authority) ? authority : 'this';
}
