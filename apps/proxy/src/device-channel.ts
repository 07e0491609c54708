import { effectOn } from '@sallyport/access';
import {
  type AppContext,
  CborFields,
  ChannelError,
  type ChannelStream,
  DEFAULT_LIMITS,
  encodeCbor,
  Multiplexer,
  parseContext,
  RecordLayer,
  SIGNED_CODES,
  type SignedCode,
  type Transport,
} from '@sallyport/channel';
import type { Grant, RevocationEntry } from '@sallyport/security-api';
import type { Farm } from './farm.ts';
import { decide } from './rights.ts';
import type { Exchange, StreamHost } from './streams/exchange.ts';
import { HttpExchange } from './streams/http.ts';
import { TcpExchange } from './streams/tcp.ts';
import { WebSocketExchange } from './streams/web-socket.ts';

/** The socket under a channel, as the channel sees it. */
export interface ChannelSocket {
  readonly address: string;
  /** Memory for the record that is transmitted next. */
  outgoing(bytes: number): Uint8Array;
  transmit(record: Uint8Array): void;
  bufferedBytes(): number;
  close(code: number): void;
}

/** What a channel starts from. */
export interface ChannelStart {
  readonly farm: Farm;
  readonly socket: ChannelSocket;
  readonly grant: Grant;
  readonly context: AppContext;
  readonly transport: Transport;
}

/** Life of a channel at most, ms. */
const MAX_LIFE_MS = 12 * 3_600_000;

const due: (() => void)[] = [];

/** Flushes channels at the end of a turn of the event loop: what came from several backends meanwhile shares a record. */
function atEndOfTurn(flush: () => void): void {
  if (due.push(flush) === 1) setImmediate(flushDue);
}

function flushDue(): void {
  for (const flush of due.splice(0)) flush();
}

/** One open channel of a device at this Proxy: its keys, grant, app context and streams. */
export class DeviceChannel {
  readonly #farm: Farm;
  readonly #socket: ChannelSocket;
  readonly #mux: Multiplexer;
  readonly #host: StreamHost;
  #grant: Grant;
  #context: AppContext;
  #timers: NodeJS.Timeout[] = [];
  #suspended = false;
  /** False until a grant has passed all checks, and while changed rights are read again. */
  #ready = false;
  #waiting: (() => void)[] = [];

