import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeText, encodeUint, formatHex } from '../src/bytes.ts';
import { SIGNED_CODES } from '../src/codes.ts';
import { FRAME_TYPES, type Frame, writeFrame } from '../src/frame.ts';
import { DEFAULT_LIMITS } from '../src/limits.ts';
import { Multiplexer } from '../src/multiplexer.ts';
import { REKEY_RECORDS, RecordLayer } from '../src/record.ts';
import type { ChannelStream } from '../src/stream.ts';
import { Pipe, Recorder, transportPair } from './pipe.ts';

/** Gives every stream back what it sent. */
function echo(stream: ChannelStream): Recorder {
  const sink = new (class extends Recorder {
    override data(bytes: Uint8Array): void {
      super.data(bytes);
      stream.write(Uint8Array.from(bytes));
    }
    override end(): void {
      super.end();
      stream.finish();
      stream.settle();
    }
    override reset(code: number): void {
      super.reset(code);
      stream.settle();
    }
  })();
  sink.stream = stream;
  return sink;
}

function openWith(pipe: Pipe, bytes: Uint8Array, finish = true): Recorder {
  const sink = new Recorder();
  sink.stream = pipe.device.open(1, sink);
  sink.stream.write(bytes);
  if (finish) sink.stream.finish();
  return sink;
}

test('a small request is one record and one frame', () => {
  const pipe = new Pipe(echo);
  const sink = openWith(pipe, encodeText('hello'));
  pipe.step();
  expect(pipe.toProxy.length).toBe(1);
  expect(pipe.toProxy[0]!.length).toBe(8 + 1 + 5 + 16);
  pipe.settle();
  expect(sink.bytes).toEqual(encodeText('hello'));
  expect(sink.ended).toBe(true);
  expect(pipe.device.streamCount + pipe.proxy.streamCount).toBe(0);
});

test('any interleaving of writes keeps every stream intact', () => {
  const write = fc.record({ stream: fc.nat(7), size: fc.integer({ min: 0, max: 200_000 }), steps: fc.nat(5) });
  fc.assert(
    fc.property(fc.array(write, { maxLength: 40 }), (writes) => {
      const pipe = new Pipe(echo);
      const sinks = Array.from({ length: 8 }, () => openWith(pipe, new Uint8Array(0), false));
      const sent: Uint8Array[][] = sinks.map(() => []);
      for (const [index, { stream, size, steps }] of writes.entries()) {
        const bytes = new Uint8Array(size).fill(index + 1);
        sent[stream]!.push(bytes);
        sinks[stream]!.stream!.write(bytes);
        for (let i = 0; i < steps; i++) pipe.step();
      }
      for (const sink of sinks) sink.stream!.finish();
      pipe.settle();
      for (const [index, sink] of sinks.entries()) {
        expect(sink.ended).toBe(true);
        expect(Buffer.compare(sink.bytes, Buffer.concat(sent[index]!))).toBe(0);
      }
      expect(pipe.device.streamCount + pipe.proxy.streamCount).toBe(0);
    }),
    { numRuns: 60 },
  );
});

test('a reader that does not consume holds its stream at the window and lets others pass', () => {
  const slow = new Recorder(false);
  const pipe = new Pipe((stream) => (stream.id === 1 ? slow : echo(stream)));
  openWith(pipe, new Uint8Array(1_000_000));
  const other = openWith(pipe, new Uint8Array(500_000).fill(5));
  pipe.settle();
  expect(slow.bytes.length).toBe(DEFAULT_LIMITS.streamWindowBytes);
  expect(other.bytes.length).toBe(500_000);
  pipe.accepted[0]!.consume(slow.bytes.length);
  pipe.settle();
  expect(slow.bytes.length).toBe(2 * DEFAULT_LIMITS.streamWindowBytes);
});

test('the streams of a channel together never pass its window', () => {
  const sinks: Recorder[] = [];
  const pipe = new Pipe(() => {
    const sink = new Recorder(false);
    sinks.push(sink);
    return sink;
  });
  for (let i = 0; i < 10; i++) openWith(pipe, new Uint8Array(250_000));
  pipe.settle();
  const received = (): number => sinks.reduce((sum, sink) => sum + sink.bytes.length, 0);
  expect(received()).toBe(DEFAULT_LIMITS.channelWindowBytes);
  for (const stream of pipe.accepted) stream.reset(SIGNED_CODES.CANCELLED);
  pipe.settle();
  const last = openWith(pipe, new Uint8Array(250_000));
  pipe.settle();
  expect(last.resetCode ?? received()).toBe(DEFAULT_LIMITS.channelWindowBytes + 250_000);
});

