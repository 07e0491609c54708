import {
  type Field,
  type HeadLimits,
  HTTP_LIMITS,
  INDETERMINATE_REQUEST,
  INDETERMINATE_RESPONSE,
  type RequestHead,
  type ResponseHead,
} from './binary-http.ts';
import { EMPTY, formatLatin1 } from './bytes.ts';
import { demand } from './errors.ts';
import { refuseCount, refuseLength, refuseSection } from './head-size.ts';
import { KeptBytes } from './kept-bytes.ts';

/** What a decoder tells, in the order of the message. */
export interface MessageSink<Head> {
  /** An informational response (RFC 9110, section 15.2); never of a request. */
  informational?(head: Head): void;
  /** The head: once, before any content. */
  head(head: Head): void;
  /** Part of the content: a view, valid during the call. */
  content(bytes: Uint8Array): void;
  /** All of a message in `chunks` has come: the fields behind its content, maybe none. */
  trailers(fields: readonly Field[]): void;
}

/** How a decoder treats what follows the header section: RFC 9292 chunks, or bytes of another protocol (kind 2). */
export type BodyMode = 'chunks' | 'raw';

/** Decoder of one direction; see `requestDecoder` and `responseDecoder`. */
export interface HttpDecoder {
  /** Takes the next bytes of the stream. @throws ChannelError ERR_CHANNEL_HTTP, and then it is of no more use */
  push(bytes: Uint8Array): void;
  /** The peer has finished its direction. @throws ChannelError ERR_CHANNEL_HTTP when the message is not whole */
  finish(): void;
}

type Control = readonly [what: string, limit: number];
const CONTROL: readonly Control[] = [
  ['the method', HTTP_LIMITS.methodBytes],
  ['the scheme', 8],
  ['the authority', HTTP_LIMITS.authorityBytes],
];

/** Items of a message: undefined, and nothing taken, when one is not all there yet. */
interface Items {
  varint(): number | undefined;
  text(limit: number, what: string, name?: string): string | undefined;
}

/** What is different between the heads of requests and responses. */
interface HeadReader {
  readonly framing: number;
  /** Bounds of the head, which may depend on what was read of it. */
  readonly limits: HeadLimits;
  /** Reads one item of the control data; true when it was the last one, undefined when it is not all there. */
  control(items: Items): boolean | undefined;
  /** Takes a header section; true when it was that of the final head. */
  section(fields: readonly Field[]): boolean;
}

type State = 'framing' | 'control' | 'fields' | 'length' | 'content' | 'trailers' | 'padding' | 'raw';

/**
 * Streaming decoder of binary HTTP (RFC 9292), stricter than the RFC: indeterminate length only, explicit terminators,
 * zero padding, bounded sections. Reads item by item and keeps only an item that is cut off by the end of the bytes, so
 * bytes that dribble in cost no more than their number. Feed it with `push`, end it with `finish`. Not shared.
 */
class MessageDecoder {
  readonly #head: HeadReader;
  readonly #sink: Pick<MessageSink<never>, 'content' | 'trailers'>;
  readonly #mode: BodyMode;
  #state: State = 'framing';
  /** What of the bytes before was not taken; most messages come whole. */
  #kept: KeptBytes | undefined;
  #buffer: Uint8Array = EMPTY;
  #at = 0;
  #fields: Field[] = [];
  #fieldBytes = 0;
  #name: string | undefined;
  #contentLeft = 0;
  #complete = false;

  constructor(head: HeadReader, sink: Pick<MessageSink<never>, 'content' | 'trailers'>, mode: BodyMode) {
    this.#head = head;
    this.#sink = sink;
    this.#mode = mode;
  }