  constructor({ farm, socket, grant, context, transport }: ChannelStart) {
    this.#farm = farm;
    this.#socket = socket;
    this.#grant = grant;
    this.#context = context;
    const limits = { ...DEFAULT_LIMITS, ...grant.limits };
    this.#mux = new Multiplexer(new RecordLayer(transport), 'proxy', limits, {
      outgoing: (bytes) => socket.outgoing(bytes),
      transmit: (record) => socket.transmit(record),
      backlogBytes: () => socket.bufferedBytes(),
      now: () => performance.now(),
      schedule: atEndOfTurn,
      accept: (stream) => this.#accept(stream),
      context: (cbor) => this.#newContext(cbor),
      broken: () => socket.close(1002),
    });
    this.#host = {
      backends: farm.backends,
      deviceAddress: socket.address,
      decide: (wanted) => decide(this.#grant, this.#context, wanted),
      ready: () => this.#ready,
      whenReady: (work) => {
        if (this.#ready) work();
        else this.#waiting.push(work);
      },
      mayServe: () => farm.mayServe() && !this.#mux.closed,
      count: (kind, outcome) => farm.count(kind, outcome),
    };
  }

  get sid(): string {
    return this.#grant.sid;
  }

  get streamCount(): number {
    return this.#mux.streamCount;
  }

  /** Handles one record; a violation ends the channel without detail. */
  receive(record: Uint8Array): void {
    try {
      this.#mux.receive(record);
    } catch (error) {
      if (!(error instanceof ChannelError)) this.#farm.log.error({ err: error }, 'a channel failed');
      this.#socket.close(1002);
    }
  }

  /** The socket took what was sent. */
  drained(): void {
    this.#mux.drained();
  }

  /** Applies a log entry: synchronous, so that nothing of a revoked session is served after it. */
  apply(entry: RevocationEntry): void {
    const effect = effectOn(entry, { grant: this.#grant, app: this.#app });
    if (effect === 'end') this.end('REVOKED');
    if (effect === 'reauthorize') this.#readAgain();
  }

  /** Says goodbye with an authenticated code and closes. */
  end(code: SignedCode): void {
    if (this.#mux.closed) return;
    this.#mux.goaway(SIGNED_CODES[code]);
    this.#mux.flush();
    this.destroy(code);
    this.#socket.close(1000);
  }

  /** Takes no new streams; open ones may finish. */
  drain(): void {
    if (!this.#mux.closed) this.#mux.goaway(SIGNED_CODES.DRAINING);
  }

  /** Ends all work at once; the socket is gone or about to be. */
  destroy(code: SignedCode): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#mux.destroy(SIGNED_CODES[code]);
    this.#farm.forget(this);
  }

  /** The lease is lost: everything open stops, the channel waits. */
  suspend(): void {
    if (this.#suspended) return;
    this.#suspended = true;
    this.#mux.resetAll(SIGNED_CODES.LEASE_LOST);
    this.#notify({ code: 'LEASE_LOST' });
  }

  /** The lease is back. */
  resume(): void {
    if (!this.#suspended) return;
    this.#suspended = false;
    this.#notify({ code: 'RESUMED' });
  }

  /** Reads the rights again. Security out of reach changes nothing: the lease bounds that. */
  async reauthorize(): Promise<void> {
    if (this.#mux.closed) return;
    try {
      const grant = await this.#farm.security.reauthorize(this.#grant.sid);
      if (this.#mux.closed) return;
      if (!grant) return this.end('SESSION_EXPIRED');
      this.use(grant);
    } catch (error) {
      this.#farm.log.warn({ err: error }, 'rights could not be read again');
      this.#timers.push(setTimeout(() => void this.reauthorize(), 1_000));
    }
  }

  /** Takes a grant, after it was held against everything that was revoked since it was read. */
  use(grant: Grant): void {
    const judgement = this.#farm.judge({ grant, app: this.#app });
    if (judgement === 'ended') return this.end('REVOKED');
    // Too long ago to know what was revoked since, or rights changed since: read them again before anything is served.
    if (judgement === 'stale') return this.#readAgain();
    // The grant of the beginning was announced by WELCOME.
    if (grant !== this.#grant) this.#notify({ resources: resourceList(grant) });
    this.#grant = grant;
    this.#schedule();
    this.#recheck();
    this.#ready = true;
    for (const work of this.#waiting.splice(0)) work();
  }

  get #app(): string {
    return `${this.#context.id}@${this.#context.version}`;
  }

  /** Requests wait until the new rights are known: a right that was taken away is not used once more. */
  #readAgain(): void {
    this.#ready = false;
    void this.reauthorize();
  }

  /** Ends the streams that would be refused now. */
  #recheck(): void {
    for (const stream of this.#mux.openStreams()) (stream.sink as Exchange | undefined)?.recheck();
  }

  #schedule(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    const { expiresInMs, refreshInMs } = this.#grant;
    this.#timers = [
      setTimeout(() => this.end('SESSION_EXPIRED'), Math.min(expiresInMs, MAX_LIFE_MS)),
      setTimeout(() => void this.reauthorize(), refreshInMs),
    ];
  }

  #notify(notice: Parameters<typeof encodeCbor>[0]): void {
    if (!this.#mux.closed) this.#mux.announce(encodeCbor(notice));
  }

  #newContext(cbor: Uint8Array): void {
    this.#context = parseContext(CborFields.decode(cbor));
    this.#recheck();
  }

  #accept(stream: ChannelStream): Exchange {
    const place = { host: this.#host, stream };
    if (stream.kind === 1) return new HttpExchange(place);
    if (stream.kind === 2) return new WebSocketExchange(place);
    if (stream.kind === 3) return new TcpExchange(place);
    queueMicrotask(() => {
      stream.reset(SIGNED_CODES.REQUEST_REFUSED);
      stream.settle();
    });
    return { data: (bytes) => stream.consume(bytes.length), end() {}, reset() {}, drain() {}, recheck() {} };
  }
}

/** What a device is told of the resources it may reach. */
export function resourceList(grant: Grant): { name: string; kind: string; authority: string }[] {
  return grant.resources.map(({ name, kind, authority }) => ({ name, kind, authority }));
}
