import {
  type CborInput,
  type ChannelStream,
  DEFAULT_LIMITS,
  decodeHello,
  decodeSessionAsk,
  deriveChannelKey,
  deriveEndKey,
  encodeCbor,
  encodeHint,
  encodeMessageEnd,
  encodeResponseHead,
  encodeSessionTold,
  type HintCode,
  keyOf,
  MESSAGE_TYPES,
  Multiplexer,
  ProxyOpening,
  RecordLayer,
  type Route,
  type SessionSecret,
  SIGNED_CODES,
  type Standing,
  sealRoutes,
} from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import type { WebSocketFactory, WebSocketLike } from '../src/gateway/socket.ts';
import type { StoredSession } from '../src/kept/record.ts';

const crypto = serverCrypto();

/** What one Proxy does: serves, refuses connections, says nothing at all, or says why it opens no channel. */
type Mood = 'up' | 'down' | 'mute' | HintCode;

/** One Proxy of a gateway whose sites are in this process. */
export class FakeProxy {
  readonly origin: string;
  readonly site: string;
  mood: Mood = 'up';
  /** Ms that a connection takes. */
  connectMs = 0;
  /** False while streams get no answer. */
  answers = true;
  /** What it says right behind WELCOME, where it lets nobody in. */
  refuses: keyof typeof SIGNED_CODES | undefined;
  /** Connections that were made, HELLOs that came, and requests. */
  dialled = 0;
  hellos = 0;
  requests = 0;
  readonly channels: Set<FakeChannel> = new Set();

  constructor(origin: string) {
    this.origin = origin;
    // wss://b-2 is the second Proxy of the site b.
    this.site = new URL(origin).hostname.split('-')[0]!;
  }

  /** Ends all that stands, as a process does that is killed; connections are refused from now on. */
  kill(): void {
    this.mood = 'down';
    for (const channel of [...this.channels]) channel.cut();
  }

  /** Says the same on every channel. */
  announce(notice: CborInput): void {
    for (const channel of this.channels) channel.announce(notice);
  }
}

/** Proxies of several sites, and Security behind them, which says where resources are. */
export class FakeGateway {
  readonly session: StoredSession;
  readonly proxies: Map<string, FakeProxy> = new Map();
  routes: readonly Route[] | undefined;
  asOf = 1;
  epoch: string = '0'.repeat(32);
  /** True where Security could not say all routes. */
  more = false;
  /** What each Proxy lists as its own in WELCOME, beside the resource of its site. */
  claimed: readonly string[] = [];
  siteMapSeq: number | undefined;
  /** What Security says of the session to who asks; undefined: nothing. */
  standing: Standing | undefined;
  /** The highest number of a channel, as Security keeps it. */
  lastChanNo = 0;

  constructor(session: StoredSession, origins: readonly string[]) {
    this.session = session;
    for (const origin of origins) this.proxies.set(origin, new FakeProxy(origin));
  }

  readonly webSocket: WebSocketFactory = (url) =>
    new FakeSocket(this, this.at(new URL(url).origin)) as unknown as WebSocketLike;

  at(origin: string): FakeProxy {
    const known = this.proxies.get(origin) ?? new FakeProxy(origin);
    this.proxies.set(origin, known);
    return known;
  }

  /** Routes as Security seals them for the session. */
  sealed(): Uint8Array | undefined {
    if (!this.routes) return undefined;
    const of = { secret: keyOf<SessionSecret>(this.session.secret), sid: this.session.sid };
    const { epoch, asOf, routes, more } = this;
    return sealRoutes(crypto, of, { epoch, asOf, routes, ...(more ? { more } : {}) });
  }
}

class FakeSocket extends EventTarget {
  binaryType = '';
  readonly bufferedAmount = 0;
  readonly #gateway: FakeGateway;
  readonly #proxy: FakeProxy;
  #channel: FakeChannel | undefined;
  #open = true;

