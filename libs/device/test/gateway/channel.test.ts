import {
  type AppContext,
  type CborInput,
  DEFAULT_LIMITS,
  decodeHello,
  deriveChannelKey,
  encodeCbor,
  Multiplexer,
  ProxyOpening,
  RecordLayer,
  type SessionSecret,
  SIGNED_CODES,
} from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import { expect, onTestFinished, test, vi } from 'vitest';
import { type ChannelListener, GatewayChannel } from '../../src/gateway/channel.ts';
import { GatewaySocket, type WebSocketLike } from '../../src/gateway/socket.ts';

const crypto = serverCrypto();
const secret = crypto.randomBytes(32);
const session = { sid: crypto.randomBytes(16), secret, reservedChanNo: 10 };
const context: AppContext = {
  id: 'test.app',
  version: '1',
  build: '1',
  signer: new Uint8Array(32),
  os: 'linux',
  osVersion: '6',
  osPatch: '',
  model: 'test',
  posture: { rooted: false },
  sdk: 'test',
};

/** A Proxy that answers a HELLO with WELCOME, and says more in the same breath. */
class HastyProxy implements WebSocketLike {
  binaryType = '';
  readonly bufferedAmount = 0;
  readonly #listeners = new Map<string, (event: { data: unknown }) => void>();
  readonly #more: (channel: Multiplexer) => void;
  #channel: Multiplexer | undefined;

  constructor(more: (channel: Multiplexer) => void) {
    this.#more = more;
    queueMicrotask(() => this.#tell('open'));
  }

  addEventListener(type: string, listener: (event: { data: unknown }) => void): void {
    this.#listeners.set(type, listener);
  }

  close(): void {}

  send(bytes: Uint8Array): void {
    // What comes on the channel is nothing to it.
    if (this.#channel) return;
    const hello = decodeHello(bytes);
    const key = deriveChannelKey(crypto, secret as SessionSecret, { ...hello, mode: 1 });
    const opening = new ProxyOpening(crypto, hello, key);
    opening.readHello(hello);
    const limits = { open_burst: 10, open_rate: 10 };
    const { message, transport } = opening.writeWelcome({ limits, expires_in: 1_000, resources: [] });
    this.#say(message);
    const host = { transmit: (record: Uint8Array) => this.#say(record), backlogBytes: () => 0, now: () => 0 };
    const channel = new Multiplexer(new RecordLayer(transport), 'proxy', DEFAULT_LIMITS, {
      ...host,
      schedule: (flush) => flush(),
    } as ConstructorParameters<typeof Multiplexer>[3]);
    this.#channel = channel;
    this.#more(channel);
    channel.flush();
  }

  #say(bytes: Uint8Array): void {
    this.#tell('message', new Uint8Array(bytes).buffer);
  }

  #tell(type: string, data?: unknown): void {
    this.#listeners.get(type)?.({ data });
  }
}

/** A channel to a Proxy that says more in the same breath. */
async function opened(more: (channel: Multiplexer) => void, listener: ChannelListener): Promise<GatewayChannel> {
  const socket = await GatewaySocket.connect(() => new HastyProxy(more), 'ws://proxy');
  const place = { origin: 'ws://proxy', site: 'here', audience: 'main/here' };
  return GatewayChannel.open({ crypto, socket, session, chanNo: 1, place, context, listener });
}

/** What a device hears of a Proxy that says something right behind its WELCOME; all it hears before `begin` is wrong. */
async function heard(more: (channel: Multiplexer) => void): Promise<{ early: unknown[]; later: unknown[] }> {
  const said: unknown[] = [];
  const listener: ChannelListener = {
    closed: (code) => {
      said.push(['closed', code]);
      return undefined;
    },
    draining: () => said.push('draining'),
    notice: (notice) => said.push(['notice', notice.optionalText('code')]),
    silent: () => undefined,
    doubted: () => undefined,
    pinged: () => undefined,
  };
  const channel = await opened(more, listener);
  const early = said.splice(0);
  channel.begin();
  const later = said.splice(0);
  channel.close();
  return { early, later };
}

const lost: CborInput = { code: 'LEASE_LOST' };
test.each([
  ['a notice', (channel: Multiplexer) => channel.announce(encodeCbor(lost)), ['notice', 'LEASE_LOST']],
  ['that it drains', (channel: Multiplexer) => channel.goaway(SIGNED_CODES.DRAINING), 'draining'],
  ['that the session is over', (channel: Multiplexer) => channel.goaway(SIGNED_CODES.REVOKED), ['closed', 'REVOKED']],
])('what a Proxy says right behind its WELCOME is heard once the channel is in use: %s', async (_, more, what) => {
  expect(await heard(more)).toEqual({ early: [], later: [what] });
});

test.each([
  ['CALM_DOWN', 'streams are open'],
  ['DRAINING', 'nothing is open'],
  ['REVOKED', 'nothing is open'],
] as const)('who waits to open a stream looks elsewhere at once when the Proxy says %s and %s', async (code, open) => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const proxy: Multiplexer[] = [];
  const channel: GatewayChannel = await opened((its) => void proxy.push(its), {
    closed: () => undefined,
    draining: () => channel.retire(),
    notice: () => undefined,
    silent: () => undefined,
    doubted: () => undefined,
    pinged: () => undefined,
  });
  channel.begin();
  const sink = { data: () => undefined, end: () => undefined, reset: () => undefined, drain: () => undefined };
  const streams: { reset(code: number): void }[] = [];
  let refused: unknown;
  // The Proxy lets ten be opened at once.
  const opening = Array.from({ length: 10 }, () => channel.openStream(1, sink));
  for (const stream of opening)
    void stream.then(
      (its) => streams.push(its),
      (error: unknown) => {
        refused = error;
      },
    );
  await vi.advanceTimersByTimeAsync(1);
  expect([streams.length, refused]).toEqual([9, undefined]);
  if (open === 'nothing is open') for (const stream of streams) stream.reset(SIGNED_CODES.CANCELLED);
  await vi.advanceTimersByTimeAsync(1);
  proxy[0]!.goaway(SIGNED_CODES[code]);
  await vi.advanceTimersByTimeAsync(1);
  expect(refused).toMatchObject({ code: 'CONNECTION_LOST', mayHaveRun: false });
});
