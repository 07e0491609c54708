import {
  ChannelError,
  type ChannelStream,
  checkHeadSize,
  checkRequest,
  encodeChunkPrefix,
  encodeMessageEnd,
  encodeRequestHead,
  type Field,
  findSignedCode,
  type HttpDecoder,
  type RequestHead,
  type ResponseHead,
  responseDecoder,
  SIGNED_CODES,
  type StreamSink,
  WIDEST_HEAD,
} from '@sallyport/channel';
import { DeviceError, remoteError } from '../errors.ts';
import type { GatewayChannel } from '../gateway/channel.ts';
import { streamOnDemand } from './content-source.ts';
import { HeldBytes } from './held-bytes.ts';

/** Content of a request: whole, or streamed. A streamed one cannot be sent twice. */
export type RequestBody = Uint8Array | AsyncIterable<Uint8Array> | undefined;

/** A response whose body arrives as it is read. */
export interface CallResponse {
  /** Status code. */
  readonly status: number;
  /** Header fields in their order; `findField` finds one. */
  readonly fields: readonly Field[];
  /** Content at the pace of its reader; cancelling it ends the request. */
  readonly body: ReadableStream<Uint8Array>;
}

/** A response with what may stand behind its content: gRPC says there how a call went. */
export interface TrailedResponse extends CallResponse {
  /** Name of the site by which it came. */
  readonly site: string;
  /** Fields behind the content; settled when all of it has come. @throws DeviceError when it comes to no end */
  trailers(): Promise<readonly Field[]>;
}

/** A field by name, undefined when the response has none. */
export function findField(fields: readonly Field[], name: string): string | undefined {
  return fields.find(([other]) => other === name)?.[1];
}

/** How the content of a request ends. */
export interface RequestEnd {
  readonly signal?: AbortSignal | undefined;
  /** Fields behind the content, asked for when it is at its end. */
  readonly trailers?: (() => readonly Field[]) | undefined;
}

const MAX_CHUNK_BYTES = 65_536;

/**
 * Checks a request by what holds at every resource; which methods a policy opens and which grammar of paths a resource has is
 * the Proxy's to say. @throws DeviceError BAD_REQUEST, FIELDS_TOO_LARGE
 */
export function checkHead(head: RequestHead): void {
  try {
    checkHeadSize(head, WIDEST_HEAD);
    checkRequest(head, { paths: 'exact' });
  } catch (cause) {
    const { message, tooLarge } = cause as ChannelError;
    if (tooLarge) throw remoteError('FIELDS_TOO_LARGE', { words: message });
    throw new DeviceError('BAD_REQUEST', `the request is not allowed: ${message}`, { cause });
  }
}

/** What only says how a connection might be used. */
const OFFERED = /^(?:upgrade|http2-settings|keep-alive)$/i;

/**
 * A request without an offer to change the protocol, which nobody on the way takes up (RFC 9110, section 7.8). One for a WebSocket
 * stays: it would be no offer but a mistake.
 */
export function withoutOffer(head: RequestHead): RequestHead {
  const offers = head.fields.some(([name, value]) => name === 'upgrade' && value.toLowerCase() !== 'websocket');
  if (!offers) return head;
  const isOffer = ([name, value]: Field): boolean =>
    OFFERED.test(name) || (name === 'connection' && value.split(',').every((option) => OFFERED.test(option.trim())));
  return { ...head, fields: head.fields.filter((field) => !isOffer(field)) };
}

/**
 * One HTTP exchange on a channel (SPEC.md, section 7, kind 1). Bytes flow in both directions at the pace of whoever
 * reads them.
 * @throws DeviceError with `mayHaveRun` false only when certainly nothing reached a backend.
 */
export function callHttp(
  channel: GatewayChannel,
  head: RequestHead,
  body: RequestBody,
  { signal, trailers }: RequestEnd = {},
): Promise<TrailedResponse> {
  return new Promise((resolve, reject) => {
    const { site } = channel.place;
    const call = new HttpCall(head, body, { resolve, reject, trailers, site, answered: channel.expect() });
    channel.openStream(1, call).then(
      (stream) => call.start(stream, signal),
      (error) => call.refused(error),
    );
  });
}

/** Who made a call. */
interface Caller {
  resolve(response: TrailedResponse): void;
  reject(error: unknown): void;
  readonly trailers: RequestEnd['trailers'];
  readonly site: string;
  /** Nobody waits for the gateway any more. */
  answered(): void;
}

class HttpCall implements StreamSink {
  readonly #head: RequestHead;
  readonly #body: RequestBody;
  readonly #caller: Caller;
  readonly #decoder: HttpDecoder;
  readonly #held = new HeldBytes();
  #stream: ChannelStream | undefined;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #pulled: (() => void) | undefined;
  #drained: (() => void) | undefined;
  #complete = false;
  #failure: DeviceError | undefined;
  #trailers: readonly Field[] = [];
  /** Who waits for the end of the response. */
  #waiting: { resolve(fields: readonly Field[]): void; reject(error: unknown): void }[] = [];

