import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { WIDEST_HEAD } from '@sallyport/channel';
import type { Device } from '@sallyport/device';
import type { ForwardRefusal } from './access.ts';
import { answer, refuse } from './answers.ts';
import { AnyMethod } from './any-method.ts';
import { endWithClient } from './half-open.ts';
import { LocalPeers } from './local-user.ts';
import { type Answer, plainAnswer } from './refusal.ts';
import { relay } from './relay.ts';
import type { RequestTarget } from './target.ts';
import { forwardWebSocket } from './web-socket.ts';

/** Heads of requests of local programs, bytes. */
const MAX_HEAD_BYTES = WIDEST_HEAD.sectionBytes + 2 * WIDEST_HEAD.pathBytes;

/** How one server of the forward proxy reads its requests. */
export interface Reading {
  /** Why a request may not pass. */
  refusal(request: IncomingMessage): Promise<ForwardRefusal | undefined>;
  /** Where it goes, or what to answer instead. */
  target(request: IncomingMessage): RequestTarget | Answer;
  /** Answers what the forward proxy itself is asked for; false when that is nothing of its own. */
  own?(request: IncomingMessage, response: ServerResponse): Promise<boolean>;
}

/** How long a connection of a local client stays without a request, ms. */
const KEEP_MS = 75_000;

/** A server of HTTP/1.1 whose requests and WebSockets go through the gateway. Whatever a client sends, it ends at most its own connection. */
export function createHttpServer(device: Device, reading: Reading): Server {
  const server = createServer(
    {
      requestTimeout: 0,
      // A connection that a browser keeps costs it a tunnel and a handshake to make anew.
      keepAliveTimeout: KEEP_MS,
      // More than any resource takes: what is too much there is said by name.
      maxHeaderSize: MAX_HEAD_BYTES,
      // An offer of anything else, like h2c, is no reason to refuse a request (RFC 9110, section 7.8).
      shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === 'websocket',
    },
    (request, response) => {
      const method = methods.takeMethod(request);
      // Of a second request on it the method would not be known.
      if (method !== undefined) response.shouldKeepAlive = false;
      guarded(request.socket, async () => {
        if (await reading.own?.(request, response)) return;
        const target = await targetOf(reading, request);
        if ('status' in target) return answer(request, response, target);
        const done = endWithClient(request.socket, (socket) => peers.of(socket));
        response.on('close', done);
        await relay(device, { request, response, target, method });
      });
    },
  );
  // A client may shut its sending side behind a request and wait for the answer (RFC 9293, section 3.6).
  (server as Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true;
  const methods = new AnyMethod(server);
  const peers = new LocalPeers();
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => refuse(socket, unreadable(error.code)));
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    guarded(socket, async () => {
      const target = await targetOf(reading, request);
      if ('status' in target) return refuse(socket, target);
      const failed = await forwardWebSocket(device, { request, socket, head, target });
      if (failed) refuse(socket, failed);
    });
  });
  return server;
}

/** What is said of a request that cannot even be read. */
function unreadable(code: string | undefined): Answer {
  if (code === 'HPE_HEADER_OVERFLOW')
    return plainAnswer(
      431,
      `path and header fields are longer than ${MAX_HEAD_BYTES} bytes, and no resource takes that`,
    );
  if (code === 'HPE_INVALID_URL')
    return plainAnswer(400, 'the URL holds a byte that is no printable ASCII: it must be percent-encoded');
  if (code === 'HPE_INVALID_METHOD') return plainAnswer(501, 'this method works only as the first one of a connection');
  return plainAnswer(400, `the request cannot be read (${code ?? 'no reason is known'})`);
}

async function targetOf(reading: Reading, request: IncomingMessage): Promise<RequestTarget | Answer> {
  const refused = await reading.refusal(request);
  return refused ? plainAnswer(refused.status, refused.text) : reading.target(request);
}

/** Runs what a client has caused. If it fails, that client's connection ends, and nothing else. */
export function guarded(socket: Duplex, work: () => Promise<void> | void): void {
  Promise.resolve()
    .then(work)
    .catch(() => socket.destroy());
}
