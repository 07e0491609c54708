import { type ClientHttp2Session, type ClientHttp2Stream, constants, type OutgoingHttpHeaders } from 'node:http2';
import type { Field } from '@sallyport/channel';
import { type Guard, guardWith } from '@sallyport/telemetry';
import { type BackendRequest, type ConnectionOwner, type ConnectionSink, SWEEP_MS } from './connection.ts';
import { BackendError, tooLate } from './errors.ts';
import type { PooledConnection } from './pooled-connection.ts';
import type { ResponseParser } from './response-parser.ts';
import type { Share } from './tenant.ts';
import { limitWords, type TimeLimits } from './time-limits.ts';

/** A place that nobody uses is kept so long, ms. */
const KEEP_MS = 20_000;
/** After so many sweeps an exchange whose device does not move ends, when others wait for its place. */
const PRESSED_SWEEPS = 10;
/** Content in parts below this is charged to the backend, because each costs more than its bytes. */
const SMALL_CHUNK_BYTES = 256;
/** A stream rests no longer than this at once, ms. */
const MAX_REST_MS = 5_000;
/** Content that waits may keep this many times its own size in memory; more is copied. */
const MAX_HOLD_FACTOR = 5;

const { NGHTTP2_CANCEL, NGHTTP2_HTTP_1_1_REQUIRED, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } = constants;
const END_STREAM = constants.NGHTTP2_FLAG_END_STREAM;

/** The connection of a lane. */
export interface LaneOwner {
  readonly owner: ConnectionOwner;
  readonly scheme: string;
  readonly session: ClientHttp2Session;
  /** Streams above this were not processed, once the server has said goodbye. */
  readonly lastStream: number | undefined;
  leave(lane: Http2Lane): void;
  /** A stream was ended by us before its answer was whole. */
  gaveUp(): void;
  doubt(): void;
}

