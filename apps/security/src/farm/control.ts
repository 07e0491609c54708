import type { Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import {
  type AccessContext,
  type Bus,
  type JournalWriter,
  type LifeGuard,
  type ProxyKey,
  readEntries,
  recordBeat,
  type StoreError,
} from '@sallyport/access';
import type { LogPosition } from '@sallyport/lease';
import { Beat, PROXY_PATHS, type Push, parseJson, parserOf, TriedBackend } from '@sallyport/security-api';
import { guardWith, type Log } from '@sallyport/telemetry';
import { type WebSocket, WebSocketServer } from 'ws';
import { markOfAuthorities } from '../keys/certificates.ts';
import { ControlPlaces } from './control-places.ts';
import { NewestBeats } from './newest-beats.ts';
import type { SecurityNode } from './node.ts';
import type { IdentifyProxy } from './proxy-identity.ts';
import type { ProxyLink, ProxyLinks } from './proxy-links.ts';
import { ProxyRuns } from './proxy-runs.ts';

const parseBeat = parserOf(Beat);
const parseTried = parserOf(TriedBackend);
const MAX_MESSAGE_BYTES = 16 * 1024;
/** A Proxy beats every second; one that is silent this long is cut off and reconnects, ms. */
const SILENCE_MS = 10_000;
const TOO_MANY_RUNS =
  'a Proxy begins one run after the other: it fails and is started again, or it was broken into; the others beat no more until later';
const TOO_MANY = 'the key of this Proxy has too many control connections here: do several use one key?';

/** What control connections work with. */
export interface ControlParts {
  readonly access: AccessContext;
  /** For how long a Proxy may serve after a beat, ms. */
  readonly leaseMs: number;
  /** Undefined where there is no journal. */
  readonly journal: Pick<JournalWriter, 'mayLease' | 'upTo'> | undefined;
  /** Holds the database against what Proxies have proof of. */
  readonly life: Pick<LifeGuard, 'hear' | 'isSettled' | 'witnessFor'>;
  readonly bus: Bus;
  readonly node: Pick<SecurityNode, 'id' | 'proxyUrls'>;
  readonly proxies: ProxyLinks;
  readonly identify: IdentifyProxy;
  /** CAs that count, PEM, the one in use first. */
  readonly authorities: () => readonly string[];
  readonly log: Log;
}

/**
 * Control connections: beats in, leases and pushes out (architecture, "Revocation").
 * Attaches to the server's upgrades; gives a function that ends all connections and takes no new ones.
 */
export function attachControl(server: Server, parts: ControlParts): () => void {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES, perMessageDeflate: false });
  const places = new ControlPlaces((keyHash) => parts.log.warn({ keyHash }, TOO_MANY));
  const runs = new ProxyRuns(
    () => performance.now(),
    (proxy) => parts.log.warn({ proxy }, TOO_MANY_RUNS),
  );
  let ended = false;
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    admit(parts.identify, request.url ?? '', socket as TLSSocket)
      .then((proxy) => {
        if (socket.destroyed) return;
        if (ended) return socket.end('HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n');
        if (!proxy) return socket.end('HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n');
        const leave = places.take(proxy.keyHash);
        if (!leave) return socket.end(`HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\n\r\n${TOO_MANY}\n`);
        // Of the socket, not of what is made of it: a handshake may fail, too.
        socket.once('close', leave);
        sockets.handleUpgrade(request, socket, head, (webSocket) => serve({ ...parts, runs }, proxy, webSocket));
      })
      .catch((error: unknown) => {
        parts.log.error({ err: error }, 'a control connection could not be made');
        socket.destroy();
      });
  });
  return () => {
    ended = true;
    for (const socket of sockets.clients) socket.close(1012, 'restart');
  };
}

async function admit(identify: IdentifyProxy, url: string, socket: TLSSocket): Promise<ProxyKey | undefined> {
  return url === PROXY_PATHS.control ? identify(socket).catch(() => undefined) : undefined;
}

type ServedParts = ControlParts & { readonly runs: ProxyRuns };

/** One control connection. `told` is the highest index that a recorded beat has called in force on it. */
interface Control {
  readonly parts: ServedParts;
  readonly proxy: string;
  readonly keyHash: string;
  readonly socket: WebSocket;
  /** Where the Proxy stands by its last recorded beat; undefined while it follows no log. */
  seen: (LogPosition & { readonly epoch: string }) | undefined;
  told: number;
  /** What the Proxy said first of the database, while it is looked at and after: a connection has one word. */
  heard: Promise<void> | undefined;
  /** What it was told of the database last. */
  witness: string | undefined;
  /** CAs that it was told of last. */
  authorities: readonly string[];
}

