import { crc32 } from 'node:zlib';
import {
  type AppContext,
  type ChannelStream,
  DEFAULT_LIMITS,
  DeviceOpening,
  ENDPOINT_PATH,
  encodeChunkPrefix,
  encodeMessageEnd,
  encodeRequestHead,
  encodeText,
  findSignedCode,
  HINT_CODES,
  keyOf,
  MESSAGE_TYPES,
  Multiplexer,
  RecordLayer,
  responseDecoder,
  type SessionSecret,
  type StreamSink,
  SUBPROTOCOL,
} from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import { WebSocket } from 'ws';
import {
  AUTHORITY,
  content,
  type Done,
  type Lane,
  type LaneSession,
  type LargeFile,
  NO_ROOM,
  PATHS,
  SMALL_BYTES,
} from './lane.ts';

/** The app context that bench devices show. */
export const CONTEXT: AppContext = {
  id: 'bench',
  version: '1',
  build: '1',
  signer: new Uint8Array(32),
  os: 'linux',
  osVersion: '1',
  osPatch: '',
  model: 'bench',
  posture: {},
  sdk: 'bench',
};

const crypto = serverCrypto();
const SMALL = content(SMALL_BYTES);
const UPLOAD_PART_BYTES = 65_536;
/** As devices do. */
const PING_MS = 25_000;
const LIMITS = { ...DEFAULT_LIMITS, streams: 64 };
/** Channel numbers of this run lie above all of earlier ones. */
let nextChanNo = Date.now() * 1_000;

function requestHead(
  method: string,
  path: string,
  { length, authority = AUTHORITY }: { readonly length?: number; readonly authority?: string } = {},
): Uint8Array {
  const fields = [
    ['accept', '*/*'],
    ['user-agent', 'bench'],
    ...(length === undefined ? [] : [['content-length', String(length)]]),
  ] as [string, string][];
  return encodeRequestHead({ method, scheme: 'http', authority, path, fields });
}

const END = encodeMessageEnd();
const SMALL_REQUEST = Buffer.concat([requestHead('GET', PATHS.small), END]);

/** What went wrong with a stream, by the code of its reset. */
function problemOf(code: number): string {
  return findSignedCode(code) ?? `reset ${code}`;
}

/** The answer to a small request: compared byte for byte. */
class SmallCall implements StreamSink {
  readonly #done: Done;
  readonly #decoder;
  stream: ChannelStream | undefined;
  #status = 0;
  #received = 0;
  #wrong = false;

  constructor(done: Done) {
    this.#done = done;
    this.#decoder = responseDecoder({
      head: ({ status }) => {
        this.#status = status;
      },
      content: (bytes) => {
        const expected = SMALL.subarray(this.#received, this.#received + bytes.length);
        this.#wrong ||= !expected.equals(bytes);
        this.#received += bytes.length;
      },
      trailers: () => undefined,
    });
  }

  data(bytes: Uint8Array): void {
    this.#decoder.push(bytes);
    this.stream!.consume(bytes.length);
  }

  end(): void {
    this.#decoder.finish();
    const right = this.#status === 200 && this.#received === SMALL_BYTES && !this.#wrong;
    this.#done(right ? undefined : `a wrong answer: ${this.#status}, ${this.#received} bytes`);
  }

  reset(code: number): void {
    this.#done(problemOf(code));
  }

  drain(): void {}
}

/** A large transfer in one direction: counted and summed up. */
class TransferCall implements StreamSink {
  readonly #resolve: (crc: number) => void;
  readonly #reject: (error: Error) => void;
  readonly #decoder;
  stream: ChannelStream | undefined;
  received = 0;
  #crc = 0;
  #text = '';
  #drained: (() => void) | undefined;

