import type { Socket } from 'node:net';
import type { Field, HeadLimits } from '@sallyport/channel';
import { guardWith } from '@sallyport/telemetry';
import { BackendError, tooLate } from './errors.ts';
import type { PooledConnection } from './pooled-connection.ts';
import { ResponseParser, type ResponseSink } from './response-parser.ts';
import { listenTo } from './socket-events.ts';
import type { Share } from './tenant.ts';
import { limitWords, TIME_LIMITS, type TimeLimits } from './time-limits.ts';

/** A request as it goes to a backend; everything in it was checked. */
export interface BackendRequest {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  /** Further fields, with `content-length` when the length of the content is known. */
  readonly fields: readonly Field[];
  /** Whether content follows, and how it is framed. */
  readonly content: 'none' | 'length' | 'chunked';
  /** The connection ends after it, and the backend is told so: it then reads nothing behind it as a request. */
  readonly last: boolean;
}

/** What hears of one exchange on a connection. */
export interface ConnectionSink extends ResponseSink {
  /** The head of the request is out: content may be written. */
  begun(): void;
  /** There is room for more content. */
  room(): void;
  /** All bytes of the backend that have come so far were told. */
  pushed(): void;
  /** Fields behind the content of the response. */
  trailers?(fields: readonly Field[]): void;
  /** The exchange failed, or was given up; nothing follows. */
  failed(error: BackendError): void;
}

/** What hears of one request to a backend. */
export interface BackendSink extends ConnectionSink {
  /** A connection is there and the request goes out when this returns true. The last look at rights and lease. */
  connected(): boolean;
  /** The backend says that it did not take what was sent: nothing ran. What follows says what becomes of the request. */
  untaken?(): void;
}

/** How a connection is kept: it gives itself back to its pool, and can do nothing else there. */
export interface ConnectionOwner {
  /** The connection is idle and may take another request. */
  released(connection: PooledConnection): void;
  gone(connection: PooledConnection): void;
  /** Charges small chunks to the backend that sends them; gives the ms for which nothing more is read of this connection. */
  spend(smallChunks: number): number;
  /** A handler of ours threw: a defect, for the log. */
  handlerFailed(error: unknown): void;
}

const KEEP_ALIVE_MS = 20_000;
/** A connection that is signed in is kept longer: whoever signed in would have to do it again. */
const SIGNED_IN_MS = 110_000;
/** The next message of a login comes from a program, at once. */
const LOGIN_MS = 10_000;
/** How often connections are looked at, ms. */
export const SWEEP_MS = 1_000;
/** After so many sweeps an exchange whose device does not move ends, when others wait for its connection. */
const PRESSED_SWEEPS = 10;
/** A backend's own keep-alive time is kept to with this to spare, ms. */
const KEEP_ALIVE_MARGIN_MS = 1_000;
/** Content that waits for the socket may keep this many times its own size in memory; more is copied. */
const MAX_HOLD_FACTOR = 5;
/** Small chunks of one read that are nobody's concern: a stream of events has one or two. */
const FREE_CHUNKS = 8;
/** A connection rests no longer than this at once, ms: what is owed then is looked at again. */
const MAX_REST_MS = 5_000;

/** One HTTP/1.1 connection to a backend: one exchange at a time. */
export class BackendConnection implements ResponseSink, PooledConnection {
  readonly #socket: Socket;
  readonly #owner: ConnectionOwner;
  readonly #limits: TimeLimits;
  readonly #parser: ResponseParser;
  /** The channel that it is signed in for, or about to be; nobody else's requests go over it. */
  share: Share | undefined;
  /** A login on it goes on: only its next message may come. */
  login = false;
  readonly multiplexed = false;
  #sink: ConnectionSink | undefined;
  #chunked = false;
  #last = false;
  #requestDone = true;
  #released = false;
  #paused = false;
  /** Set while nothing is read because the backend sent too many small chunks. */
  #rest: NodeJS.Timeout | undefined;
  #kept = false;
  /** Something came from or went to the backend since the last sweep, and for how many sweeps nothing did. */
  #moved = false;
  #still = 0;
  /** Bytes that the backend had not taken at the last sweep. */
  #waited = 0;
  /** When the backend said something last, ms of the monotonic clock. */
  #readAt = 0;
  /** When the next sweep ends what is going on, ms of the monotonic clock. */
  #deadline = 0;

