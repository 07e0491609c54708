import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Device } from '@sallyport/device';
import { forwardAccess, type LocalAccess } from './access.ts';
import { refuse } from './answers.ts';
import { Crossing } from './crossing.ts';
import { createHttpServer, guarded } from './http-server.ts';
import { plainAnswer } from './refusal.ts';
import { deadline } from './socket-reader.ts';
import { MAX_LOCAL_CONNECTIONS } from './socks-server.ts';
import { absoluteTarget } from './target.ts';
import type { HostProofs } from './tunnelled-http.ts';
import { readDestination } from './way.ts';

/** What a forward proxy is made of. */
export interface ForwardOptions {
  readonly access?: LocalAccess;
  /** Where tunnels lead; unless given, https to HTTP resources is closed. */
  readonly crossing?: Crossing;
  /** Answers requests to the forward proxy itself, in origin form. */
  readonly own?: (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;
}

/** Connections of other users at once, and how long each may take, ms. */
const STRANGERS_AT_ONCE = 16;
const STRANGER_MS = 5_000;
const NO_TARGET = 'this is a forward proxy: ask for a whole URL, for instance with curl -x';

/**
 * A local HTTP forward proxy: any client of this user can go through the gateway. Absolute-form requests and
 * WebSockets go to HTTP resources, CONNECT to TCP resources or to HTTP ones, also by TLS. Whatever a client sends, it ends at most
 * its own connection.
 */
export function createForwardProxy(device: Device, options: ForwardOptions = {}): Server {
  const { access = forwardAccess(undefined), crossing = new Crossing(device, NO_PROOFS), own } = options;
  const server = createHttpServer(device, {
    refusal: (request) => access.ofRequest(request),
    target: (request) => absoluteTarget(request) ?? plainAnswer(400, NO_TARGET),
    ...(own && { own }),
  });
  server.maxConnections = MAX_LOCAL_CONNECTIONS;
  if (!access.byPassword) server.on('connection', strangersFew(access));
  server.on('connect', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    guarded(socket, async () => {
      const refused = await access.ofRequest(request);
      if (refused) return refuse(socket, plainAnswer(refused.status, refused.text));
      await connectTo(crossing, { target: request.url ?? '', socket, head });
    });
  });
  return server;
}

/** Other users of this machine take no places of this one: a few at once are told why, when they ask soon. */
function strangersFew(access: LocalAccess): (socket: Socket) => void {
  let strangers = 0;
  const judge = async (socket: Socket): Promise<void> => {
    if (!(await access.ofSocket(socket)) || socket.destroyed) return;
    if (strangers >= STRANGERS_AT_ONCE) return void socket.destroy();
    strangers += 1;
    socket.once('close', () => {
      strangers -= 1;
    });
    deadline(socket, STRANGER_MS);
  };
  return (socket) => guarded(socket, () => judge(socket));
}

const NO_PROOFS: HostProofs = { proofFor: async () => undefined };

async function connectTo(
  crossing: Crossing,
  { target, socket, head }: { readonly target: string; readonly socket: Socket; readonly head: Buffer },
): Promise<void> {
  const destination = readDestination(target);
  if (!destination) return refuse(socket, plainAnswer(403, `${printableTarget(target)} is no host with a port`));
  const found = await crossing.find(destination);
  if (typeof found !== 'function') return refuse(socket, found);
  socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
  if (head.length > 0) socket.unshift(head);
  await found(socket);
}

/** A target that a client sent, as it may stand in an answer to it. */
function printableTarget(authority: string): string {
  return /^[\x21-\x7e]{1,256}$/.test(authority) ? authority : 'this';
}
