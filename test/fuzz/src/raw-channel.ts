import {
  concat,
  DeviceOpening,
  ENDPOINT_PATH,
  encodeChunkPrefix,
  encodeContext,
  encodeMessageEnd,
  encodeRequestHead,
  encodeText,
  encodeUint,
  encodeWsMessage,
  FRAME_TYPES,
  keyOf,
  MESSAGE_TYPES,
  prefix8,
  RecordLayer,
  type SessionSecret,
  SUBPROTOCOL,
  writeFrame,
} from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import type { DeviceRecord } from '@sallyport/device';
import { WebSocket } from 'ws';
import { CONTEXT } from './gateway.ts';
import type { Random } from './random.ts';

const crypto = nodeCrypto();
const MAX_FRAMES_BYTES = 65_519;
const MAX_BACKLOG_BYTES = 2_000_000;
const OPEN_TIMEOUT_MS = 20_000;

interface Thrown {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly data: Uint8Array;
}

/** A channel of a signed-in device that sends whatever it likes. */
export class RawChannel {
  readonly #socket: WebSocket;
  readonly #records: RecordLayer;
  /** Most channels keep to the rules of frames, so that what streams carry gets far. */
  readonly #wild: boolean;
  #nextStream = 1;
  /** Streams whose end was not sent. */
  readonly #open: number[] = [];
  closed = false;

  private constructor(socket: WebSocket, records: RecordLayer, wild: boolean) {
    this.#socket = socket;
    this.#wild = wild;
    this.#records = records;
    socket.on('close', () => {
      this.closed = true;
    });
  }

  /** Undefined when the Proxy lets nobody in at this moment. */
  static async open(
    origin: string,
    record: DeviceRecord,
    { chanNo, wild }: { readonly chanNo: number; readonly wild: boolean },
  ): Promise<RawChannel | undefined> {
    const socket = new WebSocket(`${origin}${ENDPOINT_PATH}`, SUBPROTOCOL, { perMessageDeflate: false });
    socket.on('error', () => undefined);
    const { session } = record;
    const hello = {
      suite: 1,
      sid: session!.sid,
      chanNo,
      nonce: crypto.randomBytes(16),
      audience: encodeText('main/here'),
    } as const;
    const secret = keyOf<SessionSecret>(session!.secret);
    const opening = new DeviceOpening({ crypto, secret, hello, context: CONTEXT });
    const answer = await new Promise<Buffer | undefined>((resolve) => {
      const timer = setTimeout(() => socket.terminate(), OPEN_TIMEOUT_MS);
      socket.once('open', () => socket.send(opening.writeHello()));
      socket.once('message', (data) => resolve(data as Buffer));
      socket.once('close', () => resolve(undefined));
      socket.once('message', () => clearTimeout(timer));
    });
    if (answer?.[0] !== MESSAGE_TYPES.WELCOME) {
      socket.terminate();
      return undefined;
    }
    return new RawChannel(socket, new RecordLayer(opening.readWelcome(answer).transport), wild);
  }

  /** Sends one record of random frames, or of no frames at all. */
  throw(random: Random): void {
    if (this.closed || this.#socket.bufferedAmount > MAX_BACKLOG_BYTES) return this.end();
    const frames = this.#wild && random.chance(0.05) ? random.bytes(random.size(2_000)) : this.#frames(random);
    this.#socket.send(this.#records.seal(frames));
  }

  end(): void {
    this.closed = true;
    this.#socket.terminate();
  }

  #frames(random: Random): Uint8Array {
    const buffer = new Uint8Array(MAX_FRAMES_BYTES);
    let end = 0;
    for (let i = random.chance(0.02) ? 2_000 : 1 + random.below(8); i > 0; i--) {
      const frame = this.#frame(random);
      if (end + 8 + frame.data.length > buffer.length) break;
      end = writeFrame(buffer, end, frame);
    }
    const all = buffer.subarray(0, end);
    return this.#wild && random.chance(0.1) ? random.mutated(all).subarray(0, MAX_FRAMES_BYTES) : all;
  }

