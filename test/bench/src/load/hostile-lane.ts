import { connect, type Socket } from 'node:net';
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
  encodeWsPieceHead,
  FRAME_TYPES,
  keyOf,
  MAX_WS_PIECE_BYTES,
  MESSAGE_TYPES,
  RecordLayer,
  type SessionSecret,
  SUBPROTOCOL,
  WS_OPCODES,
  writeFrame,
} from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import { WebSocket } from 'ws';
import { CONTEXT } from './channel-lane.ts';
import { AUTHORITY, type LaneSession, PATHS } from './lane.ts';

const crypto = serverCrypto();
const RECORD_BYTES = 65_519;
const HEAD_BYTES = 8;
let nextChanNo = Date.now() * 1_000 + 500_000_000;

/** What a hostile device does on a channel, over and over. */
export const ON_CHANNELS = ['contexts', 'pings', 'pieces', 'chunks', 'messages', 'opens', 'resets'] as const;
type OnChannel = (typeof ON_CHANNELS)[number];
export type Hostility = 'nothing' | OnChannel | 'sockets';

/** What is asked for, and where a lane comes from. */
export interface HostileLaneOptions {
  readonly authority?: string;
  readonly localAddress?: string;
}

/** A device with a session that sends what costs most. It opens its channel again when the Proxy ends it. */
export class HostileLane {
  readonly #origin: string;
  readonly #session: LaneSession;
  readonly #localAddress: string | undefined;
  readonly #attacks: Readonly<Record<OnChannel, Attack>>;
  #what: OnChannel | undefined;
  #socket: WebSocket | undefined;
  #records: RecordLayer | undefined;
  #silent: Socket[] = [];
  #round = 0;
  /** Channels that were opened. */
  channels = 0;

  constructor(origin: string, session: LaneSession, { authority = AUTHORITY, localAddress }: HostileLaneOptions = {}) {
    this.#origin = origin;
    this.#session = session;
    this.#localAddress = localAddress;
    this.#attacks = attacksOn(authority);
  }

