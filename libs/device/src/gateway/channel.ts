import {
  type AppContext,
  CborFields,
  type ChannelLimits,
  type ChannelStream,
  type CryptoProvider,
  DEFAULT_LIMITS,
  DeviceOpening,
  type Evidence,
  encodeContext,
  encodeEvidence,
  encodeText,
  findSignedCode,
  isCborMap,
  keyOf,
  Multiplexer,
  RecordLayer,
  type SessionSecret,
  SIGNED_CODES,
  type SignedCode,
  type StreamSink,
  TokenBucket,
} from '@sallyport/channel';
import { DeviceError, remoteError } from '../errors.ts';
import type { StoredSession } from '../kept/record.ts';
import type { ProxyPlace } from './place.ts';
import type { GatewaySocket } from './socket.ts';
import { suiteOf } from './suite.ts';
import { WaitingLine } from './waiting-line.ts';

/** A resource that the user may reach now. */
export interface Resource {
  /** The operator's name of it, unique in the realm. */
  readonly name: string;
  /** `http`, for requests and WebSockets, or `tcp`, for `connect`. */
  readonly kind: string;
  /** What to write as host in a URL. */
  readonly authority: string;
  /** What people call it, when that is not its name. */
  readonly title?: string;
}

/** What a channel tells its device. */
export interface ChannelListener {
  /**
   * The channel is gone; `code` when the Proxy said why. Where it calls the session over, gives with which code it is in Security's word,
   * or undefined: what was open waits for that.
   */
  closed(code: SignedCode | undefined): Promise<SignedCode | undefined> | undefined;
  /** The Proxy takes no new streams. */
  draining(): void;
  notice(notice: CborFields): void;
  /** Somebody waits, and nothing was heard for some seconds; or something was heard again. */
  silent(silent: boolean): void;
  /** Somebody waits, and nothing was heard for so long that another site might be better, where there is one. */
  doubted(): void;
  /** A ping has come back after so many ms. */
  pinged(ms: number): void;
}

const PING_MS = 25_000;
const PONG_TIMEOUT_MS = 10_000;
const BACKLOG_POLL_MS = 10;
/** While somebody waits: how often silence is looked at, after how much of it a sign of life is asked for, and said so, ms. */
const SILENCE_CHECK_MS = 1_000;
const SILENCE_PING_MS = 2_000;
const SILENT_MS = 4_000;
/** The same where another site may serve what is waited for: it is soon known which of them it is that does not answer, ms. */
const ALERT: Silence = { checkMs: 200, pingMs: 400, doubtMs: 1_200 };
/** A look that comes so late says that this device itself stood still, ms. */
const LATE_MS = 400;
const PATIENT: Silence = { checkMs: SILENCE_CHECK_MS, pingMs: SILENCE_PING_MS, doubtMs: SILENT_MS };
/** Codes of a channel's end by which its Proxy calls the session over: its word, which is told to nobody. */
const OVER: ReadonlySet<SignedCode | undefined> = new Set(['REVOKED', 'SESSION_EXPIRED', 'REENROLL_REQUIRED']);
/** How much slower than allowed streams are opened, so that clocks that differ do no harm. */
const PACE = 0.95;

/** When silence is looked at, when a sign of life is asked for, and when it is said that there is none, ms. */
interface Silence {
  readonly checkMs: number;
  readonly pingMs: number;
  readonly doubtMs: number;
}

/** What opening a channel needs. */
export interface ChannelOpening {
  readonly crypto: CryptoProvider;
  readonly socket: GatewaySocket;
  readonly session: StoredSession;
  readonly chanNo: number;
  readonly place: ProxyPlace;
  readonly context: AppContext;
  readonly listener: ChannelListener;
}