function serve(parts: ServedParts, { name: proxy, keyHash }: ProxyKey, socket: WebSocket): void {
  const { proxies, bus, log } = parts;
  log.info({ proxy }, 'a Proxy connected');
  const control: Control = {
    parts,
    proxy,
    keyHash,
    socket,
    seen: undefined,
    told: -1,
    heard: undefined,
    witness: undefined,
    authorities: [],
  };
  const beats = new NewestBeats<Beat>((beat) => answer(control, beat));
  let timer = setTimeout(() => socket.terminate(), SILENCE_MS);
  const link: ProxyLink = { proxy, keyHash, send: (message) => send(socket, message) };
  proxies.add(link);
  const unsubscribe = bus.subscribe('entries', () => void push(control));
  const guard = guardWith((error) => {
    log.error({ err: error, proxy }, 'a control connection failed');
    socket.terminate();
  });
  const heard = guard((data: unknown) => {
    clearTimeout(timer);
    timer = setTimeout(() => socket.terminate(), SILENCE_MS);
    const json = parseJson(String(data));
    const tried = parseTried(json);
    if (tried) return proxies.tried(link, tried);
    const beat = parseBeat(json);
    // Also what a Proxy of an older version sends: it knows neither epochs nor instances, and gets no lease.
    if (!beat) return socket.close(1002, 'not a beat of this version');
    proxies.told(proxy, beat.troubles);
    beats.take(beat);
  });
  socket.on('error', () => socket.terminate());
  socket.on('close', () => {
    clearTimeout(timer);
    beats.end();
    unsubscribe();
    proxies.remove(link);
    log.info({ proxy }, 'a Proxy disconnected');
  });
  socket.on('message', heard);
}

async function answer(control: Control, beat: Beat): Promise<void> {
  const { parts, proxy, keyHash, socket } = control;
  const { access, leaseMs, journal, life, bus, node, runs, log } = parts;
  const { id, instance, epoch, seen: index, hash, done } = beat;
  // Perhaps another database has taken the place of ours: only the journal knows.
  if (journal && !journal.mayLease) return;
  try {
    if (!(await runs.mayBeat(proxy, instance))) return socket.close(1008, 'too many runs');
    await hear(control, beat);
    const recorded = await recordBeat(access, { proxy, keyHash, beat, leaseMs, node: node.id });
    // Behind the transaction, which may have been the first on a new connection.
    if (!(await life.isSettled())) return;
    // A Proxy that was revoked gets no lease any more.
    if (recorded.type === 'revoked') return socket.close(1008, 'revoked');
    if (recorded.type === 'anew') {
      control.seen = undefined;
      if (!recorded.supersedes) log.error({ proxy }, 'a Proxy follows the log of another database: there are two');
      return send(socket, { ...recorded, id });
    }
    control.seen = epoch === undefined ? undefined : { epoch, index, hash };
    const witness = life.witnessFor(recorded);
    const news = witness === undefined || witness === control.witness ? {} : { witness };
    control.witness = witness ?? control.witness;
    const authorities = parts.authorities();
    const others = authorities === control.authorities ? {} : { authorities: markOfAuthorities(authorities) };
    control.authorities = authorities;
    send(socket, { ...recorded, id, nodes: node.proxyUrls, ...news, ...others });
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

/**
 * Before anything is given: perhaps the database went back, and the Proxy has proof of it. It says so until it has an answer; whatever
 * comes on a connection after that is not looked at, so that nobody makes the database work, or the log grow, with every beat.
 */
async function hear(control: Control, { witness }: Beat): Promise<void> {
  const { parts, proxy } = control;
  if (witness !== undefined && control.heard === undefined) {
    const heard = parts.life.hear(witness, proxy);
    control.heard = heard;
    // What could not be looked at is heard again with the next beat.
    heard.catch(() => {
      control.heard = undefined;
    });
  }
  await control.heard;
}

async function push({ parts, socket, seen }: Control): Promise<void> {
  if (!seen) return;
  const { epoch, index: after, hash: afterHash } = seen;
  try {
    const { entries, seals } = await readEntries(parts.access, epoch, after);
    const message: Push = { type: 'push', epoch, after, afterHash, entries, seals };
    if (entries.length > 0) send(socket, message);
  } catch (error) {
    parts.log.warn({ err: error }, 'a push was left to the next beat');
  }
}

function send(socket: WebSocket, message: object): void {
  if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(message));
}