  constructor(socket: Socket, owner: ConnectionOwner, limits: TimeLimits = TIME_LIMITS, heads?: HeadLimits) {
    this.#parser = new ResponseParser(this, heads);
    this.#socket = socket;
    this.#owner = owner;
    this.#limits = limits;
    socket.setNoDelay(true);
    listenTo(
      socket,
      guardWith((error) => this.#defect(error)),
      {
        drained: () => {
          this.#moved = true;
          this.#sink?.room();
        },
        ended: () => this.#ended(),
        closed: () => this.#ended(),
        broke: (error) => this.#fail(error),
      },
    );
  }

  /** True when nothing of the response to the present request has come. */
  get untouched(): boolean {
    return this.#parser.untouched;
  }

  /** True when it has served a request before. */
  get kept(): boolean {
    return this.#kept;
  }

  /** What the response to the present request says of a login of this connection. */
  get loginAnswer(): ResponseParser['login'] {
    return this.#parser.login;
  }

  /** Sends the head of a request. Only on an idle connection. */
  begin(request: BackendRequest, sink: ConnectionSink): void {
    this.#sink = sink;
    this.#chunked = request.content === 'chunked';
    this.#last = request.last;
    this.#requestDone = request.content === 'none';
    this.#moved = true;
    this.#still = 0;
    this.#deadline = performance.now() + this.#limits.answerMs;
    this.#parser.expect(request.method);
    // Head and first content in one packet.
    if (!this.#requestDone) this.#socket.cork();
    this.#socket.write(formatRequest(request), 'latin1');
    sink.begun();
    this.#socket.uncork();
  }

  /** Sends content, which must stay as it is. False when the caller should wait for `room`. */
  write(bytes: Uint8Array): boolean {
    this.#moved = true;
    const socket = this.#socket;
    const waits = socket.writableLength > 0;
    const content = waits && bytes.buffer.byteLength > bytes.length * MAX_HOLD_FACTOR ? Buffer.from(bytes) : bytes;
    if (!this.#chunked) return socket.write(content);
    socket.cork();
    socket.write(`${content.length.toString(16)}\r\n`, 'latin1');
    socket.write(content);
    const room = socket.write('\r\n', 'latin1');
    socket.uncork();
    return room;
  }

  /** The content is complete. */
  finish(): void {
    if (this.#requestDone) return;
    this.#requestDone = true;
    this.#deadline = performance.now() + this.#patienceMs;
    if (this.#chunked) this.#socket.write('0\r\n\r\n', 'latin1');
  }

  /** Ends it while nobody uses it, or gives up what uses it. */
  retire(): void {
    if (this.#sink) return this.abort();
    this.#owner.gone(this);
    this.#socket.destroy();
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#rest) this.#socket.resume();
  }

  #restFor(ms: number): void {
    if (ms === 0 || this.#rest) return;
    this.#socket.pause();
    this.#rest = setTimeout(
      () => {
        this.#rest = undefined;
        if (!this.#paused) this.#socket.resume();
      },
      Math.min(ms, MAX_REST_MS),
    ).unref();
  }

  /** Gives the exchange up; the connection is not used again. Its sink hears `failed`. */
  abort(): void {
    this.#fail(new BackendError('ERR_BACKEND_ABORTED', 'the exchange was given up'));
  }

  /** Ends what has waited for too long; sooner what waits for a device while others wait for the connection. */
  sweep(now: number, pressed: boolean): void {
    if (this.#sink && this.#stillTooLong(pressed)) return;
    // While content is under way its movement counts, and only behind it the time until an answer comes.
    if (this.#sink && this.#uploads) this.#deadline = now + this.#patienceMs;
    if (now < this.#deadline) return;
    if (this.#sink) return this.#fail(this.#tooLate());
    // Its `close` event comes later: until then the pool must not hand it out.
    this.retire();
  }

  /** True while content is on its way to the backend. */
  get #uploads(): boolean {
    return !this.#requestDone || this.#socket.writableLength > 0;
  }

  /** How long the next bytes of the backend may take, ms. */
  get #patienceMs(): number {
    return this.#parser.inHead ? this.#limits.answerMs : this.#limits.idleMs;
  }

  #tooLate(): BackendError {
    const { answerMs, idleMs } = this.#limits;
    if (this.#paused)
      return tooLate('ERR_BACKEND_STALLED', limitWords('nothing of the answer was taken for', idleMs, 'idle'));
    const words = this.#parser.inHead
      ? limitWords('no answer within', answerMs, 'answer')
      : limitWords('nothing more of the answer came for', idleMs, 'idle');
    return tooLate('ERR_BACKEND_TIMEOUT', words);
  }

  /** True when the exchange was ended, because nothing has moved for too long where the device or the backend should move it. */
  #stillTooLong(pressed: boolean): boolean {
    const uploads = this.#uploads;
    const { writableLength } = this.#socket;
    this.#moved ||= writableLength !== this.#waited;
    this.#waited = writableLength;
    this.#still = this.#moved || !(uploads || this.#paused) ? 0 : this.#still + 1;
    this.#moved = false;
    const sweeps = pressed ? PRESSED_SWEEPS : Math.ceil(this.#limits.contentIdleMs / SWEEP_MS);
    if (this.#still < sweeps || (this.#paused && !uploads && !pressed)) return false;
    const stillMs = pressed ? PRESSED_SWEEPS * SWEEP_MS : this.#limits.contentIdleMs;
    const backend = uploads && writableLength > 0;
    const what = backend ? 'the content was not taken for' : 'no content moved for';
    const code = backend ? 'ERR_BACKEND_TIMEOUT' : 'ERR_BACKEND_STALLED';
    this.#fail(tooLate(code, limitWords(what, stillMs, 'idle')));
    return true;
  }

  /** Bytes of the backend; the view is not kept. */
  read(bytes: Buffer): void {
    this.#moved = true;
    this.#readAt = performance.now();
    this.#deadline = this.#readAt + this.#patienceMs;
    try {
      this.#parser.push(bytes);
      const { smallChunks } = this.#parser;
      if (smallChunks > FREE_CHUNKS) this.#restFor(this.#owner.spend(smallChunks));
      // Only now: bytes behind the response would otherwise be read as the answer to the next request.
      if (!this.#released) return this.#sink?.pushed();
      this.#released = false;
      this.#owner.released(this);
    } catch (error) {
      if (!(error instanceof BackendError)) this.#defect(error);
      else if (this.#parser.untouched && isHttp2(bytes))
        this.#fail(new BackendError('ERR_BACKEND_PROTOCOL', HTTP2_ONLY, { words: HTTP2_ONLY }));
      else this.#fail(error);
    }
  }

  head(status: number, fields: readonly Field[], length: number | undefined): void {
    // What follows is content, which may pause for longer than a head.
    this.#deadline += this.#limits.idleMs - this.#limits.answerMs;
    this.#sink?.head(status, fields, length);
  }

  body(bytes: Uint8Array): void {
    this.#sink?.body(bytes);
  }

  end(): void {
    const sink = this.#sink;
    if (!sink) return;
    this.#sink = undefined;
    // An answer before the whole request was read leaves the connection in a state that nobody can know.
    const taken = this.#requestDone && this.#socket.writableLength === 0;
    // What may still come behind an answer to HEAD must not be read as somebody else's.
    const clean = !this.#parser.mayTrail || this.share !== undefined;
    const reusable = this.#parser.reusable && clean && taken && !this.#last && !this.#socket.destroyed;
    const mostMs = this.login ? LOGIN_MS : this.share ? SIGNED_IN_MS : KEEP_ALIVE_MS;
    const keepMs = Math.min(mostMs, (this.#parser.keepAliveMs ?? mostMs) - KEEP_ALIVE_MARGIN_MS);
    if (reusable && keepMs > 0) {
      this.#kept = true;
      this.#deadline = this.#readAt + keepMs;
      this.#released = true;
      // The last part may have filled the device's side; the next exchange starts on a connection that reads.
      this.resume();
    } else {
      this.#socket.destroy();
    }
    sink.end();
  }

  #ended(): void {
    try {
      this.#parser.finish();
    } catch (error) {
      this.#fail(error as BackendError);
    }
    this.#socket.destroy();
    this.#owner.gone(this);
  }

  /** A handler of ours threw: this exchange and its connection are over, the others go on. */
  #defect(cause: unknown): void {
    this.#owner.handlerFailed(cause);
    this.#fail(new BackendError('ERR_BACKEND_CLOSED', 'the exchange could not be handled', { cause }));
  }

  #fail(error: BackendError): void {
    const sink = this.#sink;
    this.#sink = undefined;
    this.#socket.destroy();
    this.#owner.gone(this);
    const tell = guardWith((fault) => this.#owner.handlerFailed(fault));
    if (sink) tell(() => sink.failed(error))();
  }
}

const HTTP2_ONLY = 'it speaks another protocol, HTTP/2 only';
const SETTINGS = 4;
const GOAWAY = 7;

/**
 * True for the first bytes of a server that speaks HTTP/2 only: it begins with SETTINGS, or says goodbye (RFC 9113, sections 3.4 and
 * 4.1), and has taken nothing that it was sent for a request.
 */
function isHttp2(bytes: Buffer): boolean {
  const known = bytes.length >= 9 && (bytes[3] === SETTINGS || bytes[3] === GOAWAY);
  return known && bytes.readUIntBE(0, 3) <= 16_384 && bytes.readUInt32BE(5) === 0;
}

/** Head of a request (RFC 9112, section 3). The Proxy alone says where it goes; the rest was checked before. */
function formatRequest({ method, path, authority, fields, content, last }: BackendRequest): string {
  let text = `${method} ${path} HTTP/1.1\r\nhost: ${authority}\r\n`;
  for (const [name, value] of fields) text += `${name}: ${value}\r\n`;
  if (last) text += 'connection: close\r\n';
  return content === 'chunked' ? `${text}transfer-encoding: chunked\r\n\r\n` : `${text}\r\n`;
}
