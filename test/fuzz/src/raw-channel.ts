import {
  DEFAULT_LIMITS,
  DeviceOpening,
  decodeFrames,
  decodeUint,
  ENDPOINT_PATH,
  encodeText,
  encodeUint,
  FLAG_FIN,
  FRAME_HEAD_BYTES,
  FRAME_TYPES,
  type Frame,
  keyOf,
  MAX_RECORD_BYTES,
  MESSAGE_TYPES,
  RecordLayer,
  type SessionSecret,
  SUBPROTOCOL,
  writeFrame,
} from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import type { DeviceRecord } from '@sallyport/device';
import { WebSocket } from 'ws';
import { context, opening, rightClose, streamBytes, talk, webSocketOpening } from './contents.ts';
import { CONTEXT } from './gateway.ts';
import type { Random } from './random.ts';
import { RawSocket, type Reached } from './raw-socket.ts';

const crypto = serverCrypto();
/** From so many bytes on that the socket has not taken, a throw waits for it. */
const BACKLOG_BYTES = 65_536;
const OPEN_TIMEOUT_MS = 20_000;
/** Below the 64 that a Proxy allows, so that what is opened gets further than to its refusal. */
const MAX_OPEN = 40;
/** WebSockets that are opened as they should be, and talked on. */
const WEB_SOCKETS = 2;
/** Received bytes after which a channel or stream gets new credit. */
const CREDIT_STEP_BYTES = 65_536;
const MANY_FRAMES = 500;

/** A stream until both sides have ended it. */
interface Stream {
  readonly id: number;
  readonly socket: RawSocket | undefined;
  credit: number;
  received: number;
  finished: boolean;
  answered: boolean;
}

/** How a channel is opened, and by whom. */
export interface RawChannelOptions {
  readonly user: string;
  readonly chanNo: number;
  /** Most channels keep to the rules of frames, so that what streams carry gets far. */
  readonly wild: boolean;
  readonly reached: Reached;
}

/** A channel of a signed-in device that sends whatever it likes, and reads what it gets. */
export class RawChannel {
  readonly #socket: WebSocket;
  readonly #records: RecordLayer;
  readonly #options: RawChannelOptions;
  /** In the order of their last change. */
  readonly #open = new Map<number, Stream>();
  readonly #toCredit: Frame[] = [];
  #nextStream = 1;
  #credit = DEFAULT_LIMITS.channelWindowBytes;
  #received = 0;
  closed = false;