  constructor(gateway: FakeGateway, proxy: FakeProxy) {
    super();
    this.#gateway = gateway;
    this.#proxy = proxy;
    proxy.dialled += 1;
    if (proxy.mood === 'mute') return;
    setTimeout(() => this.#tell(proxy.mood === 'down' ? 'close' : 'open'), proxy.connectMs);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    if (this.#channel) this.#proxy.channels.delete(this.#channel);
    this.#tell('close');
  }

  send(bytes: Uint8Array): void {
    if (!this.#open) return;
    if (this.#channel) return this.#channel.receive(bytes);
    const { standing, session } = this.#gateway;
    if (bytes[0] === MESSAGE_TYPES.ASK && standing) {
      const key = deriveEndKey(crypto, keyOf<SessionSecret>(session.secret));
      return this.say(encodeSessionTold(crypto, key, decodeSessionAsk(bytes), standing));
    }
    if (bytes[0] !== MESSAGE_TYPES.HELLO) return this.say(encodeHint('BAD_MESSAGE'));
    this.#proxy.hellos += 1;
    const { mood } = this.#proxy;
    if (mood !== 'up') return this.say(encodeHint(mood as HintCode));
    this.#welcome(bytes);
  }

  say(bytes: Uint8Array): void {
    const data = Uint8Array.from(bytes).buffer;
    queueMicrotask(() => this.#open && this.dispatchEvent(new MessageEvent('message', { data })));
  }

  #welcome(bytes: Uint8Array): void {
    const hello = decodeHello(bytes);
    if (Buffer.from(hello.audience).toString() !== `main/${this.#proxy.site}`) return this.say(encodeHint('DENIED'));
    const chanNo = Number(Buffer.from(hello.chanNo).readBigUInt64BE());
    if (chanNo <= this.#gateway.lastChanNo) return this.say(encodeHint('CHAN_REPLAY'));
    this.#gateway.lastChanNo = chanNo;
    const secret = keyOf<SessionSecret>(this.#gateway.session.secret);
    const opening = new ProxyOpening(crypto, hello, deriveChannelKey(crypto, secret, { ...hello, mode: 1 }));
    opening.readHello(hello);
    const { siteMapSeq } = this.#gateway;
    const routes = this.#gateway.sealed();
    const { message, transport } = opening.writeWelcome({
      limits: { open_burst: 1_000, open_rate: 1_000 },
      expires_in: 1_000_000,
      resources: [this.#proxy.site, ...this.#gateway.claimed].map((name) => ({
        ...{ name, kind: 'http', authority: `${name}.test` },
      })),
      ...(routes ? { routes } : {}),
      ...(siteMapSeq === undefined ? {} : { site_map_seq: siteMapSeq }),
    });
    this.say(message);
    this.#channel = new FakeChannel(this.#proxy, new RecordLayer(transport), this);
    this.#proxy.channels.add(this.#channel);
    if (this.#proxy.refuses) this.#channel.goaway(this.#proxy.refuses);
  }

  #tell(type: string): void {
    this.dispatchEvent(new Event(type));
  }
}

class FakeChannel {
  readonly #socket: FakeSocket;
  readonly #mux: Multiplexer;
  /** False while nothing that comes is answered. */
  hears = true;

  constructor(proxy: FakeProxy, records: RecordLayer, socket: FakeSocket) {
    this.#socket = socket;
    this.#mux = new Multiplexer(records, 'proxy', DEFAULT_LIMITS, {
      transmit: (record) => socket.say(record),
      backlogBytes: () => 0,
      now: () => performance.now(),
      schedule: (flush) => queueMicrotask(flush),
      accept: (stream) => new FakeStream(proxy, stream),
    });
  }

  receive(bytes: Uint8Array): void {
    if (this.hears) this.#mux.receive(bytes);
  }

  announce(notice: CborInput): void {
    this.#mux.announce(encodeCbor(notice));
  }

  goaway(code: keyof typeof SIGNED_CODES): void {
    this.#mux.goaway(SIGNED_CODES[code]);
    this.#mux.flush();
  }

  /** Ends all streams that are open. */
  resetAll(code: keyof typeof SIGNED_CODES): void {
    this.#mux.resetAll(SIGNED_CODES[code]);
  }

  cut(): void {
    this.#socket.close();
  }
}

/** Answers every request with 204 as soon as it is whole, and says which site it came to. */
class FakeStream {
  readonly #proxy: FakeProxy;
  readonly #stream: ChannelStream;

  constructor(proxy: FakeProxy, stream: ChannelStream) {
    this.#proxy = proxy;
    this.#stream = stream;
    // Nothing goes on for it once it is over.
    stream.settle();
  }

  data(bytes: Uint8Array): void {
    this.#stream.consume(bytes.length);
  }

  end(): void {
    this.#proxy.requests += 1;
    if (!this.#proxy.answers) return;
    this.#stream.write(encodeResponseHead({ status: 204, fields: [['x-site', this.#proxy.site]] }));
    this.#stream.write(encodeMessageEnd());
    this.#stream.finish();
  }

  reset(): void {}
  drain(): void {}
}
