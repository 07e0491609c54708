import { type Field, HTTP_LIMITS, type RequestHead, type ResponseHead } from '../src/binary-http.ts';
import { concat, copyBytes, EMPTY } from '../src/bytes.ts';
import { ChannelError, demand } from '../src/errors.ts';
import type { BodyMode, HttpDecoder, MessageSink } from '../src/http-decoder.ts';

const INDETERMINATE_REQUEST = 2;
const INDETERMINATE_RESPONSE = 3;

function formatLatin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

type Steps<T> = Generator<undefined, T, undefined>;

/**
 * The readable twin of the decoder: a generator that reads the message from front to end, as SPEC.md, section 7 tells it.
 * Tests hold the fast one against it.
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
    }
    demand(value <= 2 ** 32, 'ERR_CHANNEL_HTTP', 'a length is too large');
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
      const value = yield* this.string(HTTP_LIMITS.valueBytes, `the value of a field${named(name)}`);
      total += name.length + value.length;
      const section = `with a field${named(name)} all fields together are longer than ${HTTP_LIMITS.sectionBytes} bytes`;
      demand(total <= HTTP_LIMITS.sectionBytes, 'ERR_CHANNEL_HTTP', section);
      const count = `a field${named(name)} is one more than the ${HTTP_LIMITS.fields} that may be`;
      demand(fields.length < HTTP_LIMITS.fields, 'ERR_CHANNEL_HTTP', count);
      fields.push([name, value]);
      length = yield* this.varint();
    }
    return fields;
  }
}

/** Decoder of a request. Its errors are ERR_CHANNEL_HTTP; what the head says is checked by `checkRequest`. */
export function slowRequestDecoder(sink: MessageSink<RequestHead>, mode: BodyMode = 'chunks'): HttpDecoder {
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
export function slowResponseDecoder(sink: MessageSink<ResponseHead>, mode: BodyMode = 'chunks'): HttpDecoder {
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

/** Only a name that is one is repeated. */
function named(name: string): string {
  return /^[a-z0-9-]{1,64}$/.test(name) ? ` (${name})` : '';
}
