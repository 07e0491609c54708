import { concat, copyBytes, EMPTY } from './bytes.ts';
import { ChannelError, demand } from './errors.ts';

/** One header or trailer field: lower-case name, value of one character per byte (Latin-1). */
export type Field = readonly [name: string, value: string];

/** Control data and header section of a request (RFC 9292, section 3.4). */
export interface RequestHead {
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  readonly path: string;
  readonly fields: readonly Field[];
}

/** Status and header section of a response (RFC 9292, section 3.5). */
export interface ResponseHead {
  readonly status: number;
  readonly fields: readonly Field[];
}

/** Framing indicators of the two messages of indeterminate length (RFC 9292, section 3.3). */
const INDETERMINATE_REQUEST = 2;
const INDETERMINATE_RESPONSE = 3;

/** Bounds of a message head (SPEC.md, section 6), in bytes. */
export const HTTP_LIMITS = {
  sectionBytes: 32_768,
  fields: 100,
  nameBytes: 128,
  valueBytes: 8_192,
  pathBytes: 8_192,
  authorityBytes: 255,
  methodBytes: 32,
  informational: 4,
} as const;

/** Variable-length integer (RFC 9000, section 16), shortest form. */
export function encodeVarint(value: number): Uint8Array {
  if (value < 2 ** 6) return Uint8Array.of(value);
  if (value < 2 ** 14) return Uint8Array.of(0x40 | (value >> 8), value & 0xff);
  if (value >= 2 ** 30) throw new TypeError('no length of the protocol is that large');
  return Uint8Array.of(0x80 | (value >>> 24), (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

/** Bytes of a text with one character per byte. */
function encodeLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function formatLatin1(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 4_096) text += String.fromCharCode(...bytes.subarray(i, i + 4_096));
  return text;
}

function encodeString(text: string): Uint8Array[] {
  return [encodeVarint(text.length), encodeLatin1(text)];
}

function encodeFields(fields: readonly Field[]): Uint8Array[] {
  return [...fields.flatMap(([name, value]) => [...encodeString(name), ...encodeString(value)]), Uint8Array.of(0)];
}

/** Framing indicator, control data and header section of a request. */
export function encodeRequestHead(head: RequestHead): Uint8Array {
  const control = [head.method, head.scheme, head.authority, head.path].flatMap(encodeString);
  return concat(Uint8Array.of(INDETERMINATE_REQUEST), ...control, ...encodeFields(head.fields));
}

/** Framing indicator, status and header section of a final response, after any informational ones. */
export function encodeResponseHead(head: ResponseHead, informational: readonly ResponseHead[] = []): Uint8Array {
  const parts = [...informational, head].flatMap(({ status, fields }) => [
    encodeVarint(status),
    ...encodeFields(fields),
  ]);
  return concat(Uint8Array.of(INDETERMINATE_RESPONSE), ...parts);
}

/** Prefix of one chunk of content; the bytes follow it. An empty chunk would read as the end and is a TypeError. */
export function encodeChunkPrefix(bytes: number): Uint8Array {
  if (bytes === 0) throw new TypeError('a chunk is never empty');
  return encodeVarint(bytes);
}

/** End of the content, and the trailer section. */
export function encodeMessageEnd(trailers: readonly Field[] = []): Uint8Array {
  return concat(Uint8Array.of(0), ...encodeFields(trailers));
}

/** What a decoder tells, in the order of the message. */
export interface MessageSink<Head> {
  informational?(head: Head): void;
  head(head: Head): void;
  /** Part of the content: a view, valid during the call. */
  content(bytes: Uint8Array): void;
  trailers(fields: readonly Field[]): void;
}

/** How a decoder treats what follows the header section: RFC 9292 chunks, or bytes of another protocol (kind 2). */
export type BodyMode = 'chunks' | 'raw';

type Steps<T> = Generator<undefined, T, undefined>;

/**
 * Streaming decoder of binary HTTP (RFC 9292), stricter than the RFC: indeterminate length only, explicit terminators,
 * zero padding, bounded sections. Feed it with `push`, end it with `finish`. Not shared.
 */
class MessageDecoder<Head> {
  readonly #steps: Steps<void>;
  readonly #sink: MessageSink<Head>;
  readonly #mode: BodyMode;
  #buffer: Uint8Array = EMPTY;
  #at = 0;
  #complete = false;

  constructor(head: (decoder: MessageDecoder<Head>) => Steps<void>, sink: MessageSink<Head>, mode: BodyMode) {
    this.#sink = sink;
    this.#mode = mode;
    this.#steps = this.#message(head);
    this.#steps.next();
  }

  /** Takes the next bytes of the stream. @throws ChannelError ERR_CHANNEL_HTTP */
  push(bytes: Uint8Array): void {
    const rest = this.#buffer.subarray(this.#at);
    this.#buffer = rest.length === 0 ? bytes : concat(rest, bytes);
    this.#at = 0;
    this.#steps.next();
    // Callers reuse their buffer: whatever is kept for the next call must be our own.
    this.#buffer = copyBytes(this.#buffer, this.#at);
    this.#at = 0;
  }

  /** The stream ended. @throws ChannelError ERR_CHANNEL_HTTP when the message is not complete: truncation is an error. */
  finish(): void {
    demand(this.#complete, 'ERR_CHANNEL_HTTP', 'the message is cut short');
  }

  *#message(head: (decoder: MessageDecoder<Head>) => Steps<void>): Steps<void> {
    yield* head(this);
    if (this.#mode === 'raw') yield* this.#raw();
    else yield* this.#chunks();
  }

  *#raw(): Steps<void> {
    this.#complete = true;
    while (true) yield* this.#passOn(Number.POSITIVE_INFINITY);
  }

  *#chunks(): Steps<void> {
    let length = yield* this.varint();
    while (length > 0) {
      yield* this.#passOn(length);
      length = yield* this.varint();
    }
    this.#sink.trailers(yield* this.fields());
    this.#complete = true;
    while (true) {
      const padding = this.#buffer.subarray(this.#at);
      demand(
        padding.every((byte) => byte === 0),
        'ERR_CHANNEL_HTTP',
        'the padding is not zero',
      );
      this.#at = this.#buffer.length;
      yield;
    }
  }

  /** Hands `length` bytes of content to the sink as they come. */
  *#passOn(length: number): Steps<void> {
    let left = length;
    while (left > 0) {
      const part = this.#buffer.subarray(this.#at, this.#at + Math.min(left, this.#buffer.length));
      this.#at += part.length;
      left -= part.length;
      if (part.length > 0) this.#sink.content(part);
      if (left > 0) yield;
    }
  }

  *byte(): Steps<number> {
    while (this.#at >= this.#buffer.length) yield;
    return this.#buffer[this.#at++]!;
  }

  *varint(): Steps<number> {
    const first = yield* this.byte();
    let value = first & 0x3f;
    for (let left = (1 << (first >> 6)) - 1; left > 0; left--) {
      value = value * 256 + (yield* this.byte());
      demand(value <= 2 ** 32, 'ERR_CHANNEL_HTTP', 'a length is too large');
    }
    return value;
  }

  *text(length: number, limit: number, what: string): Steps<string> {
    demand(length <= limit, 'ERR_CHANNEL_HTTP', `${what} is longer than ${limit} bytes`);
    while (this.#buffer.length - this.#at < length) yield;
    this.#at += length;
    return formatLatin1(this.#buffer.subarray(this.#at - length, this.#at));
  }

  *string(limit: number, what: string): Steps<string> {
    return yield* this.text(yield* this.varint(), limit, what);
  }

  *fields(): Steps<readonly Field[]> {
    const fields: Field[] = [];
    let total = 0;
    let length = yield* this.varint();
    while (length > 0) {
      const name = yield* this.text(length, HTTP_LIMITS.nameBytes, 'a field name');
      const value = yield* this.string(HTTP_LIMITS.valueBytes, 'a field value');
      total += name.length + value.length;
      demand(total <= HTTP_LIMITS.sectionBytes, 'ERR_CHANNEL_HTTP', 'the field section is too large');
      demand(fields.length < HTTP_LIMITS.fields, 'ERR_CHANNEL_HTTP', `more than ${HTTP_LIMITS.fields} fields`);
      fields.push([name, value]);
      length = yield* this.varint();
    }
    return fields;
  }
}

/** Decoder of one direction; see `requestDecoder` and `responseDecoder`. */
export interface HttpDecoder {
  push(bytes: Uint8Array): void;
  finish(): void;
}

/** Decoder of a request. Its errors are ERR_CHANNEL_HTTP; what the head says is checked by `checkRequest`. */
export function requestDecoder(sink: MessageSink<RequestHead>, mode: BodyMode = 'chunks'): HttpDecoder {
  return new MessageDecoder<RequestHead>(
    function* (decoder) {
      demand((yield* decoder.varint()) === INDETERMINATE_REQUEST, 'ERR_CHANNEL_HTTP', 'the framing is not known');
      const method = yield* decoder.string(HTTP_LIMITS.methodBytes, 'the method');
      const scheme = yield* decoder.string(8, 'the scheme');
      const authority = yield* decoder.string(HTTP_LIMITS.authorityBytes, 'the authority');
      const path = yield* decoder.string(HTTP_LIMITS.pathBytes, 'the path');
      sink.head({ method, scheme, authority, path, fields: yield* decoder.fields() });
    },
    sink,
    mode,
  );
}

/** Decoder of a response, with at most four informational ones in front (RFC 9292, section 3.5.1). */
export function responseDecoder(sink: MessageSink<ResponseHead>, mode: BodyMode = 'chunks'): HttpDecoder {
  return new MessageDecoder<ResponseHead>(
    function* (decoder) {
      demand((yield* decoder.varint()) === INDETERMINATE_RESPONSE, 'ERR_CHANNEL_HTTP', 'the framing is not known');
      let status = yield* decoder.varint();
      for (let count = 0; status >= 100 && status < 200; count++) {
        demand(count < HTTP_LIMITS.informational, 'ERR_CHANNEL_HTTP', 'too many informational responses');
        const fields = yield* decoder.fields();
        sink.informational?.({ status, fields });
        status = yield* decoder.varint();
      }
      if (status < 200 || status > 599) throw new ChannelError('ERR_CHANNEL_HTTP', 'the status is not valid');
      sink.head({ status, fields: yield* decoder.fields() });
    },
    sink,
    mode,
  );
}
