import { concat, copyBytes, decodeText, decodeUint, EMPTY, encodeText, encodeUint } from './bytes.ts';
import { ChannelError, demand } from './errors.ts';

/** Opcodes of messages on a stream of kind 2, the numbers of RFC 6455, section 5.2. */
export const WS_OPCODES = { text: 0x1, binary: 0x2, close: 0x8 } as const;

/** One whole message. A close message holds nothing, or `code u16 || reason`. */
export interface WsMessage {
  readonly opcode: number;
  readonly bytes: Uint8Array;
}

/** What a close message says; no code when it is empty. */
export interface WsClose {
  readonly code: number | undefined;
  readonly reason: string;
}

/** Bytes of the largest message. */
export const MAX_WS_MESSAGE_BYTES = 1_048_576;
/** UTF-8 bytes of the longest reason: a control frame holds 125, of which two are the code (RFC 6455, section 5.5). */
export const MAX_WS_REASON_BYTES = 123;
const HEAD_BYTES = 5;
/** Memory for a message that begins; it grows with what came, never with what was announced. */
const FIRST_BYTES = 4_096;
const KNOWN = new Set<number>(Object.values(WS_OPCODES));

/** True for a code that may stand in a close frame (RFC 6455, section 7.4; the registry of IANA goes up to 1014). */
export function isWsCloseCode(code: number): boolean {
  if (code >= 3000 && code <= 4999) return true;
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006;
}

/** `opcode u8 | length u32 | bytes` */
export function encodeWsMessage(message: WsMessage): Uint8Array {
  return concat(Uint8Array.of(message.opcode), encodeUint(message.bytes.length, 4), message.bytes);
}

/** A whole close message. @throws TypeError for a code or reason that no close frame may hold */
export function encodeWsClose({ code, reason }: WsClose): Uint8Array {
  if (code === undefined) return encodeWsMessage({ opcode: WS_OPCODES.close, bytes: EMPTY });
  const text = encodeText(reason);
  if (!isWsCloseCode(code)) throw new TypeError(`${code} is no code of a close frame`);
  if (text.length > MAX_WS_REASON_BYTES) throw new TypeError(`a reason has at most ${MAX_WS_REASON_BYTES} bytes`);
  return encodeWsMessage({ opcode: WS_OPCODES.close, bytes: concat(encodeUint(code, 2), text) });
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

/**
 * Splits the bytes of a stream into messages; close messages are checked. What is not given yet lies in one piece of memory
 * of at most twice its size, however small the pieces were in which it came. Not shared.
 */
export class WsMessageDecoder {
  #memory: Uint8Array = EMPTY;
  #held = 0;

  /**
   * Gives the messages that are whole now, at most `max`: a later call gives the others.
   * @throws ChannelError ERR_CHANNEL_HTTP for what SPEC.md does not allow
   */
  push(bytes: Uint8Array, max: number = Number.POSITIVE_INFINITY): WsMessage[] {
    if (this.#held > 0) this.#keep(bytes);
    const all = this.#held > 0 ? this.#memory.subarray(0, this.#held) : bytes;
    const messages: WsMessage[] = [];
    let at = 0;
    while (messages.length < max) {
      const length = wholeLength(all, at);
      if (length === undefined || at + length > all.length) break;
      messages.push(messageOf(all.subarray(at, at + length)));
      at += length;
    }
    this.#holdRest(all, at);
    return messages;
  }

  /** True when nothing is held. */
  get empty(): boolean {
    return this.#held === 0;
  }

  /** Bytes that are held. */
  get heldBytes(): number {
    return this.#held;
  }

  #holdRest(all: Uint8Array, at: number): void {
    const wasHeld = this.#held > 0;
    if (wasHeld && at === 0) return;
    this.#held = 0;
    if (at === all.length) this.#memory = EMPTY;
    else if (!wasHeld) this.#keep(all.subarray(at));
    else {
      this.#memory.copyWithin(0, at, all.length);
      this.#held = all.length - at;
    }
  }

  #keep(bytes: Uint8Array): void {
    const needed = this.#held + bytes.length;
    if (needed > this.#memory.length) {
      const grown = new Uint8Array(Math.max(FIRST_BYTES, needed, 2 * this.#held));
      grown.set(this.#memory.subarray(0, this.#held));
      this.#memory = grown;
    }
    this.#memory.set(bytes, this.#held);
    this.#held = needed;
  }
}

/** Bytes of the message that begins at `at`, its head included; undefined when its head is not all there. */
function wholeLength(bytes: Uint8Array, at: number): number | undefined {
  if (bytes.length - at < HEAD_BYTES) return undefined;
  demand(KNOWN.has(bytes[at]!), 'ERR_CHANNEL_HTTP', 'the opcode is not known');
  const length = decodeUint(bytes, at + 1, 4);
  const fits = length <= MAX_WS_MESSAGE_BYTES;
  demand(fits, 'ERR_CHANNEL_HTTP', `a message is longer than ${MAX_WS_MESSAGE_BYTES} bytes`);
  return HEAD_BYTES + length;
}

/** A message of its own memory. */
function messageOf(whole: Uint8Array): WsMessage {
  const opcode = whole[0]!;
  const bytes = whole.length === HEAD_BYTES ? EMPTY : copyBytes(whole, HEAD_BYTES);
  if (opcode === WS_OPCODES.close) decodeWsClose(bytes);
  return { opcode, bytes };
}