test('a reset stream counts until its work has stopped', () => {
  const pipe = new Pipe(() => new Recorder(), { streams: 4 });
  const opened = Array.from({ length: 4 }, () => openWith(pipe, new Uint8Array(1)));
  pipe.settle();
  for (const sink of opened) sink.stream!.reset(SIGNED_CODES.CANCELLED);
  pipe.settle();
  expect(pipe.device.streamCount).toBe(0);
  const refused = openWith(pipe, new Uint8Array(1));
  pipe.settle();
  expect(refused.resetCode).toBe(SIGNED_CODES.STREAM_LIMIT);
  for (const stream of pipe.accepted) stream.settle();
  openWith(pipe, new Uint8Array(1), false);
  pipe.settle();
  expect(pipe.accepted.length).toBe(5);
});

test('streams opened too fast are refused, not processed, and the channel lives on', () => {
  const pipe = new Pipe(echo, { openBurst: 3, openRate: 1 });
  const sinks = Array.from({ length: 5 }, () => openWith(pipe, encodeText('x')));
  pipe.settle();
  expect(sinks.map((sink) => sink.resetCode)).toEqual([undefined, undefined, undefined, 43, 43]);
  pipe.time += 1_000;
  const later = openWith(pipe, encodeText('x'));
  pipe.settle();
  expect(later.ended).toBe(true);
});

test('a device that resets too many streams is told to calm down and cut off', () => {
  const pipe = new Pipe(echo, { resetBurst: 3, resetRate: 1 });
  const opened = Array.from({ length: 6 }, () => openWith(pipe, encodeText('x'), false));
  pipe.settle();
  for (const sink of opened) sink.stream!.reset(SIGNED_CODES.CANCELLED);
  expect(() => pipe.settle()).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_LIMIT' }));
  expect(pipe.proxy.closed).toBe(true);
});

/** A device that sends whatever frames it likes. */
function rogue(): { proxy: Multiplexer; send: (...frames: Partial<Frame>[]) => void } {
  const [a, b] = transportPair();
  const records = new RecordLayer(a);
  const proxy = new Multiplexer(new RecordLayer(b), 'proxy', DEFAULT_LIMITS, {
    transmit: () => undefined,
    backlogBytes: () => 0,
    now: () => 0,
    schedule: () => undefined,
    accept: () => new Recorder(false),
  });
  const send = (...frames: Partial<Frame>[]): void => {
    const buffer = new Uint8Array(65_519);
    let end = 0;
    for (const frame of frames) {
      end = writeFrame(buffer, end, { type: 1, flags: 0, stream: 0, data: new Uint8Array(0), ...frame });
    }
    proxy.receive(records.seal(buffer.subarray(0, end)));
  };
  return { proxy, send };
}

const open = (stream: number, size = 0): Partial<Frame> => ({
  type: FRAME_TYPES.OPEN,
  stream,
  data: new Uint8Array(size + 1).fill(1),
});

