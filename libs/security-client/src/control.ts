import { createHash } from 'node:crypto';
import type { CryptoProvider } from '@sallyport/channel';
import { type AnewReason, type Clocks, type FollowerListener, type LeaseClock, LogFollower } from '@sallyport/lease';
import {
  type Backend,
  type BackendTrouble,
  type Beat,
  type BeatAnswer,
  ControlMessage,
  type KeptRevocation,
  PROXY_PATHS,
  type Push,
  parseJson,
  parserOf,
  RenewNow,
  type TriedBackend,
  TryBackend,
} from '@sallyport/security-api';
import { WebSocket } from 'ws';
import type { ProxyIdentity } from './identity.ts';
import type { NodeList } from './node-list.ts';

const parseControl = parserOf(ControlMessage);
const parseRenew = parserOf(RenewNow);
const parseTrial = parserOf(TryBackend);
const BEAT_MS = 1_000;
const RECONNECT_MS = 100;
/** After a node of another database: asking it again soon changes nothing, ms. */
const FOREIGN_RECONNECT_MS = 1_000;
/** A node that is only busy may take this long to take a connection, ms; nothing is gained by asking it anew sooner. */
const MAX_HANDSHAKE_MS = 5_000;
const MIN_HANDSHAKE_MS = 1_000;
/** While a lease runs that many nodes that do not take the connection can be tried. */
const TRIES_IN_A_LEASE = 4;
/** A connection on which a beat stays unanswered this long is given up, ms: sooner when there is another node to try. */
const ANSWER_TIMEOUT_MS = 900;
const LONE_ANSWER_TIMEOUT_MS = 3_000;
const CHECK_MS = 100;
/** A renewal that brought no other CAs is tried again after, and Proxies spread theirs over, ms. */
const RENEW_AGAIN_MS = 5_000;
const RENEW_SPREAD_MS = 2_000;
const FORBIDDEN = 403;
const UNKNOWN_KEY =
  'Security does not know the key of this Proxy: it was revoked or replaced, or its machine went back to before it renewed its key; invite it anew: sallyport proxy invite NAME --site SITE --replace';

const TOO_MANY_CONNECTIONS = 429;
const KEY_IN_USE =
  'Security has too many connections by the key of this Proxy: its machine or its data folder was copied, and the copies run; invite each of them by a name of its own';

/**
 * How long a node may take to take the connection, ms: where there is another one, so short that it is still reached while
 * the lease runs. `leaseMs` is that of the last answer, undefined before the first.
 */
export function handshakePatienceMs({ leaseMs, nodes }: { leaseMs: number | undefined; nodes: number }): number {
  if (leaseMs === undefined || nodes < 2) return MAX_HANDSHAKE_MS;
  return Math.min(MAX_HANDSHAKE_MS, Math.max(MIN_HANDSHAKE_MS, Math.floor(leaseMs / TRIES_IN_A_LEASE)));
}

/** What the control connection tells its Proxy. */
export interface ControlListener extends FollowerListener {
  /** Backends that failed in the last minute, for the status. */
  troubles(): BackendTrouble[];
  /** Tries a backend once, for an operator. */
  tryBackend(backend: Backend, authority: string): Promise<Omit<TriedBackend, 'type' | 'id'>>;
  /** Entries that were applied, with their seals: for a restore that knows nothing of them. */
  keep(entries: readonly KeptRevocation[]): void;
  /** What was served since the process began: requests, and bytes both ways. */
  served(): { readonly requests: number; readonly bytes: number };
  /** Whether the site of this Proxy is being emptied. */
  siteDrained(drained: boolean): void;
  /** Security wants this Proxy to renew its certificate now. */
  renew(): void;
  /** The realm's site map has this `seq`. */
  siteMap(seq: number): void;
  /** Something went wrong on the way to Security; the connection is being made anew. */
  trouble(error: unknown): void;
}

/** The connection on which a Proxy beats, to one Security node after the other. */
export class ControlConnection {
  readonly #listener: ControlListener;
  readonly #nodes: NodeList;
  readonly #follower: LogFollower;
  readonly #clocks: Clocks;
  readonly #check: NodeJS.Timeout;
  #foreign = false;
  #identity: ProxyIdentity;
  #socket: WebSocket | undefined;
  #url = '';
  #leaseMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** The beat that was sent last, and when. */
  #timed: { readonly id: number; readonly at: number } | undefined;
  /** How long an answer took last, ms. */
  #rttMs: number | undefined;
  #closed = false;
  /** CAs that count by the node of this moment. */
  #authorities: string | undefined;
  #askedToRenewAt = Number.NEGATIVE_INFINITY;

