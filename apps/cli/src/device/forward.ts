import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Field } from '@sallyport/channel';
import { type Device, DeviceError, type DeviceWebSocket } from '@sallyport/device';
import { type WebSocket, WebSocketServer } from 'ws';

/** Fields between the local client and this proxy; they go no further (RFC 9110, section 7.6.1). */
const HOP_FIELDS = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
  'host',
]);
const WS_MESSAGE_BYTES = 1024 * 1024;
const STATUS: Readonly<Record<string, number>> = {
  RESOURCE_UNKNOWN: 404,
  REQUEST_REFUSED: 403,
  BAD_REQUEST: 400,
  CONTEXT_DENIED: 403,
  BACKEND_TIMEOUT: 504,
  SIGNED_OUT: 401,
  REVOKED: 401,
};

/**
 * A local HTTP forward proxy: any client on this machine can go through the gateway. Absolute-form requests and
 * WebSockets go to HTTP resources, CONNECT to TCP resources or, on port 80, to HTTP ones.
 */
export function createForwardProxy(device: Device): Server {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: WS_MESSAGE_BYTES, perMessageDeflate: false });
  const upgrade =
    (authorityOf: (request: IncomingMessage) => string | undefined) =>
    (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => socket.destroy());
      const authority = authorityOf(request);
      if (authority === undefined) return refuse(socket as Socket, '400 Bad Request', 'expected an absolute URL');
      openWebSocket(device, sockets, { request, socket, head, authority });
    };
  // Requests inside of a CONNECT to port 80 arrive here with a plain path.
  const inner = createServer(
    { requestTimeout: 0 },
    (request, response) => void relay(device, request, response, hostOf(request)),
  );
  inner.on('upgrade', upgrade(hostOf));
  const server = createServer(
    { requestTimeout: 0 },
    (request, response) => void relay(device, request, response, absoluteHost(request)),
  );
  server.on('upgrade', upgrade(absoluteHost));
  server.on('connect', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    void tunnel(device, inner, { authority: request.url ?? '', socket, head });
  });
  return server;
}

function absoluteHost(request: IncomingMessage): string | undefined {
  const url = request.url ?? '';
  return /^(?:http|ws):\/\//.test(url) ? new URL(url).host : undefined;
}

function hostOf(request: IncomingMessage): string | undefined {
  return request.headers.host?.toLowerCase().replace(/:80$/, '');
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').replace(/^(?:http|ws):\/\/[^/?]*/, '') || '/';
}

function fieldsOf({ rawHeaders }: IncomingMessage): Field[] {
  const fields: Field[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) fields.push([rawHeaders[i]!.toLowerCase(), rawHeaders[i + 1]!]);
  const named = fields
    .filter(([name]) => name === 'connection')
    .flatMap(([, value]) => value.toLowerCase().split(/\s*,\s*/));
  return fields.filter(([name]) => !HOP_FIELDS.has(name) && !named.includes(name));
}

async function relay(
  device: Device,
  request: IncomingMessage,
  response: ServerResponse,
  authority: string | undefined,
): Promise<void> {
  if (authority === undefined)
    return answerError(response, 400, 'this is a forward proxy: ask for a whole URL, for instance with curl -x');
  const abort = new AbortController();
  response.on('close', () => abort.abort());
  const hasBody =
    request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
  const head = {
    method: request.method ?? 'GET',
    scheme: 'http',
    authority,
    path: pathOf(request),
    fields: fieldsOf(request),
  };
  try {
    const answer = await device.request(
      head,
      hasBody ? (request as AsyncIterable<Uint8Array>) : undefined,
      abort.signal,
    );
    response.writeHead(answer.status, answer.fields.flat());
    response.flushHeaders();
    await pipeline(Readable.fromWeb(answer.body as Parameters<typeof Readable.fromWeb>[0]), response);
  } catch (error) {
    // A cut after the head can only be shown by cutting this connection too.
    if (response.headersSent) response.destroy();
    else answerDeviceError(response, error);
  }
}

function answerDeviceError(response: ServerResponse, error: unknown): void {
  if (!(error instanceof DeviceError)) return answerError(response, 502, 'the request failed');
  response.setHeader('sallyport-error', error.code);
  response.setHeader('sallyport-may-have-run', error.mayHaveRun ? 'yes' : 'no');
  answerError(response, STATUS[error.code] ?? 502, `${error.message} (${error.code})`);
}

function answerError(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(`sallyport: ${text}\n`);
}

async function tunnel(
  device: Device,
  inner: Server,
  to: { authority: string; socket: Socket; head: Buffer },
): Promise<void> {
  const { authority, socket, head } = to;
  const found = device.resources.find((resource) => resource.kind === 'tcp' && resource.authority === authority);
  if (!found && authority.endsWith(':80')) {
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    if (head.length > 0) socket.unshift(head);
    return void inner.emit('connection', socket);
  }
  if (!found)
    return refuse(
      socket,
      '403 Forbidden',
      `${authority} is no TCP resource of yours; HTTP resources are reached with http:// URLs`,
    );
  try {
    const { readable, writable } = await device.connect(authority);
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    if (head.length > 0) socket.unshift(head);
    const up = Readable.toWeb(socket).pipeTo(writable as WritableStream);
    const down = pipeline(Readable.fromWeb(readable as Parameters<typeof Readable.fromWeb>[0]), socket);
    await Promise.all([up, down]);
  } catch (error) {
    if (error instanceof DeviceError && socket.bytesWritten === 0) refuse(socket, '502 Bad Gateway', error.message);
    else socket.destroy();
  }
}

function refuse(socket: Socket, status: string, text: string): void {
  const body = `sallyport: ${text}\n`;
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

function openWebSocket(
  device: Device,
  sockets: WebSocketServer,
  from: { request: IncomingMessage; socket: Duplex; head: Buffer; authority: string },
): void {
  const protocols = (from.request.headers['sec-websocket-protocol'] ?? '').split(/\s*,\s*/).filter(Boolean);
  const remote = device.webSocket(`ws://${from.authority}${pathOf(from.request)}`, protocols);
  const early: unknown[] = [];
  remote.onmessage = ({ data }) => void early.push(data);
  remote.onerror = () => refuse(from.socket as Socket, '502 Bad Gateway', 'the WebSocket was refused');
  remote.onopen = () => {
    remote.onerror = null;
    sockets.handleUpgrade(from.request, from.socket, from.head, (local) => join(local, remote, early));
  };
}

function join(local: WebSocket, remote: DeviceWebSocket, early: readonly unknown[]): void {
  const toLocal = (data: unknown): void =>
    local.send(typeof data === 'string' ? data : Buffer.from(data as ArrayBuffer));
  for (const data of early) toLocal(data);
  remote.onmessage = ({ data }) => toLocal(data);
  remote.onclose = ({ code }) => local.close(code >= 3000 ? code : 1000);
  local.on('message', (data, isBinary) => {
    if (remote.readyState === 1) remote.send(isBinary ? (data as Buffer) : String(data));
  });
  local.on('error', () => local.terminate());
  local.on('close', () => remote.close());
}
