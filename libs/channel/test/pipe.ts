import { EMPTY } from '../src/bytes.ts';
import type { CryptoProvider } from '../src/crypto.ts';
import { nodeCrypto } from '../src/crypto-node.ts';
import { type ChannelLimits, DEFAULT_LIMITS } from '../src/limits.ts';
import { type ChannelHost, Multiplexer } from '../src/multiplexer.ts';
import { NNpsk0, NoiseHandshake, type Transport } from '../src/noise.ts';
import { RecordLayer } from '../src/record.ts';
import type { ChannelStream, StreamSink } from '../src/stream.ts';

/** Two transports that belong together. */
export function transportPair(crypto: CryptoProvider = nodeCrypto()): readonly [Transport, Transport] {
  const start = { crypto, suite: 1, pattern: NNpsk0, prologue: EMPTY, psk: new Uint8Array(32) } as const;
  const a = new NoiseHandshake({ ...start, initiator: true });
  const b = new NoiseHandshake({ ...start, initiator: false });
  b.readMessage(a.writeMessage(EMPTY));
  a.readMessage(b.writeMessage(EMPTY));
  return [a.split(), b.split()];
}

/** A device and a Proxy end, joined by queues that the test moves by hand: no sockets, no timers. */
export class Pipe {
  readonly device: Multiplexer;
  readonly proxy: Multiplexer;
  readonly toProxy: Uint8Array[] = [];
  readonly toDevice: Uint8Array[] = [];
  readonly accepted: ChannelStream[] = [];
  readonly goaways: number[] = [];
  readonly notices: Uint8Array[] = [];
  readonly contexts: Uint8Array[] = [];
  time = 0;
  #flushes: (() => void)[] = [];

  constructor(
    accept: (stream: ChannelStream) => StreamSink,
    limits: Partial<ChannelLimits> = {},
    proxyHost: Partial<ChannelHost> = {},
  ) {
    const [a, b] = transportPair();
    const all = { ...DEFAULT_LIMITS, ...limits };
    this.device = new Multiplexer(new RecordLayer(a), 'device', all, this.#host(this.toProxy));
    this.proxy = new Multiplexer(new RecordLayer(b), 'proxy', all, {
      ...this.#host(this.toDevice),
      ...proxyHost,
      accept: (stream) => {
        this.accepted.push(stream);
        return accept(stream);
      },
    });
  }

  /** Runs everything that is due and moves all records until nothing is left. */
  settle(): void {
    for (let i = 0; i < 10_000 && this.step(); i++);
  }

  /** One flush or one record; false when there is nothing to do. */
  step(): boolean {
    const flush = this.#flushes.shift();
    if (flush) flush();
    else if (this.toProxy.length > 0) this.proxy.receive(this.toProxy.shift()!);
    else if (this.toDevice.length > 0) this.device.receive(this.toDevice.shift()!);
    else return false;
    return true;
  }

  #host(queue: Uint8Array[]): ChannelHost {
    return {
      transmit: (record) => void queue.push(record),
      backlogBytes: () => 0,
      now: () => this.time,
      schedule: (flush) => void this.#flushes.push(flush),
      goaway: (_last, code) => void this.goaways.push(code),
      notice: (cbor) => void this.notices.push(cbor.slice()),
      context: (cbor) => void this.contexts.push(cbor.slice()),
    };
  }
}

/** A sink that keeps what it hears; it consumes at once unless told otherwise. */
export class Recorder implements StreamSink {
  readonly parts: Uint8Array[] = [];
  ended = false;
  resetCode: number | undefined;
  drains = 0;
  stream: ChannelStream | undefined;
  consumes: boolean;

  constructor(consumes = true) {
    this.consumes = consumes;
  }

  get bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.parts));
  }

  data(bytes: Uint8Array): void {
    this.parts.push(Uint8Array.from(bytes));
    if (this.consumes) this.stream?.consume(bytes.length);
  }

  end(): void {
    this.ended = true;
  }

  reset(code: number): void {
    this.resetCode = code;
  }

  drain(): void {
    this.drains += 1;
  }
}
