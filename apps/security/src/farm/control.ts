import type { Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { entriesAfter, type ProxyKey, recordBeat, type StoreError } from '@sallyport/access';
import type { LogPosition } from '@sallyport/lease';
import { Beat, PROXY_PATHS, type Push, parseJson, parserOf, TriedBackend } from '@sallyport/security-api';
import { guardWith } from '@sallyport/telemetry';
import { type WebSocket, WebSocketServer } from 'ws';
import type { RealmContext } from '../realm-context.ts';
import type { ProxyIdentity } from './proxy-identity.ts';
import type { ProxyLink } from './proxy-links.ts';

const parseBeat = parserOf(Beat);
const parseTried = parserOf(TriedBackend);
const MAX_MESSAGE_BYTES = 16 * 1024;
/** A Proxy beats every second; one that is silent this long is cut off and reconnects, ms. */
const SILENCE_MS = 10_000;

/**
 * Control connections: beats in, leases and pushes out (architecture, "Revocation is bounded").
 * Attaches to the server's upgrades; gives a function that ends all connections and takes no new ones.
 */
export function attachControl(server: Server, context: RealmContext, identify: ProxyIdentity): () => void {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES, perMessageDeflate: false });
  let ended = false;
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    admit(identify, request.url ?? '', socket as TLSSocket)
      .then((proxy) => {
        if (ended) return socket.end('HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n');
        if (!proxy) return socket.end('HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n');
        sockets.handleUpgrade(request, socket, head, (webSocket) => serve(context, proxy, webSocket));
      })
      .catch((error: unknown) => {
        context.log.error({ err: error }, 'a control connection could not be made');
        socket.destroy();
      });
  });
  return () => {
    ended = true;
    for (const socket of sockets.clients) socket.close(1012, 'restart');
  };
}

async function admit(identify: ProxyIdentity, url: string, socket: TLSSocket): Promise<ProxyKey | undefined> {
  return url === PROXY_PATHS.control ? identify(socket).catch(() => undefined) : undefined;
}

/** One control connection. `told` is the highest index that a recorded beat has called in force on it. */
interface Control {
  readonly context: RealmContext;
  readonly proxy: string;
  readonly keyHash: string;
  readonly socket: WebSocket;
  /** Where the Proxy stands by its last recorded beat; undefined while it follows no log. */
  seen: (LogPosition & { readonly epoch: string }) | undefined;
  told: number;
}

function serve(context: RealmContext, { name: proxy, keyHash }: ProxyKey, socket: WebSocket): void {
  context.log.info({ proxy }, 'a Proxy connected');
  const control: Control = { context, proxy, keyHash, socket, seen: undefined, told: -1 };
  let timer = setTimeout(() => socket.terminate(), SILENCE_MS);
  const link: ProxyLink = { proxy, send: (message) => send(socket, message) };
  context.proxies.add(link);
  const unsubscribe = context.bus.subscribe('entries', () => void push(control));
  const guard = guardWith((error) => {
    context.log.error({ err: error, proxy }, 'a control connection failed');
    socket.terminate();
  });
  const heard = guard((data: unknown) => {
    clearTimeout(timer);
    timer = setTimeout(() => socket.terminate(), SILENCE_MS);
    const json = parseJson(String(data));
    const tried = parseTried(json);
    if (tried) return context.proxies.tried(link, tried);
    const beat = parseBeat(json);
    // Also what a Proxy of an older version sends: it knows neither epochs nor instances, and gets no lease.
    if (!beat) return socket.close(1002, 'not a beat of this version');
    context.proxies.told(proxy, beat.troubles);
    void answer(control, beat);
  });
  socket.on('error', () => socket.terminate());
  socket.on('close', () => {
    clearTimeout(timer);
    unsubscribe();
    context.proxies.remove(link);
    context.log.info({ proxy }, 'a Proxy disconnected');
  });
  socket.on('message', heard);
}

async function answer(control: Control, beat: Beat): Promise<void> {
  const { context, proxy, keyHash, socket } = control;
  const { access, leaseMs, bus, node, log } = context;
  const { id, epoch, seen: index, hash, done } = beat;
  // Perhaps another database has taken the place of ours: only the journal knows.
  if (context.journal && !context.journal.mayLease) return;
  try {
    const recorded = await recordBeat(access, { proxy, keyHash, beat, leaseMs, node: node.id });
    // A Proxy that was revoked gets no lease any more.
    if (recorded.type === 'revoked') return socket.close(1008, 'revoked');
    if (recorded.type === 'anew') {
      control.seen = undefined;
      if (!recorded.supersedes) log.error({ proxy }, 'a Proxy follows the log of another database: there are two');
      return send(socket, { ...recorded, id });
    }
    control.seen = epoch === undefined ? undefined : { epoch, index, hash };
    send(socket, { ...recorded, id, entries: [...recorded.entries], nodes: node.proxyUrls });
    if (done <= control.told) return;
    control.told = done;
    // Whoever waits for a revocation to be in force looks again.
    bus.publish('applied');
  } catch (error) {
    if ((error as StoreError).code === 'ERR_STORE_FENCED') socket.close(1013, 'fenced');
    // No answer, no lease: the Proxy goes on until its old one ends, then it stops serving.
    log.warn({ err: error, proxy }, 'a beat could not be recorded');
  }
}

async function push({ context, socket, seen }: Control): Promise<void> {
  if (!seen) return;
  const { epoch, index: after, hash: afterHash } = seen;
  try {
    const entries = await context.access.store.transaction((transaction) => entriesAfter(transaction, after), {
      urgent: true,
    });
    const message: Push = { type: 'push', epoch, after, afterHash, entries };
    if (entries.length > 0) send(socket, message);
  } catch (error) {
    context.log.warn({ err: error }, 'a push was left to the next beat');
  }
}

function send(socket: WebSocket, message: object): void {
  if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(message));
}
