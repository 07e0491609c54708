import { type Field, type HeadLimits, HTTP_LIMITS, remembered, WIDEST_HEAD } from '@sallyport/channel';
import { loginAnswer } from './connection-login.ts';
import { BackendError, invalidAnswer } from './errors.ts';
import { PendingBytes } from './pending-bytes.ts';

/** What hears of a response. */
export interface ResponseSink {
  /** Status and fields of the final response: names in lower case, values trimmed, not checked any further. */
  head(status: number, fields: readonly Field[], length: number | undefined): void;
  /** Part of the content: a view, valid during the call. */
  body(bytes: Uint8Array): void;
  /** The response is complete. */
  end(): void;
  /** The backend took the upgrade that was asked for; what follows comes as `body`. */
  switched?(fields: readonly Field[]): void;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const LINE_END = Buffer.from('\r\n');
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?$/;
/** A CR or LF that is not part of a line's end, or a NUL: some readers would see another message. */
const STRAY = /\r(?!\n)|(?<!\r)\n|\0/;
/** The same in part of a head; a CR at its end may still get its LF. */
const STRAY_SO_FAR = /\r(?!\n|$)|(?<!\r)\n|\0/;
const NAME = /^[!#$%&'*+\-.^`|~0-9A-Za-z_]+$/;
const CONTENT_LENGTH = /^(?:0|[1-9][0-9]{0,15})$/;
const CHUNK_LINE = /^([0-9a-fA-F]{1,8})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?$/;
const CHUNK_LINE_BYTES = 256;
const TRAILER_BYTES = 8_192;
/** Chunks below this are told together, as far as they came together: each would cost more than its bytes. */
const SMALL_CHUNK_BYTES = 256;
/** Memory that small chunks are put together in; shared, because nothing stays in it behind a `push`. */
const gathering = Buffer.allocUnsafeSlow(64 * 1024);
/** Values of `connection` that do not end it; an offer to upgrade is one of them (RFC 9110, section 7.8). */
const KEEPS_OPEN = /^(?:(?:^|[ \t]*,[ \t]*)(?:keep-alive|upgrade))+$/i;
const KEEP_ALIVE = /(?:^|,)\s*timeout=(\d{1,6})\s*(?:,|$)/i;

const CR = 0x0d;

type State = 'idle' | 'head' | 'length' | 'close' | 'switched' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailers';

function refuse(message: string): never {
  throw invalidAnswer(message);
}

function demand(condition: boolean, message: string): asserts condition {
  if (!condition) refuse(message);
}

/**
 * Reads the responses of one HTTP/1.1 connection, strictly (RFC 9112): what another reader could understand differently is
 * refused, never repaired. Fed with `push`, told of the connection's end with `finish`. Not shared.
 */
export class ResponseParser {
  readonly #sink: ResponseSink;
  readonly #limits: HeadLimits;
  #state: State = 'idle';
  #method = 'GET';
  #offersSwitch = false;
  readonly #kept = new PendingBytes();
  /** Bytes of the head that were looked at already. */
  #seen = 0;
  #left = 0;
  #gathered = 0;
  #smallChunks = 0;
  #informational = 0;
  #trailerBytes = 0;
  #reusable = true;
  #mayTrail = false;
  #login: ReturnType<typeof loginAnswer> = 'none';
  #keepAliveMs: number | undefined;

  /** `limits` are those of heads; a value of a response may be as long as a device takes one, within the limit of all. */
  constructor(sink: ResponseSink, limits: HeadLimits = HTTP_LIMITS) {
    this.#sink = sink;
    this.#limits = limits;
  }

  /** A request with this method was sent, perhaps with an offer to switch protocols: its response comes next. */
  expect(method: string, offersSwitch = false): void {
    this.#state = 'head';
    this.#seen = 0;
    this.#offersSwitch = offersSwitch;
    this.#method = method;
    this.#informational = 0;
  }

  /** True between a complete response and the next request. */
  get idle(): boolean {
    return this.#state === 'idle';
  }

  /** True while nothing of the final response has come. */
  get untouched(): boolean {
    return this.#state === 'head' && this.#kept.empty && this.#informational === 0;
  }

  /** True until the head of the final response is there. */
  get inHead(): boolean {
    return this.#state === 'head';
  }

  /** What this response says of a login of its connection. */
  get login(): ReturnType<typeof loginAnswer> {
    return this.#login;
  }

  /** True when the connection may carry another request after this response. */
  get reusable(): boolean {
    return this.#reusable;
  }

  /** True when this response names content that it cannot have, which some send all the same, if late. */
  get mayTrail(): boolean {
    return this.#mayTrail;
  }

  /** How long the backend keeps an idle connection, ms, if it said so. */
  get keepAliveMs(): number | undefined {
    return this.#keepAliveMs;
  }

  /** Small chunks that the last `push` brought. */
  get smallChunks(): number {
    return this.#smallChunks;
  }

  /** Takes bytes of the connection; the view is not kept. @throws BackendError ERR_BACKEND_RESPONSE */
  push(bytes: Buffer): void {
    const data = this.#kept.empty ? bytes : this.#kept.with(bytes);
    this.#smallChunks = 0;
    this.#gathered = 0;
    let at = 0;
    while (at < data.length) {
      const next = this.#step(data, at);
      if (next === at) break;
      at = next;
    }
    this.#tellGathered();
    this.#kept.keep(data, at);
  }

  /** The backend closed the connection. @throws BackendError ERR_BACKEND_CLOSED in the middle of a response */
  finish(): void {
    if (this.#state === 'close') return this.#end();
    if (this.#state !== 'idle' && this.#state !== 'switched')
      throw new BackendError(
        'ERR_BACKEND_CLOSED',
        'the backend closed the connection before its response was complete',
      );
  }

  /** Reads on at `at`; gives where it came to, `at` itself when more bytes are needed. */
  #step(data: Buffer, at: number): number {
    switch (this.#state) {
      case 'idle':
        return refuse('the backend sends more than was asked for');
      case 'head':
        return this.#readHead(data, at);
      case 'length':
      case 'chunk':
        return this.#readBody(data, at);
      case 'close':
      case 'switched':
        this.#sink.body(at === 0 ? data : data.subarray(at));
        return data.length;
      case 'chunk-size':
        return this.#readChunkSize(data, at);
      case 'chunk-end':
        return this.#readChunkEnd(data, at);
      case 'trailers':
        return this.#readTrailer(data, at);
    }
  }

  /** Looks at each byte once, however many pieces the head comes in, and once more when it is whole. */
  #readHead(data: Buffer, at: number): number {
    const end = data.indexOf(HEAD_END, at + Math.max(0, this.#seen - HEAD_END.length + 1));
    const { sectionBytes, fields } = this.#limits;
    if ((end < 0 ? data.length : end) - at > sectionBytes)
      refuse(`the header section is too large: more than ${sectionBytes} bytes`);
    if (end < 0) {
      // At once, not when its time is over: what speaks another protocol may never send the end of a head.
      demand(!STRAY_SO_FAR.test(this.#unseen(data, at)), 'the header section has a stray CR, LF or NUL');
      demand('HTTP/1.'.startsWith(data.toString('latin1', at, at + 7)), 'no status line');
      this.#seen = data.length - at;
      return at;
    }
    this.#seen = 0;
    const text = data.toString('latin1', at, end);
    demand(!STRAY.test(text), 'the header section has a stray CR, LF or NUL');
    const lineEnd = text.indexOf('\r\n');
    const [, minor, code] = STATUS_LINE.exec(lineEnd < 0 ? text : text.slice(0, lineEnd)) ?? refuse('no status line');
    this.#take(Number(code), minor === '0', lineEnd < 0 ? [] : readFields(text, lineEnd + 2, fields));
    return end + HEAD_END.length;
  }

  /** What of the head at `at` is new, behind a byte that was seen: a CR at its end may get its LF now. */
  #unseen(data: Buffer, at: number): string {
    const from = at + Math.max(0, this.#seen - 1);
    const complete = this.#seen > 0 && data[from] !== CR;
    return data.toString('latin1', complete ? from + 1 : from);
  }

  #take(status: number, old: boolean, fields: readonly Field[]): void {
    if (status === 101) {
      demand(this.#offersSwitch, 'the backend switches protocols without being asked');
      this.#state = 'switched';
      return this.#sink.switched?.(fields);
    }
    if (status < 200) {
      this.#informational += 1;
      demand(this.#informational <= HTTP_LIMITS.informational, 'too many informational responses');
      return;
    }
    const framing = framingOf(fields, old);
    const empty = this.#method === 'HEAD' || status === 204 || status === 304;
    const bodiless = status === 204 && (framing.chunked || framing.length !== undefined);
    // Some frame content that a 204 cannot have: what comes behind it is nobody's answer.
    this.#reusable = framing.persistent && !bodiless && !framing.repeated;
    this.#mayTrail = empty && (framing.chunked || (framing.length ?? 0) > 0);
    this.#login = framing.login;
    this.#keepAliveMs = framing.keepAliveMs;
    const length = empty ? 0 : framing.length;
    // A 204 says no length (RFC 9110, section 8.6).
    const odd = framing.repeated || bodiless;
    const plain = odd ? withLengths(fields, bodiless ? 0 : 1) : fields;
    this.#sink.head(status, plain, framing.chunked ? undefined : length);
    if (!empty && framing.chunked) {
      this.#state = 'chunk-size';
    } else if (length === undefined) {
      this.#state = 'close';
      this.#reusable = false;
    } else if (length === 0) {
      this.#end();
    } else {
      this.#left = length;
      this.#state = 'length';
    }
  }

  #readBody(data: Buffer, at: number): number {
    const end = Math.min(data.length, at + this.#left);
    this.#left -= end - at;
    if (this.#state === 'chunk' && end - at < SMALL_CHUNK_BYTES) this.#gather(data, at, end);
    else this.#tell(at === 0 && end === data.length ? data : data.subarray(at, end));
    // The sink may have given the response up.
    if (this.#left === 0 && this.#state === 'length') this.#end();
    else if (this.#left === 0 && this.#state === 'chunk') this.#state = 'chunk-end';
    return end;
  }

  #gather(data: Buffer, at: number, end: number): void {
    if (this.#gathered + end - at > gathering.length) this.#tellGathered();
    this.#gathered += data.copy(gathering, this.#gathered, at, end);
    this.#smallChunks += 1;
  }

  #tell(bytes: Buffer): void {
    this.#tellGathered();
    this.#sink.body(bytes);
  }

  #tellGathered(): void {
    if (this.#gathered === 0) return;
    const bytes = gathering.subarray(0, this.#gathered);
    this.#gathered = 0;
    this.#sink.body(bytes);
  }

  #readChunkSize(data: Buffer, at: number): number {
    const end = lineEndOf(data, at, CHUNK_LINE_BYTES);
    if (end < 0) return at;
    const size = CHUNK_LINE.exec(data.toString('latin1', at, end))?.[1] ?? refuse('a chunk has no valid size');
    this.#left = Number.parseInt(size, 16);
    this.#trailerBytes = 0;
    this.#state = this.#left === 0 ? 'trailers' : 'chunk';
    return end + 2;
  }

  #readChunkEnd(data: Buffer, at: number): number {
    if (data.length - at < 2) return at;
    demand(data[at] === 0x0d && data[at + 1] === 0x0a, 'a chunk is longer than its size');
    this.#state = 'chunk-size';
    return at + 2;
  }

  /** Trailers are checked and dropped. */
  #readTrailer(data: Buffer, at: number): number {
    const end = lineEndOf(data, at, TRAILER_BYTES);
    if (end < 0) return at;
    if (end === at) {
      this.#end();
      return end + 2;
    }
    this.#trailerBytes += end - at;
    demand(this.#trailerBytes <= TRAILER_BYTES, 'the trailer section is too large');
    const line = data.toString('latin1', at, end);
    demand(!STRAY.test(line), 'a trailer has a stray CR, LF or NUL');
    readField(line, 0, line.length);
    return end + 2;
  }

  #end(): void {
    this.#tellGathered();
    this.#state = 'idle';
    this.#sink.end();
  }
}

/** Where the line at `at` ends, -1 when it does not yet. */
function lineEndOf(data: Buffer, at: number, limit: number): number {
  const end = data.indexOf(LINE_END, at);
  demand((end < 0 ? data.length : end) - at <= limit, 'a line of the framing is too long');
  return end;
}

function readFields(text: string, start: number, most: number): Field[] {
  const fields: Field[] = [];
  for (let at = start; at <= text.length; ) {
    const found = text.indexOf('\r\n', at);
    const end = found < 0 ? text.length : found;
    const field = readField(text, at, end);
    if (fields.length >= most) refuse(`a field (${field[0].slice(0, 64)}) is one more than the ${most} that may be`);
    if (field[1].length > WIDEST_HEAD.valueBytes)
      refuse(`the value of a field (${field[0].slice(0, 64)}) is longer than ${WIDEST_HEAD.valueBytes} bytes`);
    fields.push(field);
    at = end + 2;
  }
  return fields;
}

/** A field's name in lower case, empty when it is none: one text for all that are written alike, whose hash is known. */
const nameOf = remembered((written) => (NAME.test(written) ? written.toLowerCase() : ''));

/** A field line (RFC 9112, section 5): no folding, no space before the colon. */
function readField(text: string, from: number, to: number): Field {
  // Without a colon in its line it ends up with one of a later line, or with none: no name holds the end of a line.
  const written = text.slice(from, Math.max(from, text.indexOf(':', from)));
  const name = nameOf(written);
  demand(name !== '', 'a field line has no valid name');
  return [name, trimmed(text, from + written.length + 1, to)];
}

/** Without the spaces and tabs around (RFC 9110, section 5.5). */
function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** With the first `content-length` of all that say the same, or with none. */
function withLengths(fields: readonly Field[], kept: 0 | 1): readonly Field[] {
  const first = fields.findIndex(([name]) => name === 'content-length');
  return fields.filter(([name], index) => name !== 'content-length' || (kept === 1 && index === first));
}

interface Framing {
  readonly chunked: boolean;
  readonly length: number | undefined;
  /** The length stands there more than once. */
  readonly repeated: boolean;
  readonly persistent: boolean;
  readonly keepAliveMs: number | undefined;
  readonly login: ReturnType<typeof loginAnswer>;
}

/** How long the content is and whether the connection lives on (RFC 9112, sections 6.3 and 9.3). */
function framingOf(fields: readonly Field[], old: boolean): Framing {
  let chunked = false;
  let length: number | undefined;
  let repeated = false;
  let persistent = !old;
  let keepAliveMs: number | undefined;
  let login: ReturnType<typeof loginAnswer> = 'none';
  for (const [name, value] of fields) {
    if (name === 'content-length') {
      demand(CONTENT_LENGTH.test(value), 'content-length is not one plain number');
      // The same again is one (RFC 9110, section 8.6); the connection ends behind it.
      repeated = length !== undefined;
      demand(!repeated || length === Number(value), 'content-length stands twice, with different numbers');
      length = Number(value);
    } else if (name === 'transfer-encoding') {
      demand(!chunked && !old && value.toLowerCase() === 'chunked', 'the transfer coding is not "chunked" alone');
      chunked = true;
    } else if (name === 'connection') {
      if (!KEEPS_OPEN.test(value)) persistent = false;
    } else if (name === 'keep-alive') {
      const seconds = KEEP_ALIVE.exec(value)?.[1];
      if (seconds !== undefined) keepAliveMs = Number(seconds) * 1000;
    } else if (login !== 'next') {
      const answer = loginAnswer(name, value);
      if (answer !== 'none') login = answer;
    }
  }
  demand(!chunked || length === undefined, 'both content-length and transfer-encoding');
  return { chunked, length, repeated, persistent, keepAliveMs, login };
}