  constructor(head: RequestHead, body: RequestBody, caller: Caller) {
    this.#head = head;
    this.#body = body;
    this.#caller = caller;
    const sink = {
      head: (response: ResponseHead) => this.#responded(response),
      content: (bytes: Uint8Array) => this.#held.add(bytes),
      trailers: (fields: readonly Field[]): void => {
        this.#trailers = fields;
      },
    };
    this.#decoder = responseDecoder(sink, 'chunks', WIDEST_HEAD);
  }

  /** No stream could be opened for it. */
  refused(error: unknown): void {
    this.#caller.answered();
    this.#caller.reject(error);
  }

  start(stream: ChannelStream, signal: AbortSignal | undefined): void {
    this.#stream = stream;
    signal?.addEventListener('abort', () => this.#abort(), { once: true });
    if (signal?.aborted) return this.#abort();
    stream.write(encodeRequestHead(this.#head));
    // Nothing to wait for: the whole request is one record.
    if (this.#body === undefined) return this.#finish(stream);
    this.#sendBody(stream).catch((cause: unknown) => {
      stream.reset(SIGNED_CODES.CANCELLED);
      this.#fail(
        new DeviceError('BAD_REQUEST', 'the content of the request could not be read', { cause, mayHaveRun: true }),
      );
    });
  }

  data(bytes: Uint8Array): void {
    if (this.#failure) return this.#stream?.consume(bytes.length);
    const before = this.#held.length;
    try {
      this.#decoder.push(bytes);
    } catch (cause) {
      if (!(cause instanceof ChannelError)) throw cause;
      this.#stream?.reset(SIGNED_CODES.CANCELLED);
      return this.#fail(new DeviceError('BAD_RESPONSE', 'the response is malformed', { cause }));
    }
    // Framing is given back at once, content when the app reads it.
    this.#stream?.consume(bytes.length - (this.#held.length - before));
    this.#deliver();
  }

  end(): void {
    try {
      this.#decoder.finish();
      this.#complete = true;
      for (const { resolve } of this.#waiting.splice(0)) resolve(this.#trailers);
      this.#caller.answered();
      this.#deliver();
    } catch (cause) {
      this.#fail(new DeviceError('BAD_RESPONSE', 'the response was cut short', { cause }));
    }
  }

  reset(number: number, words?: string): void {
    const code = findSignedCode(number);
    const lost = code === undefined || code === 'CANCELLED';
    this.#fail(lost ? new DeviceError('CONNECTION_LOST', 'the connection was lost') : remoteError(code, { words }));
  }

  drain(): void {
    this.#drained?.();
  }

  async #sendBody(stream: ChannelStream): Promise<void> {
    const parts = this.#body instanceof Uint8Array ? [this.#body] : this.#body!;
    for await (const part of parts) {
      for (let at = 0; at < part.length; at += MAX_CHUNK_BYTES) {
        const chunk = part.subarray(at, at + MAX_CHUNK_BYTES);
        stream.write(encodeChunkPrefix(chunk.length));
        if (!stream.write(chunk)) await this.#room(stream);
      }
      if (stream.closed) return;
    }
    this.#finish(stream);
  }

  #finish(stream: ChannelStream): void {
    stream.write(encodeMessageEnd(this.#caller.trailers?.() ?? []));
    stream.finish();
  }

  #room(stream: ChannelStream): Promise<void> {
    return new Promise((resolve) => {
      if (stream.closed) return resolve();
      this.#drained = resolve;
    });
  }

  #responded({ status, fields }: ResponseHead): void {
    const body = streamOnDemand({
      opened: (controller) => {
        this.#controller = controller;
      },
      asked: (given) => {
        this.#pulled = given;
        this.#deliver();
      },
      cancelled: () => this.#cancel(),
    });
    // A stream of events may be quiet for hours, and nobody wonders.
    if (fields.some(([name, value]) => name === 'content-type' && value.startsWith('text/event-stream')))
      this.#caller.answered();
    this.#caller.resolve({ status, fields, body, site: this.#caller.site, trailers: () => this.#ended() });
  }

  /** Gives the app what has come, if it asked for more and there is some. */
  #deliver(): void {
    const controller = this.#controller;
    const pulled = this.#pulled;
    if (!controller || !pulled) return;
    const part = this.#held.take();
    if (!part && !this.#complete) return;
    this.#pulled = undefined;
    if (part) {
      controller.enqueue(part);
      this.#stream?.consume(part.length);
    } else {
      controller.close();
    }
    pulled();
  }

  #ended(): Promise<readonly Field[]> {
    if (this.#complete) return Promise.resolve(this.#trailers);
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => void this.#waiting.push({ resolve, reject }));
  }

  #cancel(): void {
    this.#caller.answered();
    for (const { reject } of this.#waiting.splice(0)) reject(new DeviceError('ABORTED', 'the content was not read'));
    this.#stream?.reset(SIGNED_CODES.CANCELLED);
  }

  #abort(): void {
    this.#stream?.reset(SIGNED_CODES.CANCELLED);
    this.#fail(new DeviceError('ABORTED', 'the request was aborted'));
  }

  #fail(error: DeviceError): void {
    if (this.#failure || this.#complete) return;
    this.#failure = error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.#caller.answered();
    this.#drained?.();
    if (this.#controller) this.#controller.error(error);
    else this.#caller.reject(error);
    this.#pulled?.();
  }
}
