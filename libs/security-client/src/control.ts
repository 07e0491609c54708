import { type Clocks, LeaseClock } from '@sallyport/access';
import {
  type Beat,
  type BeatAnswer,
  ControlMessage,
  PROXY_PATHS,
  parseJson,
  parserOf,
  type RevocationEntry,
} from '@sallyport/security-api';
import { WebSocket } from 'ws';
import type { ProxyIdentity } from './identity.ts';

const parseControl = parserOf(ControlMessage);
const BEAT_MS = 1_000;
const RECONNECT_MS = 250;
const HANDSHAKE_TIMEOUT_MS = 2_000;
/** A connection on which a beat stays unanswered this long is given up, ms. */
const ANSWER_TIMEOUT_MS = 3_000;
/** Recent entries, kept to be held against grants that were read before they were applied. */
const MAX_RECENT = 10_000;

/** What the control connection tells its Proxy. */
export interface ControlListener {
  /** Apply an entry: end channels or read their rights again. Synchronous, before the lease that covers it counts. */
  apply(entry: RevocationEntry): void;
  /** Open channels, for the status page. */
  channelCount(): number;
}

/** The Proxy's side of beats, leases and the revocation log (architecture, "Revocation is bounded"). */
export class ControlConnection {
  readonly lease: LeaseClock;
  readonly #listener: ControlListener;
  readonly #onTrouble: (error: unknown) => void;
  #identity: ProxyIdentity;
  #socket: WebSocket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #node = 0;
  #applied = 0;
  #fresh = true;
  #nextId = 1;
  #recent: RevocationEntry[] = [];
  #sent = new Map<number, { sentAt: number; generation: number }>();
  #closed = false;

  constructor(identity: ProxyIdentity, clocks: Clocks, listener: ControlListener, onTrouble: (error: unknown) => void) {
    this.#identity = identity;
    this.#listener = listener;
    this.#onTrouble = onTrouble;
    this.lease = new LeaseClock(clocks);
    this.#connect();
  }

  /** Index of the last entry that was applied. */
  get applied(): number {
    return this.#applied;
  }

  /** Uses a renewed certificate from the next connection on. */
  useIdentity(identity: ProxyIdentity): void {
    this.#identity = identity;
  }

  /**
   * Entries applied after `asOf`, to be held against a grant read there; undefined when they are no longer kept, and
   * then the grant must be read again.
   */
  entriesSince(asOf: number): readonly RevocationEntry[] | undefined {
    if (asOf >= this.#applied) return [];
    const kept = this.#recent.filter(({ index }) => index > asOf);
    return kept.length === this.#applied - asOf ? kept : undefined;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.terminate();
  }

  #connect(): void {
    const { urls, ca, certificate, key } = this.#identity;
    const url = `${urls[this.#node % urls.length]!.replace(/^http/, 'ws')}${PROXY_PATHS.control}`;
    const options = {
      ca,
      cert: certificate,
      key,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      perMessageDeflate: false,
      maxPayload: 4_194_304,
    };
    const socket = new WebSocket(url, options);
    this.#socket = socket;
    socket.on('open', () => this.#beat());
    socket.on('message', (data) => this.#receive(String(data)));
    socket.on('error', (error) => this.#onTrouble(error));
    socket.on('close', () => this.#reconnect());
  }

  #reconnect(): void {
    clearTimeout(this.#timer);
    this.#sent.clear();
    if (this.#closed) return;
    this.#node += 1;
    this.#timer = setTimeout(() => this.#connect(), RECONNECT_MS);
  }

  #beat(): void {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    if (!socket || socket.readyState !== socket.OPEN) return;
    const mark = this.lease.beatSent();
    const oldest = this.#sent.values().next().value;
    if (oldest && mark.sentAt - oldest.sentAt > ANSWER_TIMEOUT_MS) return socket.terminate();
    const id = this.#nextId++;
    this.#sent.set(id, mark);
    const channels = this.#listener.channelCount();
    const beat: Beat = { type: 'beat', id, applied: this.#applied, channels, fresh: this.#fresh };
    socket.send(JSON.stringify(beat));
    this.#timer = setTimeout(() => this.#beat(), BEAT_MS);
  }

  #receive(text: string): void {
    const message = parseControl(parseJson(text));
    if (!message) return this.#socket?.terminate();
    if (message.type === 'push') {
      const before = this.#applied;
      this.#apply(message.entries);
      // Tells Security at once what is applied, so that whoever revoked need not wait for the next beat.
      if (this.#applied > before) this.#beat();
      return;
    }
    this.#lease(message);
  }

  #lease({ id, head, entries, leaseMs }: BeatAnswer): void {
    if (this.#fresh) {
      this.#fresh = false;
      this.#applied = head;
    }
    const before = this.#applied;
    this.#apply(entries);
    const mark = this.#sent.get(id);
    this.#sent.delete(id);
    // A lease counts only once everything up to its head is applied.
    if (mark && this.#applied >= head) this.lease.granted(mark, leaseMs);
    if (this.#applied > before || this.#applied < head) this.#beat();
  }

  /** Applies what is next in line; a gap is left to the next beat. */
  #apply(entries: readonly RevocationEntry[]): void {
    for (const entry of entries) {
      if (entry.index !== this.#applied + 1) continue;
      this.#listener.apply(entry);
      this.#applied = entry.index;
      this.#recent.push(entry);
    }
    if (this.#recent.length > 2 * MAX_RECENT) this.#recent = this.#recent.slice(-MAX_RECENT);
  }
}