test.each<[string, Partial<Frame>[]]>([
  ['an even stream id', [open(2)]],
  ['a stream id that does not rise', [open(3), open(1)]],
  ['a stream id used twice', [open(1), open(1)]],
  ['data on a stream never opened', [{ type: FRAME_TYPES.DATA, stream: 5 }]],
  [
    'data after the end',
    [open(1), { type: FRAME_TYPES.DATA, stream: 1, flags: 1 }, { type: FRAME_TYPES.DATA, stream: 1 }],
  ],
  ['an OPEN without a kind', [{ type: FRAME_TYPES.OPEN, stream: 1 }]],
  ['an unknown frame type below 0x80', [{ type: 0x33 }]],
  ['an unknown flag', [{ type: FRAME_TYPES.DATA, stream: 1, flags: 2 }]],
  ['a flag where none belongs', [{ type: FRAME_TYPES.PING, flags: 1, data: new Uint8Array(8) }]],
  ['a window too large', [{ type: FRAME_TYPES.WINDOW, data: encodeUint(0xffffffff, 4) }]],
  ['a stream window too large', [open(1), { type: FRAME_TYPES.WINDOW, stream: 1, data: encodeUint(0x7fffffff, 4) }]],
  ['a ping of another size', [{ type: FRAME_TYPES.PING, data: new Uint8Array(7) }]],
  ['a ping on a stream', [{ type: FRAME_TYPES.PING, stream: 1, data: new Uint8Array(8) }]],
  ['a notice from a device', [{ type: FRAME_TYPES.NOTICE }]],
  ['a reset of a stream never opened', [{ type: FRAME_TYPES.RESET, stream: 9, data: new Uint8Array(2) }]],
  [
    'data beyond the credit of the stream',
    [
      open(1),
      ...Array.from({ length: 6 }, () => ({ type: FRAME_TYPES.DATA, stream: 1, data: new Uint8Array(50_000) })),
    ],
  ],
])('%s ends the channel', (_what, frames) => {
  const { proxy, send } = rogue();
  expect(() => {
    for (const frame of frames) send(frame);
  }).toThrow(expect.objectContaining({ name: 'ChannelError' }));
  expect(proxy.closed).toBe(true);
  expect(() => send({ type: FRAME_TYPES.PAD })).toThrow();
});

test('unknown frames from 0x80 on and padding are ignored', () => {
  const { proxy, send } = rogue();
  send(
    { type: 0x80, flags: 9, stream: 7, data: new Uint8Array(10) },
    { type: FRAME_TYPES.PAD, data: new Uint8Array(99) },
    open(1),
  );
  expect(proxy.streamCount).toBe(1);
});

test('a peer that floods pings and never reads is cut off', () => {
  const { proxy, send } = rogue();
  const pings = Array.from({ length: 500 }, () => ({ type: FRAME_TYPES.PING, data: new Uint8Array(8) }));
  expect(() => {
    for (let i = 0; i < 4; i++) send(...pings);
  }).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_LIMIT' }));
  expect(proxy.closed).toBe(true);
});

test('both directions agree across two rekeys', () => {
  const [a, b] = transportPair();
  const [device, proxy] = [new RecordLayer(a), new RecordLayer(b)];
  const frames = encodeText('x');
  for (let i = 0; i < 2 * REKEY_RECORDS + 3; i++) {
    const opened = proxy.open(device.seal(frames));
    if (i % REKEY_RECORDS < 3) expect(formatHex(opened)).toBe(formatHex(frames));
  }
});

test('one record that does not open destroys both directions', () => {
  const [a, b] = transportPair();
  const [device, proxy] = [new RecordLayer(a), new RecordLayer(b)];
  const good = device.seal(encodeText('x'));
  expect(() => proxy.open(device.seal(encodeText('y')))).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_OPEN' }));
  expect(() => proxy.open(good)).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_CLOSED' }));
  expect(() => proxy.seal(good)).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_CLOSED' }));
});

test('a stream reset before it was sent is unknown to the peer and harms nothing', () => {
  const pipe = new Pipe(echo);
  openWith(pipe, encodeText('never sent')).stream!.reset(SIGNED_CODES.CANCELLED);
  const next = openWith(pipe, encodeText('sent'));
  pipe.settle();
  expect(next.bytes).toEqual(encodeText('sent'));
  expect(pipe.accepted.length).toBe(1);
});

test('GOAWAY stops new streams and lets the open ones finish', () => {
  const pipe = new Pipe(echo);
  const before = openWith(pipe, encodeText('before'), false);
  pipe.settle();
  pipe.proxy.goaway(SIGNED_CODES.DRAINING);
  pipe.settle();
  expect(pipe.goaways).toEqual([SIGNED_CODES.DRAINING]);
  expect(() => openWith(pipe, encodeText('after'))).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_CLOSED' }));
  before.stream!.finish();
  pipe.settle();
  expect(before.ended).toBe(true);
});

test('a stream that crosses a GOAWAY was certainly not processed, and its opener hears so before the channel ends', () => {
  const pipe = new Pipe(echo);
  const before = openWith(pipe, encodeText('before'), false);
  pipe.settle();
  pipe.proxy.goaway(SIGNED_CODES.DRAINING);
  pipe.proxy.flush();
  const crossing = openWith(pipe, encodeText('crossing'));
  pipe.device.receive(pipe.toDevice.shift()!);
  expect(crossing.resetCode).toBe(SIGNED_CODES.NOT_PROCESSED);
  expect(before.resetCode).toBeUndefined();
});

