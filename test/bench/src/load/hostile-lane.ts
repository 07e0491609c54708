import { connect, type Socket } from 'node:net';
import {
  concat,
  DeviceOpening,
  ENDPOINT_PATH,
  encodeChunkPrefix,
  encodeContext,
  encodeRequestHead,
  encodeText,
  encodeUint,
  FRAME_TYPES,
  keyOf,
  MESSAGE_TYPES,
  RecordLayer,
  type SessionSecret,
  SUBPROTOCOL,
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

/** What a hostile device does, over and over. */
export type Hostility = 'nothing' | 'contexts' | 'pings' | 'pieces' | 'chunks' | 'messages' | 'sockets';

/** A device with a session that sends what costs most. It opens its channel again when the Proxy ends it. */
export class HostileLane {
  readonly #origin: string;
  readonly #session: LaneSession;
  #socket: WebSocket | undefined;
  #records: RecordLayer | undefined;
  #silent: Socket[] = [];
  #round = 0;
  /** Channels that were opened. */
  channels = 0;

  constructor(origin: string, session: LaneSession) {
    this.#origin = origin;
    this.#session = session;
  }

  /** Does it once: about one record. */
  async strike(what: Hostility): Promise<void> {
    if (what === 'nothing') return;
    if (what === 'sockets') return this.#openSilent();
    if (this.#socket?.readyState !== WebSocket.OPEN) await this.#open(what);
    if (!this.#records || (this.#socket?.bufferedAmount ?? 0) > 1_000_000) return;
    this.#send(frames[what](this.#round++));
  }

  end(): void {
    this.#socket?.terminate();
    for (const socket of this.#silent.splice(0)) socket.destroy();
  }

  async #open(what: Exclude<Hostility, 'nothing' | 'sockets'>): Promise<void> {
    const socket = new WebSocket(`${this.#origin}${ENDPOINT_PATH}`, SUBPROTOCOL, { perMessageDeflate: false });
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
    this.#send(openings[what]);
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

const post = encodeRequestHead({
  method: 'POST',
  scheme: 'http',
  authority: AUTHORITY,
  path: PATHS.upload,
  fields: [],
});
const upgrade = encodeRequestHead({
  method: 'GET',
  scheme: 'http',
  authority: AUTHORITY,
  path: PATHS.small,
  fields: [],
});
const open = (kind: number, bytes: Uint8Array) => (i: number) => ({
  type: FRAME_TYPES.OPEN,
  stream: 2 * i + 1,
  data: concat(Uint8Array.of(kind), bytes),
});
/** A message of 1 MiB is announced; its bytes dribble in. */
const announced = concat(upgrade, Uint8Array.of(2), encodeUint(1_048_576, 4));
const byte = Uint8Array.of(1);
const tinyChunks = concat(...Array.from({ length: 5_000 }, () => concat(encodeChunkPrefix(1), byte)));
const data = (stream: number, bytes: Uint8Array) => ({ type: FRAME_TYPES.DATA, stream, data: bytes });

/** What stands at the beginning of each hostile channel. */
const openings: Readonly<Record<Exclude<Hostility, 'nothing' | 'sockets'>, Uint8Array>> = {
  contexts: record(60, open(1, post)),
  pings: record(1, open(1, post)),
  pieces: record(60, open(1, concat(post, encodeChunkPrefix(16_000_000)))),
  chunks: record(60, open(1, post)),
  messages: record(60, open(2, announced)),
};

const frames: Readonly<Record<Exclude<Hostility, 'nothing' | 'sockets'>, (round: number) => Uint8Array>> = {
  contexts: (round) =>
    record(500, (i) => ({
      type: FRAME_TYPES.CONTEXT,
      stream: 0,
      data: encodeContext({ ...CONTEXT, version: `1.${round}.${i}` }),
    })),
  pings: () => record(1_000, () => ({ type: FRAME_TYPES.PING, stream: 0, data: new Uint8Array(8) })),
  pieces: (round) => record(7_000, () => data(2 * (round % 60) + 1, byte)),
  chunks: (round) => record(1, () => data(2 * (round % 60) + 1, tinyChunks)),
  messages: (round) => record(7_000, () => data(2 * (round % 60) + 1, byte)),
};
