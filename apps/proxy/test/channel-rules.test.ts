import {
  type ChannelHost,
  type ChannelStream,
  DEFAULT_LIMITS,
  decodeCborMap,
  EMPTY,
  encodeMessageEnd,
  encodeRequestHead,
  Multiplexer,
  NNpsk0,
  NoiseHandshake,
  RecordLayer,
  SIGNED_CODES,
  type StreamSink,
} from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import type { Judgement, ReadChannel } from '@sallyport/lease';
import type { Grant, RevocationEntry } from '@sallyport/security-api';
import type { ReadAgain, RightsAsker } from '@sallyport/security-client';
import { inTime } from '@sallyport/support';
import { createLog, createMetrics } from '@sallyport/telemetry';
import { afterEach, expect, test, vi } from 'vitest';
import { type ChannelStart, DeviceChannel } from '../src/device/channel.ts';
import { Channels } from '../src/device/channels.ts';
import { Serving, type ServingParts } from '../src/serving/serving.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const close of closing.splice(0)) await close();
});

const WAIT = { timeout: 90_000, interval: 5 };
const GRANT = {
  sid: 's',
  installationId: 'i',
  userId: 'u',
  userName: 'ada',
  app: 'a@1',
  generation: 0,
  sessionCreatedAt: 0,
  resources: [],
  limits: {},
  expiresInMs: 600_000,
  refreshInMs: 600_000,
} as unknown as Grant;
const REQUEST = encodeRequestHead({ method: 'GET', scheme: 'http', authority: 'wiki.corp', path: '/a', fields: [] });
const WHOLE_REQUEST = Buffer.concat([REQUEST, encodeMessageEnd()]);

/** The two ends of a channel's keys. */
function transports() {
  const start = { crypto: nodeCrypto(), suite: 1, pattern: NNpsk0, prologue: EMPTY, psk: new Uint8Array(32) } as const;
  const [device, proxy] = [true, false].map((initiator) => new NoiseHandshake({ ...start, initiator }));
  proxy!.readMessage(device!.writeMessage(EMPTY));
  device!.readMessage(proxy!.writeMessage(EMPTY));
  return { device: device!.split(), proxy: proxy!.split() };
}

/** A Proxy with one channel whose device listens; Security, the log and the lease are what the test says. */
function opened(over: Partial<Grant> = {}) {
  const grant = { ...GRANT, ...over };
  const state = {
    live: true,
    generation: 0,
    /** How often the Proxy has looked whether it has a lease. */
    looks: 0,
    judgement: 'current' as Judgement,
    /** As of which entries grants were judged. */
    judgedOf: [] as (string | undefined)[],
    /** Beats out of turn. */
    beats: 0,
    /** Since when a beat has no answer. */
    unanswered: undefined as number | undefined,
    /** For whom rights are read. */
    asked: (_asker: RightsAsker): unknown => undefined,
    rights: async (): Promise<ReadAgain | 'over' | 'no channel'> => ({ grant, asOfHash: undefined, routes: undefined }),
  };
  const log = createLog('proxy', 'error', { write: () => undefined });
  const security = {
    reauthorise: (_sid: string, asker: RightsAsker) => {
      state.asked(asker);
      return state.rights();
    },
  };
  const backends = { congested: () => false };
  const metrics = createMetrics();
  const serving = new Serving({
    log,
    metrics,
    identity: { name: 'p1' },
    security,
    backends,
  } as unknown as ServingParts);
  const channels = new Channels(serving, metrics);
  const lease = {
    get live() {
      return state.live;
    },
    get generation() {
      state.looks += 1;
      return state.generation;
    },
  };
  const follower = {
    judge: ({ asOfHash }: ReadChannel) => {
      state.judgedOf.push(asOfHash);
      return state.judgement;
    },
    seen: 0,
    get unansweredSince() {
      return state.unanswered;
    },
  };
  const control = {
    lease,
    follower,
    moved: () => {
      state.beats += 1;
    },
  };
  serving.useControl(control as unknown as Parameters<Serving['useControl']>[0]);
  const ends = transports();
  const heard = { goaways: [] as number[], notices: [] as unknown[], resets: [] as number[], closed: [] as number[] };
  const host: ChannelHost = {
    transmit: (record) => channel.receive(record),
    backlogBytes: () => 0,
    now: () => performance.now(),
    schedule: (flush) => void setImmediate(flush),
    goaway: (_last, code) => void heard.goaways.push(code),
    notice: (cbor) => void heard.notices.push(decodeCborMap(cbor)),
  };
  const device = new Multiplexer(new RecordLayer(ends.device), 'device', DEFAULT_LIMITS, host);
  const socket = {
    destroyed: false,
    outgoing: (bytes: number) => new Uint8Array(bytes),
    transmit: (record: Uint8Array) => device.receive(record.slice()),
    bufferedBytes: 0,
    close: (code: number) => void heard.closed.push(code),
    restFor: () => undefined,
    sweep: () => undefined,
  };
  const context = { id: 'a', version: '1' };
  const start = { serving, listener: channels, socket, address: '192.0.2.1', grant, context, transport: ends.proxy };
  const channel = new DeviceChannel(start as unknown as ChannelStart);
  channels.keep(channel);
  closing.push(() => channels.drain(0));
  /** Leaves a request open, of which the head is not complete unless the test says so. */
  const request = async (bytes: Uint8Array = REQUEST.slice(0, -1)): Promise<ChannelStream> => {
    const sink: StreamSink = {
      data: () => undefined,
      end: () => undefined,
      reset: (code) => void heard.resets.push(code),
      drain: () => undefined,
    };
    const stream = device.open(1, sink);
    stream.write(bytes);
    await expect.poll(() => channel.streamCount, WAIT).toBe(1);
    return stream;
  };
  return { state, channels, channel, heard, grant, request };
}