test('borrowed bytes arrive whole, whatever becomes of their memory after the call', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 90_000 }), { maxLength: 12 }), fc.boolean(), (sizes, settling) => {
      const sink = new Recorder();
      const pipe = new Pipe(() => new Recorder());
      sink.stream = pipe.device.open(1, sink);
      sink.stream.write(encodeText('x'));
      pipe.settle();
      const stream = pipe.accepted[0]!;
      const lent = new Uint8Array(90_000);
      const sent: Uint8Array[] = [];
      for (const [i, size] of sizes.entries()) {
        const part = lent.subarray(0, size).fill(i + 1);
        sent.push(Uint8Array.from(part));
        stream.writeBorrowed(part);
        lent.fill(0xee);
        if (settling) pipe.settle();
      }
      stream.finish();
      pipe.settle();
      expect(Buffer.compare(sink.bytes, Buffer.concat(sent))).toBe(0);
      expect(sink.ended).toBe(true);
    }),
    { numRuns: 100 },
  );
});

test('a writer of borrowed bytes stops when there is no credit and is called back when there is', () => {
  const held = new Recorder(false);
  const sink = new Recorder();
  const pipe = new Pipe((stream) => {
    sink.stream = stream;
    return sink;
  });
  held.stream = pipe.device.open(1, held);
  held.stream.write(encodeText('x'));
  pipe.settle();
  const part = new Uint8Array(64_000);
  let written = 0;
  while (sink.stream!.writeBorrowed(part)) written += part.length;
  expect(written).toBeLessThanOrEqual(DEFAULT_LIMITS.streamWindowBytes);
  pipe.settle();
  expect(sink.drains).toBe(0);
  held.stream.consume(held.bytes.length);
  pipe.settle();
  expect(sink.drains).toBe(1);
});

test('a Proxy that is overloaded refuses new streams unread, and open ones go on', () => {
  let busy = false;
  const pipe = new Pipe(echo, {}, { refusal: () => (busy ? SIGNED_CODES.CALM_DOWN : undefined) });
  const open = openWith(pipe, encodeText('one'), false);
  pipe.settle();
  busy = true;
  const refused = openWith(pipe, encodeText('two'));
  open.stream!.write(encodeText('more'));
  open.stream!.finish();
  pipe.settle();
  expect(refused.resetCode).toBe(SIGNED_CODES.CALM_DOWN);
  expect(pipe.accepted.length).toBe(1);
  expect(open.bytes).toEqual(encodeText('onemore'));
});

test('a peer that does not read ends its channel, also when it is not the one who speaks', () => {
  let broken = 0;
  const onBroken = (): void => {
    broken += 1;
  };
  const pipe = new Pipe(() => new Recorder(false), {}, { broken: onBroken });
  openWith(pipe, encodeText('x'), false);
  pipe.settle();
  for (let i = 0; i < 2_000 && broken === 0; i++) pipe.proxy.announce(encodeText('notice'));
  expect(broken).toBe(1);
  expect(pipe.proxy.closed).toBe(true);
});

/** A Proxy's end that notes what its limits and its consumers did. */
function guarded(accept: (stream: ChannelStream) => Recorder, limits: Partial<typeof DEFAULT_LIMITS> = {}) {
  const noted: { limits: string[]; faults: unknown[] } = { limits: [], faults: [] };
  const pipe = new Pipe(accept, limits, {
    limited: (limit) => void noted.limits.push(limit),
    streamFailed: (_stream, error) => void noted.faults.push(error),
  });
  return { pipe, noted };
}

class Thrower extends Recorder {
  readonly #when: 'data' | 'end' | 'reset' | 'drain';
  constructor(when: 'data' | 'end' | 'reset' | 'drain') {
    super();
    this.#when = when;
  }
  #maybe(what: string): void {
    if (what === this.#when) throw new RangeError(`thrown by ${what}`);
  }
  override data(): void {
    this.#maybe('data');
  }
  override end(): void {
    this.#maybe('end');
  }
  override reset(): void {
    this.#maybe('reset');
  }
}

