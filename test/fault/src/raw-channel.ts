import {
  type AppContext,
  CborFields,
  DEFAULT_LIMITS,
  DeviceOpening,
  decodeHint,
  encodeText,
  keyOf,
  MESSAGE_TYPES,
  Multiplexer,
  RecordLayer,
  type SessionSecret,
} from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';

/** App context of devices. */
export const RAW_CONTEXT: AppContext = {
  ...{ id: 'rig.app', version: '1.0.0', build: '1', signer: new Uint8Array(32), os: 'linux', osVersion: '6' },
  ...{ osPatch: '', model: 'rig', posture: { rooted: false }, sdk: 'fault-rig' },
};

/** A session as its device keeps it. */
export interface RawSession {
  readonly sid: Uint8Array;
  readonly secret: Uint8Array;
}

/** What a channel is opened with. */
export interface RawOpening {
  readonly url: string;
  readonly site: string;
  readonly session: RawSession;
  readonly chanNo: number;
}

const crypto = serverCrypto();

/** A channel without a device, of which there can be many: it knows how long it took to open, and when it heard of a site map. */
export class RawChannel {
  /** From HELLO to WELCOME, ms. */
  readonly openedMs: number;
  /** When a site map came, ms of the monotonic clock. */
  heardAt: number | undefined;
  /** False once the Proxy has ended it, or the way to it. */
  stands = true;
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket, records: RecordLayer, openedMs: number) {
    this.#socket = socket;
    this.openedMs = openedMs;
    const channel = new Multiplexer(records, 'device', DEFAULT_LIMITS, {
      transmit: (record) => socket.send(Uint8Array.from(record)),
      backlogBytes: () => 0,
      now: () => performance.now(),
      schedule: (flush) => queueMicrotask(flush),
      notice: (cbor) => {
        if (CborFields.decode(cbor).has('site_map')) this.heardAt = performance.now();
      },
    });
    socket.addEventListener('message', ({ data }) => channel.receive(new Uint8Array(data as ArrayBuffer)));
    socket.addEventListener('close', () => {
      this.stands = false;
    });
  }

  /** Opens one. @throws Error when the Proxy is out of reach, or answers with something else than WELCOME */
  static async open({ url, site, session, chanNo }: RawOpening): Promise<RawChannel> {
    const { sid, secret } = session;
    const nonce = crypto.randomBytes(16);
    const hello = { suite: 1, sid, chanNo, nonce, audience: encodeText(`main/${site}`) } as const;
    const opening = new DeviceOpening({ crypto, secret: keyOf<SessionSecret>(secret), hello, context: RAW_CONTEXT });
    const socket = new WebSocket(`${url}/sallyport/v1`, 'sallyport.1');
    socket.binaryType = 'arraybuffer';
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve);
      socket.addEventListener('error', () => reject(new Error(`the Proxy of ${site} is out of reach`)));
    });
    const begunAt = performance.now();
    socket.send(Uint8Array.from(opening.writeHello()));
    const answer = await new Promise<Uint8Array>((resolve, reject) => {
      socket.addEventListener('message', ({ data }) => resolve(new Uint8Array(data as ArrayBuffer)), { once: true });
      socket.addEventListener('close', () => reject(new Error(`the Proxy of ${site} closes`)));
    });
    const openedMs = performance.now() - begunAt;
    if (answer[0] === MESSAGE_TYPES.HINT) throw new Error(`the Proxy of ${site} answers ${decodeHint(answer).code}`);
    if (answer[0] !== MESSAGE_TYPES.WELCOME) throw new Error(`expected WELCOME, got message ${answer[0]}`);
    return new RawChannel(socket, new RecordLayer(opening.readWelcome(answer).transport), openedMs);
  }

  close(): void {
    this.#socket.close();
  }
}
