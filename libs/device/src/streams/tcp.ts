import {
  type ChannelStream,
  encodeText,
  findSignedCode,
  prefix8,
  SIGNED_CODES,
  type StreamSink,
} from '@sallyport/channel';
import { DeviceError, remoteError } from '../errors.ts';
import type { GatewayChannel } from '../gateway/channel.ts';
import { HeldBytes } from './held-bytes.ts';

/** A TCP connection through the gateway, as web streams. */
export interface TcpConnection {
  /** Name of the site by which it goes. */
  readonly site: string;
  /** What the backend sends, at the pace of the reader. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What the backend gets; closing it ends this direction only. */
  readonly writable: WritableStream<Uint8Array>;
  /** Ends both directions at once. */
  abort(): void;
}

/** Opens a stream of kind 3 to a TCP resource (SPEC.md, section 7). */
export async function connectTcp(channel: GatewayChannel, authority: string): Promise<TcpConnection> {
  const sink = new TcpSink();
  const stream = await channel.openStream(3, sink);
  stream.write(prefix8(encodeText(authority)));
  return { site: channel.place.site, ...sink.connect(stream) };
}

class TcpSink implements StreamSink {
  #stream: ChannelStream | undefined;
  #reader: ReadableStreamDefaultController<Uint8Array> | undefined;
  #writer: WritableStreamDefaultController | undefined;
  readonly #held = new HeldBytes();
  #pulled: (() => void) | undefined;
  #drained: (() => void) | undefined;
  #ended = false;

  connect(stream: ChannelStream): Omit<TcpConnection, 'site'> {
    this.#stream = stream;
    const readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#reader = controller;
        },
        pull: () => this.#pull(),
        cancel: () => stream.reset(SIGNED_CODES.CANCELLED),
      },
      { highWaterMark: 0 },
    );
    const writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#writer = controller;
      },
      write: (bytes) => this.#write(stream, bytes),
      close: () => stream.finish(),
      abort: () => stream.reset(SIGNED_CODES.CANCELLED),
    });
    return { readable, writable, abort: () => stream.reset(SIGNED_CODES.CANCELLED) };
  }

  data(bytes: Uint8Array): void {
    this.#held.add(bytes);
    this.#deliver();
  }

  end(): void {
    this.#ended = true;
    this.#deliver();
  }

  reset(number: number, words?: string): void {
    const code = findSignedCode(number);
    const error =
      code && code !== 'CANCELLED'
        ? remoteError(code, { words })
        : new DeviceError('CONNECTION_LOST', 'the connection was lost');
    this.#drained?.();
    this.#reader?.error(error);
    this.#writer?.error(error);
    this.#pulled?.();
  }

  drain(): void {
    this.#drained?.();
  }

  #pull(): Promise<void> {
    return new Promise((pulled) => {
      this.#pulled = pulled;
      this.#deliver();
    });
  }

  #deliver(): void {
    const pulled = this.#pulled;
    if (!pulled) return;
    const part = this.#held.take();
    if (!part && !this.#ended) return;
    this.#pulled = undefined;
    if (part) {
      this.#reader?.enqueue(part);
      this.#stream?.consume(part.length);
    } else {
      this.#reader?.close();
    }
    pulled();
  }

  async #write(stream: ChannelStream, bytes: Uint8Array): Promise<void> {
    if (stream.write(Uint8Array.from(bytes)) || stream.closed) return;
    await new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
  }
}