  #frame(random: Random): Thrown {
    if (this.#wild && random.chance(0.3)) return this.#wildFrame(random);
    const fin = random.chance(0.2);
    const choice = random.below(20);
    if (choice < 7 || this.#open.length === 0) return this.#opening(random, fin);
    const at = random.below(this.#open.length);
    const stream = this.#open[at]!;
    if (choice < 15) {
      if (fin) this.#open.splice(at, 1);
      const data = choice < 13 ? streamBytes(random) : random.bytes(1);
      return { type: FRAME_TYPES.DATA, flags: fin ? 1 : 0, stream, data };
    }
    if (choice === 15) {
      this.#open.splice(at, 1);
      return { type: FRAME_TYPES.RESET, flags: 0, stream, data: encodeUint(random.below(80), 2) };
    }
    if (choice === 16)
      return { type: FRAME_TYPES.WINDOW, flags: 0, stream, data: encodeUint(random.below(300_000), 4) };
    if (choice === 17) return { type: FRAME_TYPES.PING, flags: 0, stream: 0, data: random.bytes(8) };
    if (choice === 18 && random.chance(0.1))
      return { type: FRAME_TYPES.CONTEXT, flags: 0, stream: 0, data: context(random) };
    return { type: FRAME_TYPES.PAD, flags: 0, stream: 0, data: random.bytes(random.below(40)) };
  }

  #opening(random: Random, fin: boolean): Thrown {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    if (!fin) this.#open.push(stream);
    return { type: FRAME_TYPES.OPEN, flags: fin ? 1 : 0, stream, data: opening(random) };
  }

  /** A frame after which a Proxy most often ends the channel. */
  #wildFrame(random: Random): Thrown {
    const odd = random.pick([FRAME_TYPES.PONG, FRAME_TYPES.GOAWAY, FRAME_TYPES.NOTICE, 0x80, 0xff]);
    const type = random.chance(0.5) ? odd : random.below(256);
    const data = random.bytes(random.pick([0, 2, 4, 6, 8, random.size(300)]));
    return { type, flags: random.below(4), stream: random.pick([0, 1, this.#nextStream]), data };
  }
}

function context(random: Random): Uint8Array {
  const version = String(random.below(3));
  const encoded = encodeContext({ ...CONTEXT, version, posture: { rooted: random.chance(0.5) } });
  return random.chance(0.9) ? encoded : random.mutated(encoded);
}

const AUTHORITIES = ['honest.corp', 'hostile.corp', 'tcp.corp', 'nobody.corp', ''] as const;

function opening(random: Random): Uint8Array {
  const kind = random.pick([1, 1, 1, 2, 2, 3, 3, 0, 4]);
  const authority = random.pick(AUTHORITIES);
  if (kind === 3)
    return concat(
      Uint8Array.of(3),
      random.maybe(concat(prefix8(encodeText(authority)), random.bytes(random.size(500)))),
    );
  const method = kind === 2 ? 'GET' : random.pick(['GET', 'POST', 'PUT', 'HEAD', 'TRACE']);
  const path = random.pick(['/', '/echo', '/a/../b', `/${'x'.repeat(random.size(9_000))}`]);
  const head = encodeRequestHead({ method, scheme: 'http', authority, path, fields: fieldsOf(random) });
  const body = kind === 2 ? webSocketMessages(random) : content(random);
  return concat(Uint8Array.of(kind), random.maybe(concat(head, body)).subarray(0, 60_000));
}

function fieldsOf(random: Random): [string, string][] {
  const all: [string, string][] = [
    ['accept', '*/*'],
    ['content-length', String(random.below(20))],
    ['x-body', 'é'],
    ['expect', '100-continue'],
    ['sec-websocket-protocol', random.pick(['chat', 'a, a', ',', ' '])],
    ['sallyport-assertion', 'forged'],
  ];
  return all.filter(() => random.chance(0.2));
}

function content(random: Random): Uint8Array {
  const parts = Array.from({ length: random.below(random.chance(0.05) ? 2_000 : 4) }, () => {
    const bytes = random.bytes(1 + random.below(20));
    return concat(encodeChunkPrefix(bytes.length), bytes);
  });
  return concat(...parts, encodeMessageEnd());
}

function webSocketMessages(random: Random): Uint8Array {
  const messages = Array.from({ length: random.below(5) }, () => {
    if (random.chance(0.6))
      return encodeWsMessage({ opcode: random.pick([1, 2]), bytes: random.bytes(random.below(200)) });
    const code = random.pick([1000, 1001, 1005, 1006, 1015, 999, 3000, 4999, 5000, random.below(65_536)]);
    const reason = random.chance(0.5) ? Buffer.alloc(random.size(300), 'x') : random.bytes(random.size(300));
    return encodeWsMessage({ opcode: 8, bytes: random.maybe(concat(encodeUint(code, 2), reason)) });
  });
  return concat(...messages);
}

function streamBytes(random: Random): Uint8Array {
  const choice = random.below(4);
  if (choice === 0) return random.bytes(random.size(3_000));
  return choice === 1 ? webSocketMessages(random) : content(random).subarray(0, 60_000);
}