/** One channel to a Proxy, from WELCOME to its end. */
export class GatewayChannel {
  /** Which Proxy of which site it is with. */
  readonly place: ProxyPlace;
  readonly resources: readonly Resource[];
  /** Ms until the session ends, from WELCOME on. */
  readonly expiresInMs: number;
  /** Where resources are, sealed by Security for this session; undefined where there is one site. */
  readonly routes: Uint8Array | undefined;
  /** `seq` of the site map that the Proxy has. */
  readonly siteMapSeq: number | undefined;
  readonly #socket: GatewaySocket;
  readonly #mux: Multiplexer;
  readonly #listener: ChannelListener;
  readonly #limits: ChannelLimits;
  readonly #pace: TokenBucket;
  readonly #waiting = new WaitingLine();
  /** Streams that have room and are about to be opened. */
  #claimed = 0;
  #claimTimer: ReturnType<typeof setTimeout> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #paceTimer: ReturnType<typeof setTimeout> | undefined;
  #backlogTimer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  #closeCode: SignedCode | undefined;
  #refusing = false;
  /** How many wait for an answer of the gateway right now. */
  #expecting = 0;
  #expectingSince = 0;
  /** When something was sent that nothing was heard after; undefined when nothing is unanswered. */
  #unansweredSince: number | undefined;
  #heardAt = performance.now();
  #usedAt = performance.now();
  /** When the ping was sent that is not answered; undefined when there is none. */
  #pingedAt: number | undefined;
  /** Bytes that waited at the last look: what flows off, however slowly, flows to somebody. */
  #backlogSeen = 0;
  #silent = false;
  #doubted = false;
  /** Who waits for the answer to a ping. */
  #asking: { resolve(): void; reject(error: DeviceError): void }[] = [];
  #silenceTimer: ReturnType<typeof setTimeout> | undefined;
  #silence = PATIENT;

  /** Sends HELLO and waits for WELCOME. @throws DeviceError with the hint's code, or ChannelError */
  static async open(opening: ChannelOpening): Promise<GatewayChannel> {
    const { crypto, socket, session, chanNo, place, context } = opening;
    const hello = new DeviceOpening({
      crypto,
      secret: keyOf<SessionSecret>(session.secret),
      hello: {
        suite: suiteOf(crypto),
        sid: session.sid,
        chanNo,
        nonce: crypto.randomBytes(16),
        audience: encodeText(place.audience),
      },
      context,
    });
    const { fields, transport } = hello.readWelcome(await socket.ask(hello.writeHello()));
    return new GatewayChannel(opening, fields, new RecordLayer(transport));
  }