/** A place for one stream after another on a connection of HTTP/2: for its pool what a connection of HTTP/1.1 is. */
export class Http2Lane implements PooledConnection {
  readonly #home: LaneOwner;
  readonly #limits: TimeLimits;
  share: Share | undefined;
  login = false;
  readonly multiplexed = true;
  readonly loginAnswer: ResponseParser['login'] = 'none';
  #kept = false;
  #gone = false;
  #stream: ClientHttp2Stream | undefined;
  #sink: ConnectionSink | undefined;
  #cause: Error | undefined;
  #trailers: readonly Field[] = [];
  #requestDone = true;
  #inHead = true;
  #paused = false;
  /** Set while nothing is read because the backend sent too many small parts. */
  #rest: NodeJS.Timeout | undefined;
  #moved = false;
  #still = 0;
  #waited = 0;
  #deadline: number = performance.now() + KEEP_MS;
  readonly #guard: Guard = guardWith((cause) => {
    this.#home.owner.handlerFailed(cause);
    this.#fail(new BackendError('ERR_BACKEND_CLOSED', 'the exchange could not be handled', { cause }));
  });

  constructor(home: LaneOwner, limits: TimeLimits) {
    this.#home = home;
    this.#limits = limits;
  }

  get kept(): boolean {
    return this.#kept;
  }

  get untouched(): boolean {
    return this.#inHead;
  }

  get idle(): boolean {
    return this.#sink === undefined;
  }

  begin(request: BackendRequest, sink: ConnectionSink): void {
    this.#sink = sink;
    this.#cause = undefined;
    this.#trailers = [];
    this.#inHead = true;
    this.#paused = false;
    this.#requestDone = request.content === 'none';
    this.#moved = true;
    this.#still = 0;
    this.#deadline = performance.now() + this.#limits.answerMs;
    const options = { endStream: this.#requestDone, waitForTrailers: !this.#requestDone };
    try {
      this.#stream = this.#home.session.request(headersOf(request, this.#home.scheme), options);
    } catch (cause) {
      const { code = '' } = cause as NodeJS.ErrnoException;
      const bye = code.includes('SESSION') || code.includes('OUT_OF_STREAMS');
      return this.#fail(
        bye
          ? new BackendError('ERR_BACKEND_REFUSED', 'the connection takes no more requests', { cause })
          : new BackendError('ERR_BACKEND_PROTOCOL', 'the request cannot be said in HTTP/2', { cause }),
      );
    }
    this.#listen(this.#stream);
    sink.begun();
  }

  write(bytes: Uint8Array): boolean {
    this.#moved = true;
    const stream = this.#stream;
    if (!stream || stream.destroyed || stream.writableEnded) return true;
    const waits = stream.writableLength > 0;
    return stream.write(waits && bytes.buffer.byteLength > bytes.length * MAX_HOLD_FACTOR ? Buffer.from(bytes) : bytes);
  }

  finish(trailers: readonly Field[]): void {
    if (this.#requestDone) return;
    this.#requestDone = true;
    this.#trailers = trailers;
    this.#deadline = performance.now() + this.#patienceMs;
    this.#stream?.end();
  }

  pause(): void {
    this.#paused = true;
    this.#stream?.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#rest) this.#stream?.resume();
  }

  #restFor(ms: number): void {
    if (ms === 0 || this.#rest) return;
    this.#stream?.pause();
    this.#rest = setTimeout(
      () => {
        this.#rest = undefined;
        if (!this.#paused) this.#stream?.resume();
      },
      Math.min(ms, MAX_REST_MS),
    ).unref();
  }

  retire(): void {
    if (this.#sink) return this.abort();
    this.#leave();
  }

  abort(): void {
    this.#fail(new BackendError('ERR_BACKEND_ABORTED', 'the exchange was given up'));
  }

  /** The connection is gone. */
  lost(cause: Error | undefined): void {
    if (!this.#sink) return this.#leave();
    this.#fail(this.#failureOf(cause));
  }

  sweep(now: number, pressed: boolean): void {
    if (!this.#sink) {
      if (now >= this.#deadline) this.retire();
      return;
    }
    if (this.#stillTooLong(pressed)) return;
    // While content is under way its movement counts, and only behind it the time until an answer comes.
    if (this.#uploads) this.#deadline = now + this.#patienceMs;
    if (now < this.#deadline) return;
    if (!this.#paused) this.#home.doubt();
    this.#fail(this.#tooLate());
  }

  get #uploads(): boolean {
    return !this.#requestDone || (this.#stream?.writableLength ?? 0) > 0;
  }

  get #patienceMs(): number {
    return this.#inHead ? this.#limits.answerMs : this.#limits.idleMs;
  }

  #tooLate(): BackendError {
    const { answerMs, idleMs } = this.#limits;
    if (this.#paused)
      return tooLate('ERR_BACKEND_STALLED', limitWords('nothing of the answer was taken for', idleMs, 'idle'));
    const words = this.#inHead
      ? limitWords('no answer within', answerMs, 'answer')
      : limitWords('nothing more of the answer came for', idleMs, 'idle');
    return tooLate('ERR_BACKEND_TIMEOUT', words);
  }

  /**
   * True when the exchange was ended, because nothing has moved for too long where the device or the backend should move it. A call in
   * both directions moves while either side does.
   */
  #stillTooLong(pressed: boolean): boolean {
    const waited = this.#stream?.writableLength ?? 0;
    this.#moved ||= waited !== this.#waited;
    this.#waited = waited;
    this.#still = this.#moved || !(this.#uploads || this.#paused) ? 0 : this.#still + 1;
    this.#moved = false;
    const stillMs = pressed
      ? PRESSED_SWEEPS * SWEEP_MS
      : this.#inHead
        ? this.#limits.contentIdleMs
        : this.#limits.idleMs;
    if (this.#still < Math.ceil(stillMs / SWEEP_MS) || (this.#paused && !this.#uploads && !pressed)) return false;
    const what = waited > 0 ? 'the content was not taken for' : 'no content moved for';
    const code = waited > 0 ? 'ERR_BACKEND_TIMEOUT' : 'ERR_BACKEND_STALLED';
    this.#fail(tooLate(code, limitWords(what, stillMs, 'idle')));
    return true;
  }

  #listen(stream: ClientHttp2Stream): void {
    const on = (event: string, handler: (...args: never[]) => void): void => {
      const guarded = this.#guard(handler) as (...args: unknown[]) => void;
      stream.on(event, (...args: unknown[]) => {
        // What comes late belongs to an exchange that is over.
        if (this.#stream === stream) guarded(...args);
      });
    };
    on('response', (headers: { ':status'?: number }, flags: number, raw: string[]) =>
      this.#answered(headers[':status'] ?? 0, flags, raw),
    );
    on('data', (bytes: Buffer) => {
      this.#heard();
      if (bytes.length < SMALL_CHUNK_BYTES) this.#restFor(this.#home.owner.spend(1));
      this.#sink?.body(bytes);
    });
    on('trailers', (_headers: unknown, _flags: number, raw: string[]) => {
      this.#sink?.trailers?.(fieldsOf(raw));
    });
    on('wantTrailers', () => this.#sendTrailers(stream));
    on('drain', () => {
      this.#moved = true;
      this.#sink?.room();
    });
    on('error', (error: Error) => {
      this.#cause = error;
    });
    on('end', () => this.#complete(stream));
    on('close', () => this.#fail(this.#failureOf(this.#cause)));
    stream.on('error', () => undefined);
  }

  #sendTrailers(stream: ClientHttp2Stream): void {
    try {
      stream.sendTrailers(grouped(this.#trailers));
    } catch (cause) {
      // A field twice that stands once: what was sent before may have run.
      this.#fail(new BackendError('ERR_BACKEND_STALLED', 'the trailers cannot be said in HTTP/2', { cause }));
    }
  }

  #answered(status: number, flags: number, raw: string[]): void {
    this.#inHead = false;
    this.#heard();
    const sink = this.#sink;
    const fields = fieldsOf(raw);
    sink?.head(status, fields, undefined);
    // An answer that begins is told at once: its content may be long in coming.
    if ((flags & END_STREAM) === 0) queueMicrotask(this.#guard(() => this.#sink === sink && sink?.pushed()));
  }

  #heard(): void {
    this.#moved = true;
    this.#deadline = performance.now() + this.#patienceMs;
  }

  /** The answer is whole. What the request still had to say is of no use any more. */
  #complete(stream: ClientHttp2Stream): void {
    const sink = this.#sink;
    if (!sink || this.#inHead) return;
    this.#sink = undefined;
    this.#stream = undefined;
    this.#kept = true;
    this.#deadline = performance.now() + KEEP_MS;
    if (!this.#requestDone || stream.writableLength > 0) closeSoon(stream, NGHTTP2_NO_ERROR);
    sink.end();
    if (this.#home.lastStream !== undefined || this.#home.session.closed) return this.#leave();
    this.#home.owner.released(this);
  }

  /** Why the stream ended before its answer was whole: the server says so when it has not processed it (RFC 9113, section 8.7). */
  #failureOf(cause: Error | undefined): BackendError {
    const code = this.#stream?.rstCode;
    const id = this.#stream?.id;
    const { lastStream } = this.#home;
    const left = id === undefined || (lastStream !== undefined && id > lastStream);
    const options = cause === undefined ? {} : { cause };
    if (this.#inHead && (left || code === NGHTTP2_REFUSED_STREAM))
      return new BackendError('ERR_BACKEND_REFUSED', 'the backend did not take the request', options);
    if (this.#inHead && code === NGHTTP2_HTTP_1_1_REQUIRED)
      return new BackendError('ERR_BACKEND_RESPONSE', 'the backend wants HTTP/1.1 for this', options);
    return new BackendError('ERR_BACKEND_CLOSED', `the stream ended before its answer was whole (${code})`, options);
  }

  #fail(error: BackendError): void {
    const sink = this.#sink;
    const stream = this.#stream;
    this.#sink = undefined;
    this.#stream = undefined;
    if (stream && !stream.closed) {
      closeSoon(stream, NGHTTP2_CANCEL);
      this.#home.gaveUp();
    }
    this.#leave();
    const tell = guardWith((fault) => this.#home.owner.handlerFailed(fault));
    if (sink) tell(() => sink.failed(error))();
  }

  #leave(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#home.owner.gone(this);
    this.#home.leave(this);
  }
}

/**
 * Ends a stream behind the event that is handled. While bytes of the backend are read, Node 24 may take the close of a stream that could
 * have had trailers for an end without end: it writes empty frames until the memory of the process is used up.
 */
function closeSoon(stream: ClientHttp2Stream, code: number): void {
  setImmediate(() => {
    if (!stream.closed) stream.close(code);
  });
}

/** The head of a request (RFC 9113, section 8.3.1). The Proxy alone says where it goes; the rest was checked before. */
function headersOf({ method, path, authority, fields }: BackendRequest, scheme: string): OutgoingHttpHeaders {
  const own = { ':method': method, ':scheme': scheme, ':authority': authority, ':path': path };
  // We take trailers: gRPC servers look for that.
  return { ...own, ...grouped(fields.filter(([name]) => name !== 'te')), te: 'trailers' };
}

function grouped(fields: readonly Field[]): OutgoingHttpHeaders {
  // No field is called as something that every object has.
  const headers: Record<string, string | string[]> = Object.create(null);
  for (const [name, value] of fields) {
    const known = headers[name];
    headers[name] = known === undefined ? value : [...(Array.isArray(known) ? known : [known]), value];
  }
  return headers;
}

/** Fields of a head or of trailers, without what HTTP/2 itself says. */
function fieldsOf(raw: readonly string[] = []): Field[] {
  const fields: Field[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]!;
    if (!name.startsWith(':')) fields.push([name, raw[i + 1]!]);
  }
  return fields;
}
