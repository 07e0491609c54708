import type { Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { entriesAfter, findProxy, recordBeat } from '@sallyport/access';
import { Beat, type BeatAnswer, PROXY_PATHS, type Push, parseJson, parserOf } from '@sallyport/security-api';
import { type WebSocket, WebSocketServer } from 'ws';
import type { ProxyIdentity } from './proxy-identity.ts';
import type { RealmContext } from './realm-context.ts';

const parseBeat = parserOf(Beat);
const MAX_MESSAGE_BYTES = 16 * 1024;
/** A Proxy beats every second; one that is silent this long is cut off and reconnects, ms. */
const SILENCE_MS = 10_000;

/**
 * Control connections: beats in, leases and pushes out (architecture, "Revocation is bounded").
 * Attaches to the server's upgrades; gives a function that ends all connections.
 */
export function attachControl(server: Server, context: RealmContext, identify: ProxyIdentity): () => void {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES, perMessageDeflate: false });
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    void admit(identify, request.url ?? '', socket as TLSSocket).then((proxy) => {
      if (!proxy) return socket.end('HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n');
      sockets.handleUpgrade(request, socket, head, (webSocket) => serve(context, proxy, webSocket));
    });
  });
  return () => {
    for (const socket of sockets.clients) socket.close(1012, 'restart');
  };
}

async function admit(identify: ProxyIdentity, url: string, socket: TLSSocket): Promise<string | undefined> {
  if (url !== PROXY_PATHS.control) return undefined;
  return (await identify(socket).catch(() => undefined))?.name;
}

function serve(context: RealmContext, proxy: string, socket: WebSocket): void {
  context.log.info({ proxy }, 'a Proxy connected');
  let applied = 0;
  let timer = setTimeout(() => socket.terminate(), SILENCE_MS);
  const unsubscribe = context.pushes.subscribe(() => void push(context, socket, () => applied));
  socket.on('error', () => socket.terminate());
  socket.on('close', () => {
    clearTimeout(timer);
    unsubscribe();
    context.log.info({ proxy }, 'a Proxy disconnected');
  });
  socket.on('message', (data) => {
    clearTimeout(timer);
    timer = setTimeout(() => socket.terminate(), SILENCE_MS);
    const beat = parseBeat(parseJson(String(data)));
    if (!beat) return socket.close(1002, 'not a beat');
    applied = Math.max(applied, beat.applied);
    void stillKnown(context, proxy).then((known) =>
      known ? answer(context, proxy, beat, socket) : socket.close(1008, 'revoked'),
    );
  });
}

/** A Proxy that was revoked gets no lease any more. A database that does not answer is not a revocation. */
async function stillKnown({ access }: RealmContext, proxy: string): Promise<boolean> {
  return findProxy(access, proxy).then(
    (row) => row !== undefined,
    () => true,
  );
}

async function answer(context: RealmContext, proxy: string, beat: Beat, socket: WebSocket): Promise<void> {
  const { access, leaseMs, pushes } = context;
  try {
    const { applied, channels, fresh } = beat;
    const { head, entries } = await recordBeat(access, { proxy, applied, channels, leaseMs, fresh });
    const message: BeatAnswer = { type: 'lease', id: beat.id, head, entries: [...entries], leaseMs };
    socket.send(JSON.stringify(message));
    // Whoever waits for a revocation to be in force looks again.
    pushes.wakeWaiters();
  } catch (error) {
    // No answer, no lease: the Proxy goes on until its old one ends, then it stops serving.
    context.log.warn({ err: error, proxy }, 'a beat could not be recorded');
  }
}

async function push(context: RealmContext, socket: WebSocket, applied: () => number): Promise<void> {
  try {
    const entries = await context.access.store.transaction((transaction) => entriesAfter(transaction, applied()));
    const message: Push = { type: 'push', entries };
    if (entries.length > 0 && socket.readyState === socket.OPEN) socket.send(JSON.stringify(message));
  } catch (error) {
    context.log.warn({ err: error }, 'a push was left to the next beat');
  }
}