  private constructor({ socket, listener, place }: ChannelOpening, welcome: CborFields, records: RecordLayer) {
    this.place = place;
    this.#socket = socket;
    this.#listener = listener;
    this.resources = readResources(welcome);
    this.expiresInMs = welcome.uint('expires_in');
    this.routes = welcome.has('routes') ? welcome.bytes('routes') : undefined;
    this.siteMapSeq = welcome.has('site_map_seq') ? welcome.uint('site_map_seq') : undefined;
    this.#limits = readLimits(welcome);
    const { openBurst, openRate } = this.#limits;
    this.#pace = new TokenBucket(Math.max(1, Math.floor(openBurst * PACE)), openRate * PACE, performance.now());
    this.#mux = new Multiplexer(records, 'device', this.#limits, {
      transmit: (record) => this.#transmit(record),
      backlogBytes: () => socket.bufferedBytes,
      now: () => performance.now(),
      schedule: (flush) => queueMicrotask(flush),
      notice: (cbor) => listener.notice(CborFields.decode(cbor)),
      goaway: (_lastStream, code) => this.#goaway(code),
      pong: () => this.#answeredPing(),
      vacated: () => {
        this.#usedAt = performance.now();
        queueMicrotask(() => this.#admit());
      },
    });
    this.#ponged();
  }

  /**
   * Hears what comes: to call once, when the channel is in use. What the Proxy said right behind its WELCOME has waited until
   * then, so that nobody misses a notice of it.
   */
  begin(): void {
    this.#socket.listen({ message: (bytes) => this.#receive(bytes), closed: () => this.#ended() });
  }

  /** True while new streams may be opened. */
  get usable(): boolean {
    return !this.#closed && !this.#refusing;
  }

  /**
   * Says that somebody waits for an answer, until the returned function is called: the gateway is asked for signs of life
   * meanwhile, because a silent one looks like a slow backend.
   */
  expect(): () => void {
    let over = false;
    if (this.#expecting === 0) this.#expectingSince = performance.now();
    this.#expecting += 1;
    this.#watchSilence();
    return () => {
      if (!over) this.#expecting -= 1;
      over = true;
    };
  }

  /** Keeps room for a stream that is opened in this turn; false when as many are open as may be. */
  claim(): boolean {
    if (this.#mux.streamCount + this.#claimed >= this.#limits.streams) return false;
    this.#claimed += 1;
    this.#claimTimer ??= setTimeout(() => {
      this.#claimTimer = undefined;
      this.#claimed = 0;
    });
    return true;
  }

  /** The same as soon as there is room; false when there is none for so long, ms, or the channel takes no new streams any more. */
  async claimWithin(maxMs: number): Promise<boolean> {
    for (const deadline = performance.now() + maxMs; this.usable; ) {
      if (this.claim()) return true;
      const leftMs = deadline - performance.now();
      if (leftMs <= 0 || !(await this.#waiting.waitFor(leftMs))) return false;
    }
    return false;
  }

  /** Opens a stream as soon as the limits of the Proxy allow. @throws DeviceError CONNECTION_LOST, STREAM_LIMIT, certainly not run */
  async openStream(kind: number, sink: StreamSink): Promise<ChannelStream> {
    if (this.#claimed > 0) this.#claimed -= 1;
    const opened = this.expect();
    return this.#whenAllowed(kind, sink).finally(opened);
  }

  async #whenAllowed(kind: number, sink: StreamSink): Promise<ChannelStream> {
    while (this.usable && !this.#mayOpen()) {
      const admitted = this.#waiting.wait();
      this.#armPace();
      await admitted;
    }
    if (!this.usable) throw new DeviceError('CONNECTION_LOST', 'the channel was closed', { mayHaveRun: false });
    return this.#mux.open(kind, sink);
  }

  /** When something was heard last, ms of the monotonic clock. */
  get heardAt(): number {
    return this.#heardAt;
  }

  /** When a stream was open last, ms of the monotonic clock: `now` while there is one. */
  usedAt(now: number): number {
    return this.#mux.streamCount > 0 || this.#expecting > 0 ? now : this.#usedAt;
  }

  /** Asks for a sign of life, and resolves when it comes. @throws DeviceError CONNECTION_LOST when the channel ends before */
  ask(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new DeviceError('CONNECTION_LOST', 'the channel was closed'));
      this.#asking.push({ resolve, reject });
      this.#ping();
    });
  }

  /** From now on silence is noticed sooner: another site may serve what somebody waits for here. */
  beAlert(): void {
    this.#silence = ALERT;
  }

  /** Tells the Proxy a new app context. */
  announce(context: AppContext): void {
    if (!this.#closed) this.#mux.announce(encodeContext(context));
  }

  /** Sends the Proxy what proves the app context of this moment. */
  prove(context: AppContext, evidence: Evidence): void {
    if (!this.#closed) this.#mux.announce(encodeEvidence(context, evidence));
  }

  /** Asks for a sign of life; without one within `timeoutMs` the channel is given up. */
  probe(timeoutMs: number = PONG_TIMEOUT_MS): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#ping();
    this.#timer = setTimeout(() => this.close(), timeoutMs);
  }

  close(): void {
    this.#socket.close();
    this.#ended();
  }

  /** Lets open streams finish, then closes. */
  retire(): void {
    this.#refusing = true;
    if (this.#mux.streamCount === 0) this.close();
  }

  #mayOpen(): boolean {
    return this.#mux.streamCount < this.#limits.streams && this.#pace.take(performance.now());
  }

  #admit(): void {
    if (this.#refusing && this.#mux.streamCount === 0) this.close();
    // Also of a channel that is gone: whoever waits for a stream there looks elsewhere.
    this.#waiting.admit();
  }

  #armPace(): void {
    if (this.#paceTimer !== undefined || this.#mux.streamCount >= this.#limits.streams) return;
    this.#paceTimer = setTimeout(() => {
      this.#paceTimer = undefined;
      this.#admit();
    }, this.#pace.waitMs(performance.now()));
  }

  #transmit(record: Uint8Array): void {
    this.#socket.send(record);
    this.#unansweredSince ??= performance.now();
    this.#watchSilence();
    if (this.#backlogTimer !== undefined || this.#socket.bufferedBytes < this.#limits.backlogBytes) return;
    // Browsers do not tell when a socket has taken what it was given.
    this.#backlogTimer = setInterval(() => {
      if (!this.#closed && this.#socket.bufferedBytes >= this.#limits.backlogBytes) return;
      clearInterval(this.#backlogTimer);
      this.#backlogTimer = undefined;
      this.#mux.drained();
    }, BACKLOG_POLL_MS);
  }

  #receive(bytes: Uint8Array): void {
    this.#heard();
    try {
      this.#mux.receive(bytes);
    } catch {
      this.close();
    }
  }

  #heard(): void {
    this.#heardAt = performance.now();
    this.#unansweredSince = undefined;
    this.#doubted = false;
    if (!this.#silent) return;
    this.#silent = false;
    this.#listener.silent(false);
  }

  #watchSilence(): void {
    if (this.#silenceTimer !== undefined || this.#closed) return;
    const setAt = performance.now();
    const { checkMs } = this.#silence;
    this.#silenceTimer = setTimeout(() => {
      this.#silenceTimer = undefined;
      this.#lookAtSilence(performance.now() - setAt > checkMs + Math.max(checkMs, LATE_MS));
    }, checkMs);
  }

  /** `paused` says that this device itself stood still meanwhile: what it did not hear says nothing. */
  #lookAtSilence(paused: boolean): void {
    if (this.#closed || (this.#expecting === 0 && this.#unansweredSince === undefined)) return;
    const now = performance.now();
    const backlog = this.#socket.bufferedBytes;
    if (paused || backlog < this.#backlogSeen) this.#heardAt = now;
    this.#backlogSeen = backlog;
    const askedAt = Math.min(this.#expecting > 0 ? this.#expectingSince : now, this.#unansweredSince ?? now);
    const silentMs = now - Math.max(this.#heardAt, askedAt);
    if (silentMs >= PONG_TIMEOUT_MS) return this.close();
    if (silentMs >= this.#silence.pingMs || paused) this.#ping();
    if (silentMs >= this.#silence.doubtMs && !this.#doubted) {
      this.#doubted = true;
      this.#listener.doubted();
    }
    if (silentMs >= SILENT_MS && !this.#silent) {
      this.#silent = true;
      this.#listener.silent(true);
    }
    this.#watchSilence();
  }

  #goaway(number: number): void {
    const code = findSignedCode(number);
    this.#refusing = true;
    if (code === 'DRAINING') return this.#listener.draining();
    this.#closeCode = code;
    this.close();
  }

  #ping(): void {
    this.#pingedAt ??= performance.now();
    this.#mux.ping(new Uint8Array(8));
  }

  #answeredPing(): void {
    if (this.#pingedAt !== undefined) this.#listener.pinged(performance.now() - this.#pingedAt);
    this.#pingedAt = undefined;
    for (const { resolve } of this.#asking.splice(0)) resolve();
    this.#ponged();
  }

  #ponged(): void {
    clearTimeout(this.#timer);
    if (!this.#closed) this.#timer = setTimeout(() => this.probe(), PING_MS);
  }

  #ended(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#paceTimer);
    clearTimeout(this.#claimTimer);
    clearTimeout(this.#silenceTimer);
    const code = this.#closeCode;
    const isCalledOver = OVER.has(code);
    if (!isCalledOver) this.#endStreams(code === 'LEASE_LOST' ? code : undefined);
    this.#admit();
    const lost = new DeviceError('CONNECTION_LOST', 'the channel was closed');
    for (const { reject } of this.#asking.splice(0)) reject(lost);
    const word = this.#listener.closed(code);
    if (isCalledOver) void Promise.resolve(word).then((over) => this.#endStreams(over));
  }

  /** What was under way may have run, whatever the channel ended for; only some codes tell an app more than that. */
  #endStreams(code: SignedCode | undefined): void {
    this.#mux.destroy(SIGNED_CODES[code ?? 'CANCELLED']);
  }
}

/** Reads the list of resources of a WELCOME or a notice. */
export function readResources(fields: CborFields): Resource[] {
  if (!fields.has('resources')) return [];
  return fields.list('resources', 4_096).map((item) => {
    if (!isCborMap(item)) throw remoteError('BAD_MESSAGE');
    const resource = new CborFields(item);
    const title = resource.optionalText('title', 128);
    const [name, kind, authority] = [resource.text('name'), resource.text('kind'), resource.text('authority')];
    return { name, kind, authority, ...(title === undefined ? {} : { title }) };
  });
}

function readLimits(welcome: CborFields): ChannelLimits {
  const limits = welcome.map('limits');
  return { ...DEFAULT_LIMITS, openBurst: limits.uint('open_burst'), openRate: limits.uint('open_rate') };
}