  constructor(direction: 'down' | 'up', resolve: (crc: number) => void, reject: (error: Error) => void) {
    this.#resolve = direction === 'down' ? () => resolve(this.#crc) : () => resolve(Number(this.#text));
    this.#reject = reject;
    this.#decoder = responseDecoder({
      head: () => undefined,
      content: (bytes) => {
        this.received += bytes.length;
        if (direction === 'down') this.#crc = crc32(bytes, this.#crc);
        else this.#text += Buffer.from(bytes).toString('latin1');
      },
      trailers: () => undefined,
    });
  }

  data(bytes: Uint8Array): void {
    this.#decoder.push(bytes);
    this.stream!.consume(bytes.length);
  }

  end(): void {
    this.#decoder.finish();
    this.#resolve(0);
  }

  reset(code: number): void {
    this.#reject(new Error(problemOf(code)));
    this.#drained?.();
  }

  drain(): void {
    this.#drained?.();
  }

  /** Sends `bytes` of the common content. */
  async send(bytes: number): Promise<void> {
    const part = content(UPLOAD_PART_BYTES);
    for (let left = bytes; left > 0; left -= part.length) {
      const chunk = part.subarray(0, Math.min(left, part.length));
      this.stream!.write(encodeChunkPrefix(chunk.length));
      if (this.stream!.write(chunk)) continue;
      if (this.stream!.closed) return;
      await new Promise<void>((drained) => {
        this.#drained = drained;
      });
    }
    this.stream!.write(END);
    this.stream!.finish();
  }
}

/** One channel of one session. */
export class ChannelLane implements Lane {
  readonly #socket: WebSocket;
  readonly #mux: Multiplexer;
  readonly #ping: NodeJS.Timeout;
  /** Called with the time when the channel ended, ms of `performance.now`. */
  onEnd: ((at: number) => void) | undefined;

  private constructor(socket: WebSocket, records: RecordLayer) {
    this.#socket = socket;
    this.#mux = new Multiplexer(records, 'device', LIMITS, {
      transmit: (record) => socket.send(record, { binary: true }, () => this.#mux.drained()),
      backlogBytes: () => socket.bufferedAmount,
      now: () => performance.now(),
      schedule: (flush) => queueMicrotask(flush),
      goaway: () => this.#end(),
    });
    socket.on('message', (record) => this.#mux.receive(record as Buffer));
    this.#ping = setInterval(() => this.#mux.ping(new Uint8Array(8)), PING_MS);
    socket.on('close', () => this.#end());
  }

  static async open(origin: string, session: LaneSession, suite: 1 | 2): Promise<ChannelLane> {
    const socket = new WebSocket(`${origin}${ENDPOINT_PATH}`, SUBPROTOCOL, { perMessageDeflate: false });
    socket.on('error', () => undefined);
    await new Promise<void>((resolve, reject) => {
      socket.once('open', () => resolve());
      socket.once('close', () => reject(new Error('the Proxy refused the socket')));
    });
    const chanNo = nextChanNo++;
    const opening = new DeviceOpening({
      crypto,
      secret: keyOf<SessionSecret>(session.secret),
      hello: {
        suite,
        sid: session.sid,
        chanNo,
        nonce: crypto.randomBytes(16),
        audience: encodeText(session.audience),
      },
      context: CONTEXT,
    });
    const answer = new Promise<Buffer>((resolve, reject) => {
      socket.once('message', (data) => resolve(data as Buffer));
      socket.once('close', () => reject(new Error('the Proxy closed the socket')));
    });
    socket.send(opening.writeHello());
    const message = await answer;
    if (message[0] === MESSAGE_TYPES.HINT) throw new Error(`no channel: ${hintName(message.readUInt16BE(1))}`);
    return new ChannelLane(socket, new RecordLayer(opening.readWelcome(message).transport));
  }

  get(done: Done): void {
    if (this.#mux.closed) return done('CHANNEL_CLOSED');
    if (this.#mux.streamCount >= LIMITS.streams) return done(NO_ROOM);
    const call = new SmallCall(done);
    call.stream = this.#mux.open(1, call);
    call.stream.write(SMALL_REQUEST);
    call.stream.finish();
  }

  transfer(direction: 'down' | 'up', bytes: number, file?: LargeFile): Promise<number> {
    return new Promise((resolve, reject) => {
      const call = new TransferCall(direction, resolve, reject);
      call.stream = this.#mux.open(1, call);
      if (direction === 'down') {
        call.stream.write(requestHead('GET', file?.path ?? PATHS.large, file));
        call.stream.write(END);
        call.stream.finish();
      } else {
        call.stream.write(requestHead('POST', PATHS.upload, { length: bytes }));
        void call.send(bytes);
      }
    });
  }

  close(): void {
    this.#socket.terminate();
    this.#end();
  }

  #end(): void {
    clearInterval(this.#ping);
    if (!this.#mux.closed) this.#mux.destroy(0);
    this.onEnd?.(performance.now());
    this.onEnd = undefined;
  }
}

function hintName(code: number): string {
  return Object.entries(HINT_CODES).find(([, number]) => number === code)?.[0] ?? `hint ${code}`;
}