test.each(['data', 'end', 'reset'] as const)('a consumer that throws in %s ends its own stream only', (when) => {
  const { pipe, noted } = guarded((stream) => (stream.id === 1 ? new Thrower(when) : echo(stream)));
  const bad = openWith(pipe, encodeText('bad'));
  const good = openWith(pipe, encodeText('good'));
  if (when === 'reset') {
    pipe.settle();
    bad.stream!.reset(SIGNED_CODES.CANCELLED);
  }
  pipe.settle();
  expect(noted.faults).toEqual([expect.any(RangeError)]);
  if (when !== 'reset') expect(bad.resetCode).toBe(SIGNED_CODES.CANCELLED);
  expect(good.bytes).toEqual(encodeText('good'));
  expect(pipe.proxy.closed).toBe(false);
  const next = openWith(pipe, encodeText('next'));
  pipe.settle();
  expect(next.bytes).toEqual(encodeText('next'));
});

test('a throwing app on the device ends its own stream only, too', () => {
  const pipe = new Pipe(echo);
  const sink = new Thrower('data');
  sink.stream = pipe.device.open(1, sink);
  sink.stream.write(encodeText('x'));
  const good = openWith(pipe, encodeText('good'));
  pipe.settle();
  expect(good.bytes).toEqual(encodeText('good'));
  expect(pipe.device.closed || pipe.proxy.closed).toBe(false);
});

test('the same app context again changes nothing; too many other ones end the channel with CALM_DOWN', () => {
  const { pipe, noted } = guarded(echo, { contextBurst: 3, contextRate: 1 });
  for (let i = 0; i < 500; i++) {
    pipe.device.announce(encodeText('same'));
    pipe.settle();
  }
  expect(pipe.contexts.length).toBe(1);
  expect(() => {
    for (let i = 0; i < 5; i++) {
      pipe.device.announce(encodeText(`other ${i}`));
      pipe.settle();
    }
  }).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_LIMIT' }));
  expect(noted.limits).toEqual(['contexts']);
  expect(pipe.contexts.length).toBe(3);
});

test('more pings than a living channel needs end it with CALM_DOWN', () => {
  const { pipe, noted } = guarded(echo, { pingBurst: 5, pingRate: 1 });
  for (let i = 0; i < 5; i++) pipe.device.ping(new Uint8Array(8));
  pipe.settle();
  pipe.device.ping(new Uint8Array(8));
  expect(() => pipe.settle()).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_LIMIT' }));
  expect(noted.limits).toEqual(['pings']);
});

test('thousands of pieces of one byte reach their stream together, and are owed for', () => {
  const [a, b] = transportPair();
  const records = new RecordLayer(a);
  const sink = new Recorder();
  let time = 0;
  const proxy = new Multiplexer(new RecordLayer(b), 'proxy', DEFAULT_LIMITS, {
    transmit: () => undefined,
    backlogBytes: () => 0,
    now: () => time,
    schedule: () => undefined,
    accept: (stream) => {
      sink.stream = stream;
      return sink;
    },
  });
  const pieces = 7_000;
  const send = (type: number, length: number, count: number): void => {
    const buffer = new Uint8Array(65_519);
    let end = 0;
    for (let i = 0; i < count; i++)
      end = writeFrame(buffer, end, { type, flags: 0, stream: 1, data: new Uint8Array(length).fill(i % 251) });
    proxy.receive(records.seal(buffer.subarray(0, end)));
  };
  send(FRAME_TYPES.OPEN, 1, 1);
  send(FRAME_TYPES.DATA, 1, pieces);
  expect(sink.parts.length).toBe(1);
  expect(sink.bytes).toEqual(Uint8Array.from({ length: pieces }, (_, i) => i % 251));
  expect(proxy.owedMs()).toBe(0);
  send(FRAME_TYPES.DATA, 1, pieces);
  expect(proxy.owedMs()).toBeGreaterThan(1_000);
  time += 60_000;
  expect(proxy.owedMs()).toBe(0);
});

