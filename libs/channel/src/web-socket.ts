import { concat, copyBytes, decodeText, decodeUint, EMPTY, encodeText, encodeUint } from './bytes.ts';
import { ChannelError, demand } from './errors.ts';

/** Opcodes on a stream of kind 2, the numbers of RFC 6455, section 5.2. */
export const WS_OPCODES = { continuation: 0x0, text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const;

/**
 * A message, or a piece of one: what one frame of RFC 6455 holds. `more`: another piece of the same message follows, whose
 * opcode is that of a continuation. A close holds nothing, or `code u16 || reason`.
 */
export interface WsPiece {
  /** One of `WS_OPCODES`. */
  readonly opcode: number;
  /** Another piece of this message follows. */
  readonly more: boolean;
  /** Its payload, at most `MAX_WS_PIECE_BYTES`. */
  readonly bytes: Uint8Array;
}

/** One whole message. */
export interface WsMessage {
  /** One of `WS_OPCODES`, but for `continuation`. */
  readonly opcode: number;
  /** Its payload, unmasked; of text, UTF-8. */
  readonly bytes: Uint8Array;
}

/** What a close message says; no code when it is empty. */
export interface WsClose {
  /** Code of RFC 6455, section 7.4; undefined when the message is empty. */
  readonly code: number | undefined;
  /** Words for people, at most `MAX_WS_REASON_BYTES` in UTF-8. */
  readonly reason: string;
}

/** Bytes of the largest piece: longer messages are cut, so that nobody holds one to pass it on, and pongs come between. */
export const MAX_WS_PIECE_BYTES = 65_536;
/** Bytes of the largest message unless a resource or its realm says otherwise, and at the most. */
export const DEFAULT_WS_MESSAGE_BYTES = 16_777_216;
/** Bytes of the largest message that any resource can allow. */
export const MAX_WS_MESSAGE_BYTES = 268_435_456;
/** UTF-8 bytes of the longest reason: a control frame holds 125, of which two are the code (RFC 6455, section 5.5). */
export const MAX_WS_REASON_BYTES = 123;
const MAX_CONTROL_BYTES = 125;
/** Bit of the first byte: another piece of this message follows. */
const MORE = 0x80;
const HEAD_BYTES = 5;
/** Memory for what begins; it grows with what came, never with what was announced. */
const FIRST_BYTES = 4_096;
const KNOWN = new Set<number>(Object.values(WS_OPCODES));

/** True for a code that may stand in a close frame (RFC 6455, section 7.4; the registry of IANA goes up to 1014). */
export function isWsCloseCode(code: number): boolean {
  if (code >= 3000 && code <= 4999) return true;
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006;
}

/** Head of a piece: `(more || opcode) u8 | length u32`. */
export function encodeWsPieceHead({ opcode, more }: Pick<WsPiece, 'opcode' | 'more'>, length: number): Uint8Array {
  return concat(Uint8Array.of(more ? opcode | MORE : opcode), encodeUint(length, 4));
}

/** `(more || opcode) u8 | length u32 | bytes` */
export function encodeWsPiece(piece: WsPiece): Uint8Array {
  return concat(encodeWsPieceHead(piece, piece.bytes.length), piece.bytes);
}

/** A message as encoded pieces: one, or as many as it needs. */
export function* encodeWsPieces({ opcode, bytes }: WsMessage): Generator<Uint8Array> {
  let next = opcode;
  for (let at = 0; at === 0 || at < bytes.length; at += MAX_WS_PIECE_BYTES) {
    const more = bytes.length - at > MAX_WS_PIECE_BYTES;
    yield encodeWsPiece({ opcode: next, more, bytes: bytes.subarray(at, at + MAX_WS_PIECE_BYTES) });
    next = WS_OPCODES.continuation;
  }
}

/** A whole message, in as many pieces as it needs. */
export function encodeWsMessage(message: WsMessage): Uint8Array {
  return concat(...encodeWsPieces(message));
}

/** Bytes of a close message. @throws TypeError for a code or reason that no close frame may hold */
export function formatWsClose({ code, reason }: WsClose): Uint8Array {
  if (code === undefined) return EMPTY;
  const text = encodeText(reason);
  if (!isWsCloseCode(code)) throw new TypeError(`${code} is no code of a close frame`);
  if (text.length > MAX_WS_REASON_BYTES) throw new TypeError(`a reason has at most ${MAX_WS_REASON_BYTES} bytes`);
  return concat(encodeUint(code, 2), text);
}

/** A whole close message. @throws TypeError for a code or reason that no close frame may hold */
export function encodeWsClose(close: WsClose): Uint8Array {
  return encodeWsPiece({ opcode: WS_OPCODES.close, more: false, bytes: formatWsClose(close) });
}

/** Reads what a close message holds. @throws ChannelError ERR_CHANNEL_HTTP for what no close frame may hold */
export function decodeWsClose(bytes: Uint8Array): WsClose {
  if (bytes.length === 0) return { code: undefined, reason: '' };
  demand(bytes.length >= 2, 'ERR_CHANNEL_HTTP', 'a close message is cut short');
  const code = decodeUint(bytes, 0, 2);
  demand(isWsCloseCode(code), 'ERR_CHANNEL_HTTP', 'the code of a close message is not allowed');
  const fits = bytes.length <= 2 + MAX_WS_REASON_BYTES;
  demand(fits, 'ERR_CHANNEL_HTTP', `the reason of a close message has more than ${MAX_WS_REASON_BYTES} bytes`);
  try {
    return { code, reason: decodeText(bytes.subarray(2)) };
  } catch (cause) {
    throw new ChannelError('ERR_CHANNEL_HTTP', 'the reason of a close message is not UTF-8', { cause });
  }
}

/** Bytes in one piece of memory of at most twice their size, however small the parts were in which they came. */
class GrowingBytes {
  #memory: Uint8Array = EMPTY;
  length = 0;

  add(bytes: Uint8Array): void {
    const needed = this.length + bytes.length;
    if (needed > this.#memory.length) {
      const grown = new Uint8Array(Math.max(FIRST_BYTES, needed, 2 * this.length));
      grown.set(this.#memory.subarray(0, this.length));
      this.#memory = grown;
    }
    this.#memory.set(bytes, this.length);
    this.length = needed;
  }

  /** What is there: a view that is good until the next change. */
  get view(): Uint8Array {
    return this.#memory.subarray(0, this.length);
  }

  /** Gives what is there, and the memory with it. */
  take(): Uint8Array {
    const { view } = this;
    this.#memory = EMPTY;
    this.length = 0;
    return view;
  }
}

/**
 * Splits the bytes of a stream into pieces, and holds their order against RFC 6455, section 5.4: pieces of one message follow
 * each other, with nothing but pings and pongs between. What is not a whole piece yet is held. Not shared.
 */
export class WsPieceDecoder {
  readonly #held = new GrowingBytes();
  /** A message has begun and is not whole. */
  #inMessage = false;
  #closed = false;

  /**
   * Gives the pieces that are whole now. Their bytes are views, good until the next call.
   * @throws ChannelError ERR_CHANNEL_HTTP for what SPEC.md, section 7 does not allow
   */
  push(bytes: Uint8Array): WsPiece[] {
    const holds = this.#held.length > 0;
    if (holds) this.#held.add(bytes);
    const all = holds ? this.#held.view : bytes;
    const pieces: WsPiece[] = [];
    let at = 0;
    for (let length = pieceLength(all, at); at + length <= all.length; length = pieceLength(all, at)) {
      pieces.push(this.#piece(all.subarray(at, at + length)));
      at += length;
    }
    if (holds && at === 0) return pieces;
    // The pieces stay views of the memory that was held.
    if (holds) this.#held.take();
    if (at < all.length) this.#held.add(all.subarray(at));
    return pieces;
  }

  /** Holds bytes for a later `push`. */
  keep(bytes: Uint8Array): void {
    this.#held.add(bytes);
  }

  /** Bytes that are held. */
  get heldBytes(): number {
    return this.#held.length;
  }

  #piece(whole: Uint8Array): WsPiece {
    const opcode = whole[0]! & ~MORE;
    const more = (whole[0]! & MORE) !== 0;
    const bytes = whole.subarray(HEAD_BYTES);
    demand(!this.#closed, 'ERR_CHANNEL_HTTP', 'a message follows the close message');
    if (opcode < WS_OPCODES.close) {
      const follows = opcode === WS_OPCODES.continuation;
      demand(follows === this.#inMessage, 'ERR_CHANNEL_HTTP', 'a piece does not fit to the one before');
      this.#inMessage = more;
    } else {
      demand(!more && bytes.length <= MAX_CONTROL_BYTES, 'ERR_CHANNEL_HTTP', 'a control message is cut or too long');
    }
    if (opcode === WS_OPCODES.close) {
      decodeWsClose(bytes);
      this.#closed = true;
    }
    return { opcode, more, bytes };
  }
}

/** Bytes of the piece that begins at `at`, its head included; infinite when its head is not all there. */
function pieceLength(bytes: Uint8Array, at: number): number {
  if (bytes.length - at < HEAD_BYTES) return Number.POSITIVE_INFINITY;
  demand(KNOWN.has(bytes[at]! & ~MORE), 'ERR_CHANNEL_HTTP', 'the opcode is not known');
  const length = decodeUint(bytes, at + 1, 4);
  demand(length <= MAX_WS_PIECE_BYTES, 'ERR_CHANNEL_HTTP', `a piece is longer than ${MAX_WS_PIECE_BYTES} bytes`);
  return HEAD_BYTES + length;
}

/** Puts the pieces of messages together. Not shared. */
export class WsMessageDecoder {
  readonly #pieces = new WsPieceDecoder();
  readonly #maxBytes: number;
  readonly #parts = new GrowingBytes();
  #opcode = 0;

  /** `maxBytes` bounds a message; a longer one is an error. */
  constructor(maxBytes: number = MAX_WS_MESSAGE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Gives the messages that are whole now, each in memory of its own; pings and pongs, too.
   * @throws ChannelError ERR_CHANNEL_LIMIT for a message that is too long, ERR_CHANNEL_HTTP for what SPEC.md does not allow
   */
  push(bytes: Uint8Array): WsMessage[] {
    return this.#pieces.push(bytes).flatMap((piece) => this.#message(piece) ?? []);
  }

  /** Holds bytes for a later `push`. */
  keep(bytes: Uint8Array): void {
    this.#pieces.keep(bytes);
  }

  /** Bytes that are held. */
  get heldBytes(): number {
    return this.#pieces.heldBytes + this.#parts.length;
  }

  #message({ opcode, more, bytes }: WsPiece): WsMessage | undefined {
    const first = opcode !== WS_OPCODES.continuation;
    const fits = (first ? 0 : this.#parts.length) + bytes.length <= this.#maxBytes;
    demand(fits, 'ERR_CHANNEL_LIMIT', `a message has more than ${this.#maxBytes} bytes`);
    if (first && !more) return { opcode, bytes: copyBytes(bytes) };
    if (first) this.#opcode = opcode;
    this.#parts.add(bytes);
    if (more) return undefined;
    return { opcode: this.#opcode, bytes: this.#parts.take() };
  }
}