  constructor(parts: {
    identity: ProxyIdentity;
    nodes: NodeList;
    clocks: Clocks;
    crypto: Pick<CryptoProvider, 'sha256' | 'randomBytes'>;
    listener: ControlListener;
    witness?: string | undefined;
  }) {
    this.#identity = parts.identity;
    this.#nodes = parts.nodes;
    this.#clocks = parts.clocks;
    this.#listener = parts.listener;
    const { clocks, crypto, listener, witness } = parts;
    const anew = (reason: AnewReason): void => this.#beginAnew(reason);
    const { apply, done, channelCount, witnessed } = listener;
    const follows = { apply, done, channelCount, anew, ...(witnessed ? { witnessed } : {}) };
    this.#follower = new LogFollower({ clocks, crypto, listener: follows, witness });
    this.#check = setInterval(() => this.#giveUpWhenSilent(), CHECK_MS);
    this.#connect();
  }

  get lease(): LeaseClock {
    return this.#follower.lease;
  }

  /** Uses a renewed certificate from now on. The first beat with it ends the worth of the one before. */
  useIdentity(identity: ProxyIdentity): void {
    this.#identity = identity;
    const old = this.#socket;
    if (!old || this.#closed) return;
    clearTimeout(this.#timer);
    this.#follower.disconnected();
    this.#connect();
    old.terminate();
  }

  /** What the log says of grants, and this run of the process. */
  get follower(): Pick<LogFollower, 'judge' | 'instance' | 'epoch' | 'seen' | 'unansweredSince'> {
    return this.#follower;
  }

  /** Rights were read again: what waits for them is told at once. */
  moved(): void {
    this.#beat();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#check);
    this.#socket?.terminate();
  }

  #connect(): void {
    const { ca, certificate, key } = this.#identity;
    this.#url = this.#nodes.inOrder[0]!;
    const socket = new WebSocket(`${this.#url.replace(/^http/, 'ws')}${PROXY_PATHS.control}`, {
      ca,
      cert: certificate,
      key,
      handshakeTimeout: handshakePatienceMs({ leaseMs: this.#leaseMs, nodes: this.#nodes.count }),
      perMessageDeflate: false,
      maxPayload: 4_194_304,
    });
    this.#socket = socket;
    socket.on('open', () => this.#guarded(() => this.#beat()));
    socket.on('message', (data) => this.#guarded(() => this.#receive(String(data))));
    socket.on('unexpected-response', (_request, { statusCode }) => this.#refused(socket, statusCode));
    socket.on('error', (error) => this.#listener.trouble(error));
    socket.on('close', () => {
      if (socket === this.#socket) this.#reconnect();
    });
  }

  #refused(socket: WebSocket, status: number | undefined): void {
    this.#listener.trouble(new Error(wordsOfRefusal(status)));
    socket.terminate();
  }

  /** A fault in what was heard ends the connection, never the process: without it the lease ends, too. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#listener.trouble(error);
      this.#socket?.terminate();
    }
  }

  /** A node may tell an address that is none: then the next one is tried. */
  #tryToConnect(): void {
    try {
      this.#connect();
    } catch (error) {
      this.#listener.trouble(error);
      this.#socket = undefined;
      this.#reconnect();
    }
  }

  #reconnect(): void {
    clearTimeout(this.#timer);
    this.#follower.disconnected();
    if (this.#closed) return;
    this.#nodes.failed(this.#url);
    const waitMs = this.#foreign ? FOREIGN_RECONNECT_MS : RECONNECT_MS;
    this.#foreign = false;
    this.#timer = setTimeout(() => this.#tryToConnect(), waitMs * (0.5 + Math.random()));
  }

  /** A node whose database never took the place of the one that was followed is left for another one. */
  #beginAnew(reason: AnewReason): void {
    this.#listener.anew(reason);
    if (reason !== 'two databases') return;
    this.#foreign = true;
    this.#socket?.terminate();
  }

  /** A stopped node still accepts connections and bytes: only answers count. */
  #giveUpWhenSilent(): void {
    const since = this.#follower.unansweredSince;
    const timeoutMs = this.#nodes.count > 1 ? ANSWER_TIMEOUT_MS : LONE_ANSWER_TIMEOUT_MS;
    if (since === undefined || this.#clocks.monotonicMs() - since < timeoutMs) return;
    const busy = this.#nodes.answeredWithin(this.#url, timeoutMs);
    if (busy && this.#clocks.monotonicMs() - since < LONE_ANSWER_TIMEOUT_MS) return;
    const silent = this.#socket;
    this.#socket = undefined;
    silent?.terminate();
    this.#reconnect();
  }

  #beat(): void {
    const socket = this.#socket;
    // Without a connection the timer is that of the next try, which nothing may put off.
    if (!socket || socket.readyState !== socket.OPEN) return;
    clearTimeout(this.#timer);
    const troubles = this.#listener.troubles();
    const { requests, bytes } = this.#listener.served();
    const beat = this.#follower.beat();
    this.#timed = { id: beat.id, at: this.#clocks.monotonicMs() };
    const rtt = this.#rttMs === undefined ? {} : { rttMs: this.#rttMs };
    socket.send(
      JSON.stringify({ ...beat, requests, bytes, ...rtt, ...(troubles.length > 0 ? { troubles } : {}) } satisfies Beat),
    );
    this.#timer = setTimeout(() => this.#beat(), BEAT_MS);
  }

  async #tryBackend({ id, backend, authority }: TryBackend): Promise<void> {
    const socket = this.#socket;
    try {
      const tried: TriedBackend = { type: 'tried', id, ...(await this.#listener.tryBackend(backend, authority)) };
      if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(tried));
    } catch (error) {
      // Without an answer Security says that none came.
      this.#listener.trouble(error);
    }
  }

  #receive(text: string): void {
    const json = parseJson(text);
    const trial = parseTrial(json);
    if (trial) return void this.#tryBackend(trial);
    if (parseRenew(json)) return this.#listener.renew();
    const message = parseControl(json);
    if (!message) return this.#socket?.terminate();
    if (message.type === 'lease') {
      this.#nodes.answered(this.#url);
      this.#leaseMs = message.leaseMs;
      if (message.nodes) this.#nodes.learn(message.nodes);
      this.#compareAuthorities(message.authorities);
      this.#listener.siteDrained(message.drained ?? false);
      if (message.id === this.#timed?.id) this.#rttMs = Math.round(this.#clocks.monotonicMs() - this.#timed.at);
      if (message.siteMapSeq !== undefined) this.#listener.siteMap(message.siteMapSeq);
    }
    const beatAgain = this.#follower.receive(message);
    if (message.type !== 'anew') this.#keepApplied(message);
    if (beatAgain) this.#beat();
  }

  /** Another CA counts, or issues: a renewal brings what is trusted, and a certificate by the one that issues. */
  #compareAuthorities(authorities: string | undefined): void {
    this.#authorities = authorities ?? this.#authorities;
    if (this.#authorities === undefined || this.#authorities === markOf(this.#identity.ca)) return;
    const now = this.#clocks.monotonicMs();
    if (now - this.#askedToRenewAt < RENEW_AGAIN_MS) return;
    this.#askedToRenewAt = now;
    // All Proxies hear of it at once.
    const timer = setTimeout(() => this.#closed || this.#listener.renew(), Math.random() * RENEW_SPREAD_MS);
    timer.unref();
  }

  #keepApplied({ epoch, entries, seals = [] }: BeatAnswer | Push): void {
    if (seals.length === 0 || epoch !== this.#follower.epoch) return;
    const applied = new Map(entries.filter(({ index }) => index <= this.#follower.seen).map((one) => [one.index, one]));
    const kept = seals.flatMap(({ index, requestId, seal }): KeptRevocation[] => {
      const entry = applied.get(index);
      if (!entry) return [];
      const { kind, subject, at, hash } = entry;
      return [{ epoch, index, requestId, kind, subject, at, hash, seal }];
    });
    if (kept.length > 0) this.#listener.keep(kept);
  }
}

function wordsOfRefusal(status: number | undefined): string {
  if (status === FORBIDDEN) return UNKNOWN_KEY;
  return status === TOO_MANY_CONNECTIONS ? KEY_IN_USE : `a Security node answers with ${status}`;
}

/** What tells one set of CAs from another, as Security does. */
function markOf(authorities: string): string {
  return createHash('sha256').update(authorities).digest('hex');
}