function entry(kind: RevocationEntry['kind'], subject: string, index = 7): RevocationEntry {
  return { kind, subject, index, at: 0, salt: '', hash: '' };
}

test('nothing is served before a grant was held against the log', () => {
  const { channel, grant } = opened();
  expect(channel.standing.rights).toBe(0);
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  expect(channel.standing.rights).toBeGreaterThan(0);
  expect(channel.standing.mayServe()).toBe(true);
});

test.each([
  ['session', 's'],
  ['installation', 'i'],
  ['user', 'u'],
  ['credentials', 'u'],
  ['app', 'a@1'],
  ['generation', '1'],
] as const)('an entry of kind %s that names the channel ends it before anything else runs', (kind, subject) => {
  const { channels, channel, grant, heard } = opened();
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  channels.apply(entry(kind, 'another'));
  expect(channel.standing.mayServe()).toBe(true);
  channels.apply(entry(kind, subject));
  expect([channel.standing.mayServe(), channels.size, heard.goaways]).toEqual([false, 0, [SIGNED_CODES.REVOKED]]);
});

test('a revoked version that a session says, though another one began it, ends the channel and not the session', () => {
  const { channels, channel, grant, heard } = opened({ app: 'a@0' });
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  channels.apply(entry('app', 'a@1'));
  expect([channel.standing.mayServe(), channels.size, heard.goaways]).toEqual([
    false,
    0,
    [SIGNED_CODES.CONTEXT_DENIED],
  ]);
  expect(heard.notices.at(-1)).toEqual(
    new Map([
      ['code', 'CONTEXT_DENIED'],
      ['cause', 'app'],
    ]),
  );
  // So does one that was revoked while the rights were on their way.
  const late = opened({ app: 'a@0' });
  late.state.judgement = 'refused';
  late.channel.use({ grant: late.grant, asOfHash: undefined, routes: undefined });
  expect([late.channel.standing.mayServe(), late.heard.goaways]).toEqual([false, [SIGNED_CODES.CONTEXT_DENIED]]);
});