  /** Takes the next bytes of the stream. @throws ChannelError ERR_CHANNEL_HTTP */
  push(bytes: Uint8Array): void {
    this.#buffer = this.#kept && !this.#kept.empty ? this.#kept.with(bytes) : bytes;
    this.#at = 0;
    while (this.#step());
    // Callers reuse their buffer: whatever is kept for the next call must be our own.
    if (this.#at < this.#buffer.length) this.#kept ??= new KeptBytes();
    this.#kept?.keep(this.#buffer, this.#at);
    this.#buffer = EMPTY;
  }

  /** The stream ended. @throws ChannelError ERR_CHANNEL_HTTP when the message is not complete: truncation is an error. */
  finish(): void {
    demand(this.#complete, 'ERR_CHANNEL_HTTP', 'the message is cut short');
  }

  /** Reads one item; false when it is not all there, or nothing is. */
  #step(): boolean {
    switch (this.#state) {
      case 'framing':
        return this.#readFraming();
      case 'control':
        return this.#readControl();
      case 'fields':
      case 'trailers':
        return this.#readField();
      case 'length':
        return this.#readLength();
      case 'content':
        return this.#passContent();
      case 'padding':
        return this.#checkPadding();
      case 'raw':
        return this.#passRaw();
    }
  }

  #readFraming(): boolean {
    const framing = this.varint();
    if (framing === undefined) return false;
    demand(framing === this.#head.framing, 'ERR_CHANNEL_HTTP', 'the framing is not known');
    this.#state = 'control';
    return true;
  }

  #readControl(): boolean {
    const last = this.#head.control(this);
    if (last === undefined) return false;
    if (last) this.#state = 'fields';
    return true;
  }

  #readField(): boolean {
    if (this.#name === undefined) {
      const name = this.text(HTTP_LIMITS.nameBytes, 'a field name');
      if (name === undefined) return false;
      if (name === '') this.#endSection();
      else this.#name = name;
      return true;
    }
    const { limits } = this.#head;
    const value = this.text(limits.valueBytes, 'the value of a field', this.#name);
    if (value === undefined) return false;
    this.#fieldBytes += this.#name.length + value.length;
    if (this.#fieldBytes > limits.sectionBytes) refuseSection(limits.sectionBytes, this.#name);
    if (this.#fields.length >= limits.fields) refuseCount(limits.fields, this.#name);
    this.#fields.push([this.#name, value]);
    this.#name = undefined;
    return true;
  }

  #endSection(): void {
    const fields = this.#fields;
    this.#fields = [];
    this.#fieldBytes = 0;
    if (this.#state === 'trailers') {
      this.#state = 'padding';
      this.#sink.trailers(fields);
      this.#complete = true;
    } else if (!this.#head.section(fields)) {
      this.#state = 'control';
    } else if (this.#mode === 'chunks') {
      this.#state = 'length';
    } else {
      this.#state = 'raw';
      this.#complete = true;
    }
  }

  #readLength(): boolean {
    const length = this.varint();
    if (length === undefined) return false;
    this.#contentLeft = length;
    this.#state = length === 0 ? 'trailers' : 'content';
    return true;
  }

  #passContent(): boolean {
    const part = this.#buffer.subarray(this.#at, Math.min(this.#at + this.#contentLeft, this.#buffer.length));
    if (part.length === 0) return false;
    this.#at += part.length;
    this.#contentLeft -= part.length;
    if (this.#contentLeft === 0) this.#state = 'length';
    this.#sink.content(part);
    return true;
  }

  #passRaw(): boolean {
    const part = this.#buffer.subarray(this.#at);
    this.#at = this.#buffer.length;
    if (part.length > 0) this.#sink.content(part);
    return false;
  }

  #checkPadding(): boolean {
    for (; this.#at < this.#buffer.length; this.#at++) {
      demand(this.#buffer[this.#at] === 0, 'ERR_CHANNEL_HTTP', 'the padding is not zero');
    }
    return false;
  }