test.each([
  ['behind a GOAWAY of the device', true],
  ['beyond the streams that may be open', false],
])('streams that are refused %s are owed for like small pieces', (_name, goesAway) => {
  const [a, b] = transportPair();
  const records = new RecordLayer(a);
  const proxy: Multiplexer = new Multiplexer(
    new RecordLayer(b),
    'proxy',
    { ...DEFAULT_LIMITS, streams: 1 },
    {
      transmit: () => undefined,
      backlogBytes: () => 0,
      now: () => 0,
      schedule: () => undefined,
      accept: () => new Recorder(),
    },
  );
  const send = (frames: readonly Frame[]): void => {
    const buffer = new Uint8Array(65_519);
    let end = 0;
    for (const frame of frames) end = writeFrame(buffer, end, frame);
    proxy.receive(records.seal(buffer.subarray(0, end)));
    proxy.flush();
  };
  const open = (at: number): Frame => ({
    type: FRAME_TYPES.OPEN,
    flags: 0,
    stream: 2 * at + 1,
    data: new Uint8Array(1),
  });
  if (goesAway) send([{ type: FRAME_TYPES.GOAWAY, flags: 0, stream: 0, data: new Uint8Array(6) }]);
  send([open(0)]);
  for (let i = 0; i < 10; i++) send(Array.from({ length: 1_000 }, (_, k) => open(1 + i * 1_000 + k)));
  expect(proxy.owedMs()).toBeGreaterThan(400);
});

test('what an upload has in one record reaches its stream together, and streams that share one stay apart', () => {
  const sinks: Recorder[] = [];
  const pipe = new Pipe((stream) => {
    const sink = new Recorder();
    sink.stream = stream;
    sinks.push(sink);
    return sink;
  });
  openWith(pipe, new Uint8Array(200_000).fill(1));
  pipe.settle();
  // Four records of several frames each; the first one opens the stream.
  expect(sinks[0]!.parts.length).toBe(5);
  for (const byte of [2, 3]) openWith(pipe, new Uint8Array(60_000).fill(byte));
  pipe.settle();
  for (const [i, length] of [200_000, 60_000, 60_000].entries())
    expect(Buffer.compare(sinks[i]!.bytes, Buffer.alloc(length, i + 1))).toBe(0);
});

test('small writes that wait are put together and arrive in order', () => {
  const pipe = new Pipe(() => new Recorder());
  const sink = new Recorder();
  sink.stream = pipe.device.open(1, sink);
  sink.stream.write(encodeText('x'));
  pipe.settle();
  const stream = pipe.accepted[0]!;
  const sent: Uint8Array[] = [];
  for (let i = 0; i < 20_000; i++) {
    const part = new Uint8Array(1 + (i % 7 === 0 ? 1_500 : i % 13)).fill(i);
    sent.push(part);
    stream.write(part);
    if (i % 997 === 0) pipe.settle();
  }
  stream.finish();
  pipe.settle();
  expect(Buffer.compare(sink.bytes, Buffer.concat(sent))).toBe(0);
});

test('what a Proxy holds for a device that does not read has one limit for all streams, and who reads gets on', () => {
  const PART = 60_000;
  const TOTAL = 3_000_000;
  const source = (stream: ChannelStream): Recorder => {
    let left = TOTAL;
    const more = (): void => {
      while (left > 0) {
        left -= PART;
        if (!stream.write(new Uint8Array(PART))) return;
      }
      stream.finish();
    };
    const sink = new (class extends Recorder {
      override drain(): void {
        more();
      }
    })();
    sink.stream = stream;
    more();
    return sink;
  };
  const pipe = new Pipe(source, { channelWindowBytes: 64 * 1024 * 1024 });
  const sinks = Array.from({ length: DEFAULT_LIMITS.streams }, () => {
    const sink = new Recorder(false);
    sink.stream = pipe.device.open(1, sink);
    return sink;
  });
  pipe.settle();
  const queued = (): number => pipe.accepted.reduce((sum, stream) => sum + stream.queuedBytes, 0);
  expect(queued()).toBeGreaterThanOrEqual(DEFAULT_LIMITS.queueBytes);
  expect(queued()).toBeLessThan(DEFAULT_LIMITS.queueBytes + DEFAULT_LIMITS.streams * PART);
  const [reader, ...others] = sinks as [Recorder, ...Recorder[]];
  reader.consumes = true;
  reader.stream!.consume(reader.bytes.length);
  pipe.settle();
  expect(reader.bytes.length).toBe(TOTAL);
  for (const other of others) {
    other.consumes = true;
    other.stream!.consume(other.bytes.length);
  }
  pipe.settle();
  expect(others.map(({ bytes }) => bytes.length)).toEqual(others.map(() => TOTAL));
  expect(queued()).toBe(0);
});