  private constructor(socket: WebSocket, records: RecordLayer, options: RawChannelOptions) {
    this.#socket = socket;
    this.#records = records;
    this.#options = options;
    socket.on('message', (record) => this.#read(record as Buffer));
    socket.on('close', () => {
      this.closed = true;
    });
  }

  /** Undefined when the Proxy lets nobody in at this moment. */
  static async open(origin: string, record: DeviceRecord, options: RawChannelOptions): Promise<RawChannel | undefined> {
    const socket = new WebSocket(`${origin}${ENDPOINT_PATH}`, SUBPROTOCOL, { perMessageDeflate: false });
    socket.on('error', () => undefined);
    const { session } = record;
    const hello = {
      suite: 1,
      sid: session!.sid,
      chanNo: options.chanNo,
      nonce: crypto.randomBytes(16),
      audience: encodeText('main/here'),
    } as const;
    const secret = keyOf<SessionSecret>(session!.secret);
    const device = new DeviceOpening({ crypto, secret, hello, context: CONTEXT });
    return new Promise((resolve) => {
      const timer = setTimeout(() => socket.terminate(), OPEN_TIMEOUT_MS);
      socket.once('open', () => socket.send(device.writeHello()));
      socket.once('close', () => {
        clearTimeout(timer);
        resolve(undefined);
      });
      // In the turn of WELCOME: the next record may come right behind it.
      socket.once('message', (data) => {
        clearTimeout(timer);
        const answer = data as Buffer;
        if (answer[0] !== MESSAGE_TYPES.WELCOME) return socket.terminate();
        resolve(new RawChannel(socket, new RecordLayer(device.readWelcome(answer).transport), options));
      });
    });
  }

  /** Sends one record of random frames, or of no frames at all; waits while the Proxy does not read. */
  async throw(random: Random): Promise<void> {
    if (this.closed) return;
    const { wild } = this.#options;
    const frames = wild && random.chance(0.05) ? random.bytes(random.size(2_000)) : this.#frames(random);
    const record = this.#records.seal(frames);
    if (this.#socket.bufferedAmount < BACKLOG_BYTES) return void this.#socket.send(record, () => undefined);
    await new Promise<void>((sent) => this.#socket.send(record, () => sent()));
  }

  end(): void {
    this.closed = true;
    this.#socket.terminate();
  }

  #read(record: Uint8Array): void {
    if (this.closed) return;
    for (const frame of decodeFrames(this.#records.open(record))) this.#heard(frame);
  }

  #heard({ type, flags, stream: id, data }: Frame): void {
    const stream = this.#open.get(id);
    if (type === FRAME_TYPES.RESET) this.#open.delete(id);
    if (type === FRAME_TYPES.WINDOW && id === 0) this.#credit += decodeUint(data, 0, 4);
    if (type === FRAME_TYPES.WINDOW && stream) stream.credit += decodeUint(data, 0, 4);
    if (type !== FRAME_TYPES.DATA) return;
    this.#received = this.#giveCredit(0, this.#received + data.length);
    if (!stream) return;
    stream.received = this.#giveCredit(id, stream.received + data.length);
    stream.socket?.read(data);
    if ((flags & FLAG_FIN) === 0) return;
    stream.answered = true;
    if (stream.finished) this.#open.delete(id);
  }

  /** What is left of received bytes when those are given back that are enough for it. */
  #giveCredit(stream: number, received: number): number {
    if (received < CREDIT_STEP_BYTES) return received;
    this.#toCredit.push({ type: FRAME_TYPES.WINDOW, flags: 0, stream, data: encodeUint(received, 4) });
    return 0;
  }

  #frames(random: Random): Uint8Array {
    const buffer = Buffer.allocUnsafe(MAX_RECORD_BYTES);
    let end = 0;
    for (const frame of this.#toCredit.splice(0)) end = writeFrame(buffer, end, frame);
    for (let i = random.chance(0.003) ? MANY_FRAMES : 1 + random.below(8); i > 0; i--) {
      const frame = this.#frame(random);
      if (end + FRAME_HEAD_BYTES + frame.data.length > buffer.length) break;
      end = writeFrame(buffer, end, frame);
      this.#sent(frame);
    }
    const all = buffer.subarray(0, end);
    const { wild } = this.#options;
    return wild && random.chance(0.1) ? random.mutated(all).subarray(0, MAX_RECORD_BYTES) : all;
  }

  #frame(random: Random): Frame {
    if (this.#options.wild && random.chance(0.3)) return this.#wildFrame(random);
    if (this.#open.size >= MAX_OPEN) return this.#ending(random);
    const choice = random.below(20);
    if (choice < 5) return this.#opening(random);
    if (choice < 10) return this.#talk(random);
    if (choice < 15) return this.#bytes(random);
    if (choice === 15) return this.#ending(random);
    if (choice === 16) return this.#window(random);
    if (choice === 17) return { type: FRAME_TYPES.PING, flags: 0, stream: 0, data: random.bytes(8) };
    if (choice === 18 && random.chance(0.05))
      return { type: FRAME_TYPES.CONTEXT, flags: 0, stream: 0, data: context(random) };
    return pad(random);
  }

  #opening(random: Random): Frame {
    const flags = random.chance(0.2) ? FLAG_FIN : 0;
    return this.#opened({ flags, data: opening(random), socket: undefined });
  }

  #opened({ flags, data, socket }: Pick<Frame, 'flags' | 'data'> & Pick<Stream, 'socket'>): Frame {
    const stream = this.#nextStream;
    if (this.#credit < data.length) return { type: FRAME_TYPES.PAD, flags: 0, stream: 0, data: new Uint8Array(0) };
    this.#nextStream += 2;
    const credit = DEFAULT_LIMITS.streamWindowBytes;
    this.#open.set(stream, { id: stream, socket, credit, received: 0, finished: false, answered: false });
    return { type: FRAME_TYPES.OPEN, flags, stream, data };
  }

  /** Opens a WebSocket that a backend may accept, or says something on one. */
  #talk(random: Random): Frame {
    const sockets = [...this.#open.values()].filter(({ socket, finished }) => socket && !finished);
    if (sockets.length < WEB_SOCKETS) {
      const authority = random.pick(['hostile.corp', 'hostile.corp', 'honest.corp']);
      const socket = new RawSocket(authority === 'honest.corp' ? this.#options.user : undefined, this.#options.reached);
      return this.#opened({ flags: 0, data: webSocketOpening(authority), socket });
    }
    const stream = random.pick(sockets);
    if (random.chance(0.03)) return this.#data(stream, rightClose(random), FLAG_FIN);
    return this.#data(stream, talk(random), random.chance(0.01) ? FLAG_FIN : 0);
  }

  /** Bytes for a stream that is open, whatever it carries. */
  #bytes(random: Random): Frame {
    const streams = [...this.#open.values()].filter(({ socket, finished }) => !socket && !finished);
    if (streams.length === 0) return this.#opening(random);
    const data = random.chance(0.85) ? streamBytes(random) : random.bytes(1);
    return this.#data(random.pick(streams), data, random.chance(0.2) ? FLAG_FIN : 0);
  }

  #data(stream: Stream, data: Uint8Array, flags: number): Frame {
    if (data.length <= stream.credit && data.length <= this.#credit)
      return { type: FRAME_TYPES.DATA, flags, stream: stream.id, data };
    return { type: FRAME_TYPES.PAD, flags: 0, stream: 0, data: new Uint8Array(0) };
  }

  /** Ends the stream that was left alone longest: with FIN, or RESET when that did not help. */
  #ending(random: Random): Frame {
    const streams = [...this.#open.values()];
    const stream = streams.find(({ socket }) => !socket) ?? streams[0];
    if (!stream) return pad(random);
    if (!stream.finished && random.chance(0.9))
      return { type: FRAME_TYPES.DATA, flags: FLAG_FIN, stream: stream.id, data: new Uint8Array(0) };
    return { type: FRAME_TYPES.RESET, flags: 0, stream: stream.id, data: encodeUint(random.below(80), 2) };
  }

  #window(random: Random): Frame {
    const stream = random.pick([...this.#open.keys(), 0]);
    return { type: FRAME_TYPES.WINDOW, flags: 0, stream, data: encodeUint(random.below(300_000), 4) };
  }

  /** Notes what a frame does to its stream and the credit. */
  #sent({ type, flags, stream: id, data }: Frame): void {
    const stream = this.#open.get(id);
    if (!stream) return;
    if (type === FRAME_TYPES.RESET) this.#open.delete(id);
    if (type !== FRAME_TYPES.DATA && type !== FRAME_TYPES.OPEN) return;
    const bytes = type === FRAME_TYPES.OPEN ? data.length - 1 : data.length;
    stream.credit -= bytes;
    this.#credit -= bytes;
    // To the end of the line.
    this.#open.delete(id);
    stream.finished ||= (flags & FLAG_FIN) !== 0;
    if (!stream.finished || !stream.answered) this.#open.set(id, stream);
  }

  /** A frame after which a Proxy most often ends the channel. */
  #wildFrame(random: Random): Frame {
    const odd = random.pick([FRAME_TYPES.PONG, FRAME_TYPES.GOAWAY, FRAME_TYPES.NOTICE, 0x80, 0xff]);
    const type = random.chance(0.5) ? odd : random.below(256);
    const data = random.bytes(random.pick([0, 2, 4, 6, 8, random.size(300)]));
    return { type, flags: random.below(4), stream: random.pick([0, 1, this.#nextStream]), data };
  }
}

function pad(random: Random): Frame {
  return { type: FRAME_TYPES.PAD, flags: 0, stream: 0, data: random.bytes(random.below(40)) };
}