test('a grant is judged by the hash of the log that it came with, and one that is ahead of what was seen asks for a beat', async () => {
  const { state, channel, grant } = opened();
  const asOfHash = 'a'.repeat(64);
  channel.use({ grant, asOfHash, routes: undefined });
  state.rights = async () => ({ grant: { ...grant, asOf: 1 }, asOfHash: 'b'.repeat(64), routes: undefined });
  expect(state.beats).toBe(0);
  await channel.reauthorise();
  expect(state.judgedOf).toEqual([asOfHash, 'b'.repeat(64)]);
  expect(state.beats).toBe(1);
  // However many channels wait: a beat is under way.
  state.unanswered = 7;
  await channel.reauthorise();
  expect(state.beats).toBe(1);
});

test('a grant that an entry has ended since it was read ends the channel', () => {
  const { state, channel, grant, heard } = opened();
  state.judgement = 'ended';
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  expect([channel.standing.mayServe(), heard.goaways]).toEqual([false, [SIGNED_CODES.REVOKED]]);
});

test('while changed rights are read nothing passes, and the entry is not in force', async () => {
  const { state, channels, channel, grant, request } = opened();
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  await request();
  let answer = (_read: ReadAgain): void => undefined;
  state.rights = () =>
    new Promise((resolve) => {
      answer = resolve;
    });
  channels.apply(entry('rights', 'u'));
  expect([channel.standing.rights, channels.done(7)]).toEqual([0, 6]);
  answer({ grant, asOfHash: undefined, routes: undefined });
  await expect.poll(() => channel.standing.rights, WAIT).toBeGreaterThan(0);
  expect(channels.done(7)).toBe(7);
});

test('rights that do not come in time end the channel: then its entry is in force', async () => {
  const { state, channels, channel, grant, request, heard } = opened();
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  await request();
  state.rights = () => new Promise(() => undefined);
  channels.apply(entry('rights', '*'));
  await expect.poll(() => heard.goaways, WAIT).toEqual([SIGNED_CODES.LEASE_LOST]);
  expect([channel.standing.mayServe(), channels.done(7)]).toEqual([false, 7]);
});

test('a request that only waits for rights holds up no entry, and has longer until its channel ends', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  const { state, channels, channel, grant, request, heard } = opened();
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  state.rights = () => new Promise(() => undefined);
  channels.apply(entry('rights', '*'));
  await request(WHOLE_REQUEST);
  expect([channel.standing.rights, channels.done(7)]).toEqual([0, 7]);
  vi.advanceTimersByTime(4_900);
  expect(channels.size).toBe(1);
  vi.advanceTimersByTime(300);
  expect(channels.size).toBe(0);
  expect(heard.goaways).toEqual([SIGNED_CODES.LEASE_LOST]);
});

test('a stream that ends while rights are read holds up nothing any more, and its channel stays', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  const { state, channels, channel, grant, request } = opened();
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  const stream = await request();
  const ranks: number[] = [];
  state.rights = () => new Promise(() => undefined);
  state.asked = (asker) => ranks.push(asker.rank);
  channels.apply(entry('rights', '*'));
  expect([channels.done(7), ranks]).toEqual([6, [0]]);
  stream.reset(SIGNED_CODES.CANCELLED);
  await expect.poll(() => channel.streamCount, WAIT).toBe(0);
  expect(channels.done(7)).toBe(7);
  vi.advanceTimersByTime(10_000);
  expect([channels.size, channel.standing.rights]).toEqual([1, 0]);
});

test('rights that could not be read are asked for again before the time for them is over', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout', 'performance'] });
  const { state, channels, channel, grant, request } = opened();
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  await request();
  let tries = 0;
  state.rights = async () => {
    tries += 1;
    if (tries < 3) throw new Error('no node answers');
    return { grant, asOfHash: undefined, routes: undefined };
  };
  channels.apply(entry('rights', 'u'));
  await vi.advanceTimersByTimeAsync(900);
  expect([tries, channels.done(7), channels.size]).toEqual([3, 7, 1]);
});

test('what is open when rights change again while a request waits for them is held to the shorter time', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  const { state, channels, channel, grant, request } = opened();
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  state.rights = () => new Promise(() => undefined);
  channels.apply(entry('rights', '*'));
  await request(WHOLE_REQUEST);
  vi.advanceTimersByTime(2_000);
  channels.apply(entry('rights', '*', 8));
  expect([channels.size, channels.done(8)]).toEqual([1, 7]);
  vi.advanceTimersByTime(1_300);
  expect([channels.size, channels.done(8)]).toEqual([0, 8]);
});