  /** Does it once: about one record. */
  async strike(what: Hostility): Promise<void> {
    if (what === 'nothing') return;
    if (what === 'sockets') return this.#openSilent();
    if (this.#what !== what) this.#socket?.terminate();
    this.#what = what;
    if (this.#socket?.readyState !== WebSocket.OPEN) await this.#open(what);
    if (!this.#records || (this.#socket?.bufferedAmount ?? 0) > 1_000_000) return;
    this.#send(this.#attacks[what].again(this.#round++));
  }

  end(): void {
    this.#socket?.terminate();
    for (const socket of this.#silent.splice(0)) socket.destroy();
  }

  async #open(what: OnChannel): Promise<void> {
    const localAddress = this.#localAddress;
    const options = { perMessageDeflate: false, ...(localAddress === undefined ? {} : { localAddress }) };
    const socket = new WebSocket(`${this.#origin}${ENDPOINT_PATH}`, SUBPROTOCOL, options);
    socket.on('error', () => undefined);
    const { sid, secret, audience } = this.#session;
    const hello = {
      suite: 1,
      sid,
      chanNo: nextChanNo++,
      nonce: crypto.randomBytes(16),
      audience: encodeText(audience),
    };
    const opening = new DeviceOpening({
      crypto,
      secret: keyOf<SessionSecret>(secret),
      hello: hello as typeof hello & { suite: 1 },
      context: CONTEXT,
    });
    const answer = await new Promise<Buffer | undefined>((resolve) => {
      socket.once('open', () => socket.send(opening.writeHello()));
      socket.once('message', (data) => resolve(data as Buffer));
      socket.once('close', () => resolve(undefined));
    });
    this.#records = undefined;
    if (answer?.[0] !== MESSAGE_TYPES.WELCOME) return socket.terminate();
    this.#socket = socket;
    this.channels += 1;
    this.#round = 0;
    this.#records = new RecordLayer(opening.readWelcome(answer).transport);
    const first = this.#attacks[what].opening;
    if (first.length > 0) this.#send(first);
  }

  #send(record: Uint8Array): void {
    this.#socket!.send(this.#records!.seal(record), () => undefined);
  }

  #openSilent(): void {
    const { hostname, port } = new URL(this.#origin.replace(/^ws/, 'http'));
    const socket = connect({ host: hostname, port: Number(port), localAddress: '127.0.0.2' });
    socket.on('error', () => undefined);
    this.#silent.push(socket);
    if (this.#silent.length > 4_000) this.#silent.shift()!.destroy();
  }
}

/** As many frames as fit into a record, at most `count`. */
function record(count: number, frameOf: (i: number) => { type: number; stream: number; data: Uint8Array }): Uint8Array {
  const buffer = new Uint8Array(RECORD_BYTES);
  let end = 0;
  for (let i = 0; i < count; i++) {
    const frame = frameOf(i);
    if (end + HEAD_BYTES + frame.data.length > buffer.length) break;
    end = writeFrame(buffer, end, { flags: 0, ...frame });
  }
  return buffer.subarray(0, end);
}

/** What stands at the beginning of a hostile channel, and what follows again and again. */
interface Attack {
  readonly opening: Uint8Array;
  again(round: number): Uint8Array;
}

const open = (kind: number, bytes: Uint8Array) => (i: number) => ({
  type: FRAME_TYPES.OPEN,
  stream: 2 * i + 1,
  data: concat(Uint8Array.of(kind), bytes),
});
const byte = Uint8Array.of(1);
const tinyChunks = concat(...Array.from({ length: 5_000 }, () => concat(encodeChunkPrefix(1), byte)));
const data = (stream: number, bytes: Uint8Array) => ({ type: FRAME_TYPES.DATA, stream, data: bytes });
/** Streams that one record opens, and maybe resets at once. */
const AT_ONCE = 60;

function attacksOn(authority: string): Readonly<Record<OnChannel, Attack>> {
  const head = (method: string, path: string): Uint8Array =>
    encodeRequestHead({ method, scheme: 'http', authority, path, fields: [] });
  const post = head('POST', PATHS.upload);
  const get = concat(Uint8Array.of(1), head('GET', PATHS.small), encodeMessageEnd());
  /** The largest piece of a message is announced; its bytes dribble in. */
  const piece = encodeWsPieceHead({ opcode: WS_OPCODES.binary, more: true }, MAX_WS_PIECE_BYTES);
  const announced = concat(head('GET', PATHS.small), piece);
  const asked = (round: number, i: number) => ({
    type: FRAME_TYPES.OPEN,
    stream: 2 * (round * AT_ONCE + i) + 1,
    data: get,
  });
  const dribbled = (round: number): Uint8Array => record(7_000, () => data(2 * (round % 60) + 1, byte));
  return {
    contexts: {
      opening: record(60, open(1, post)),
      again: (round) =>
        record(500, (i) => ({
          type: FRAME_TYPES.CONTEXT,
          stream: 0,
          data: encodeContext({ ...CONTEXT, version: `1.${round}.${i}` }),
        })),
    },
    pings: {
      opening: record(1, open(1, post)),
      again: () => record(1_000, () => ({ type: FRAME_TYPES.PING, stream: 0, data: new Uint8Array(8) })),
    },
    pieces: { opening: record(60, open(1, concat(post, encodeChunkPrefix(16_000_000)))), again: dribbled },
    chunks: {
      opening: record(60, open(1, post)),
      again: (round) => record(1, () => data(2 * (round % 60) + 1, tinyChunks)),
    },
    messages: { opening: record(60, open(2, announced)), again: dribbled },
    opens: { opening: new Uint8Array(0), again: (round) => record(AT_ONCE, (i) => asked(round, i)) },
    resets: {
      opening: new Uint8Array(0),
      again: (round) =>
        record(2 * AT_ONCE, (i) =>
          i % 2 === 0
            ? asked(round, i / 2)
            : { type: FRAME_TYPES.RESET, stream: asked(round, (i - 1) / 2).stream, data: encodeUint(64, 2) },
        ),
    },
  };
}