  /** The next integer; undefined when it is not all there. */
  varint(): number | undefined {
    const first = this.#buffer[this.#at];
    if (first === undefined) return undefined;
    const end = this.#at + (1 << (first >> 6));
    if (end > this.#buffer.length) return undefined;
    let value = first & 0x3f;
    for (let i = this.#at + 1; i < end; i++) value = value * 256 + this.#buffer[i]!;
    demand(value <= 2 ** 32, 'ERR_CHANNEL_HTTP', 'a length is too large');
    this.#at = end;
    return value;
  }

  /** The next text with its length in front; undefined when it is not all there. */
  text(limit: number, what: string, name?: string): string | undefined {
    const start = this.#at;
    const length = this.varint();
    if (length === undefined) return undefined;
    if (length > limit) refuseLength(limit, what, name);
    const end = this.#at + length;
    if (end > this.#buffer.length) {
      this.#at = start;
      return undefined;
    }
    const text = formatLatin1(this.#buffer, this.#at, end);
    this.#at = end;
    return text;
  }
}

class RequestHeadReader implements HeadReader {
  readonly framing = INDETERMINATE_REQUEST;
  limits: HeadLimits = HTTP_LIMITS;
  readonly #sink: MessageSink<RequestHead>;
  readonly #limitsOf: (authority: string) => HeadLimits;
  readonly #control: string[] = [];

  constructor(sink: MessageSink<RequestHead>, limitsOf: (authority: string) => HeadLimits) {
    this.#sink = sink;
    this.#limitsOf = limitsOf;
  }

  control(items: Items): boolean | undefined {
    const [what, limit] = CONTROL[this.#control.length] ?? ['the path', this.limits.pathBytes];
    const text = items.text(limit, what);
    if (text === undefined) return undefined;
    // Behind the authority it is known whose limits hold.
    if (this.#control.push(text) === CONTROL.length) this.limits = this.#limitsOf(text);
    return this.#control.length > CONTROL.length;
  }

  section(fields: readonly Field[]): boolean {
    const [method, scheme, authority, path] = this.#control as [string, string, string, string];
    this.#sink.head({ method, scheme, authority, path, fields });
    return true;
  }
}

class ResponseHeadReader implements HeadReader {
  readonly framing = INDETERMINATE_RESPONSE;
  readonly limits: HeadLimits;
  readonly #sink: MessageSink<ResponseHead>;
  #status = 0;
  #informational = 0;

  constructor(sink: MessageSink<ResponseHead>, limits: HeadLimits) {
    this.#sink = sink;
    this.limits = limits;
  }

  control(items: Items): boolean | undefined {
    const status = items.varint();
    if (status === undefined) return undefined;
    const informational = status >= 100 && status < 200;
    demand(informational || (status >= 200 && status <= 599), 'ERR_CHANNEL_HTTP', 'the status is not valid');
    const allowed = !informational || this.#informational++ < HTTP_LIMITS.informational;
    demand(allowed, 'ERR_CHANNEL_HTTP', 'too many informational responses');
    this.#status = status;
    return true;
  }

  section(fields: readonly Field[]): boolean {
    const head = { status: this.#status, fields };
    if (this.#status < 200) {
      this.#sink.informational?.(head);
      return false;
    }
    this.#sink.head(head);
    return true;
  }
}

const usualLimits = (): HeadLimits => HTTP_LIMITS;

/**
 * Decoder of a request. Its errors are ERR_CHANNEL_HTTP; what the head says is checked by `checkRequest`.
 * @param limitsOf bounds of the head for an authority, asked for once that is read
 */
export function requestDecoder(
  sink: MessageSink<RequestHead>,
  mode: BodyMode = 'chunks',
  limitsOf: (authority: string) => HeadLimits = usualLimits,
): HttpDecoder {
  return new MessageDecoder(new RequestHeadReader(sink, limitsOf), sink, mode);
}

/** Decoder of a response, with at most four informational ones in front (RFC 9292, section 3.5.1). */
export function responseDecoder(
  sink: MessageSink<ResponseHead>,
  mode: BodyMode = 'chunks',
  limits: HeadLimits = HTTP_LIMITS,
): HttpDecoder {
  return new MessageDecoder(new ResponseHeadReader(sink, limits), sink, mode);
}