test.each([
  ['is over', 'over', SIGNED_CODES.SESSION_EXPIRED],
  ['is none of this Proxy', 'no channel', SIGNED_CODES.LEASE_LOST],
] as const)('a channel whose session %s ends when its rights are read', async (_what, answer, code) => {
  const { state, channel, grant, heard } = opened();
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  state.rights = async () => answer;
  await channel.reauthorise();
  expect([channel.standing.mayServe(), heard.goaways]).toEqual([false, [code]]);
});

test.each(['replaced', 'drift', 'two databases'] as const)(
  'when the log begins anew (%s) every channel ends, and nothing is being read any more',
  async (reason) => {
    const { state, channels, channel, grant, request, heard } = opened();
    channel.use({ grant, asOfHash: undefined, routes: undefined });
    await request();
    state.rights = () => new Promise(() => undefined);
    channels.apply(entry('rights', 'u'));
    channels.beginAnew(reason);
    expect([channel.standing.mayServe(), channels.size, channels.done(7)]).toEqual([false, 0, 7]);
    expect(heard.goaways).toEqual([SIGNED_CODES.LEASE_LOST]);
  },
);

test('a drift of the clocks that only the lease has seen ends every channel, too', async () => {
  const { state, channels, channel, grant } = opened();
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  state.generation = 1;
  await expect.poll(() => channels.size, WAIT).toBe(0);
  expect(channel.standing.mayServe()).toBe(false);
});

test('without a lease nothing passes from that moment; what is open ends, and the channel goes on with the next lease', async () => {
  const { state, channel, grant, request, heard } = opened();
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  await request();
  await expect.poll(() => state.looks, WAIT).toBeGreaterThan(0);
  state.live = false;
  expect(channel.standing.mayServe()).toBe(false);
  await expect.poll(() => heard.resets, WAIT).toEqual([SIGNED_CODES.LEASE_LOST]);
  state.live = true;
  expect(channel.standing.mayServe()).toBe(true);
  await expect.poll(() => heard.notices, WAIT).toHaveLength(2);
  expect(heard.goaways).toEqual([]);
});

test('a session serves no longer than it lasts, whether anybody looks or not', async () => {
  const { channel, heard } = await inTime(150, async (expiresInMs) => {
    const { grant, ...of } = opened({ expiresInMs });
    of.channel.use({ grant, asOfHash: undefined, routes: undefined });
    if (!of.channel.standing.mayServe()) return undefined;
    const until = performance.now() + expiresInMs;
    await expect.poll(() => performance.now() > until, WAIT).toBe(true);
    return of;
  });
  expect(channel.standing.mayServe()).toBe(false);
  await expect.poll(() => heard.goaways, WAIT).toEqual([SIGNED_CODES.SESSION_EXPIRED]);
});

test('no channel lives for longer than half a day, however long its session lasts', () => {
  const { channel, grant, heard } = opened({ expiresInMs: 48 * 3_600_000, refreshInMs: 48 * 3_600_000 });
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  const halfADay = performance.now() + 12 * 3_600_000;
  channel.sweep(halfADay - 60_000);
  expect(heard.goaways).toEqual([]);
  channel.sweep(halfADay);
  expect(heard.goaways).toEqual([SIGNED_CODES.SESSION_EXPIRED]);
});

test('channels without a lease are kept for a minute, and end then', async () => {
  const { state, channel, grant, heard } = opened();
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  await expect.poll(() => state.looks, WAIT).toBeGreaterThan(0);
  state.live = false;
  await expect.poll(() => heard.notices, WAIT).toHaveLength(1);
  const now = performance.now.bind(performance);
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + 60_000);
  closing.push(async () => clock.mockRestore());
  await expect.poll(() => heard.goaways, WAIT).toEqual([SIGNED_CODES.LEASE_LOST]);
});
