import { concat, copyBytes, decodeUint, EMPTY, encodeUint } from './bytes.ts';
import { demand } from './errors.ts';

/** Opcodes of messages on a stream of kind 2, the numbers of RFC 6455, section 5.2. */
export const WS_OPCODES = { text: 0x1, binary: 0x2, close: 0x8 } as const;

/** One whole message. A close message holds `code u16 || reason`. */
export interface WsMessage {
  readonly opcode: number;
  readonly bytes: Uint8Array;
}

/** Bytes of the largest message. */
export const MAX_WS_MESSAGE_BYTES = 1_048_576;
const HEAD_BYTES = 5;

/** `opcode u8 | length u32 | bytes` */
export function encodeWsMessage(message: WsMessage): Uint8Array {
  return concat(Uint8Array.of(message.opcode), encodeUint(message.bytes.length, 4), message.bytes);
}

/** Splits the bytes of a stream into messages. Not shared. */
export class WsMessageDecoder {
  readonly #known = new Set<number>(Object.values(WS_OPCODES));
  #parts: Uint8Array[] = [];
  #held = 0;

  /** Gives the messages that are whole now. @throws ChannelError ERR_CHANNEL_HTTP for an opcode or size not allowed. */
  push(bytes: Uint8Array): WsMessage[] {
    this.#parts.push(copyBytes(bytes));
    this.#held += bytes.length;
    const messages: WsMessage[] = [];
    for (let message = this.#next(); message; message = this.#next()) messages.push(message);
    return messages;
  }

  /** True when nothing of an unfinished message is held. */
  get empty(): boolean {
    return this.#held === 0;
  }

  #next(): WsMessage | undefined {
    if (this.#held < HEAD_BYTES) return undefined;
    const head = this.#peek(HEAD_BYTES);
    const opcode = head[0]!;
    const length = decodeUint(head, 1, 4);
    demand(this.#known.has(opcode), 'ERR_CHANNEL_HTTP', 'the opcode is not known');
    demand(
      length <= MAX_WS_MESSAGE_BYTES,
      'ERR_CHANNEL_HTTP',
      `a message is longer than ${MAX_WS_MESSAGE_BYTES} bytes`,
    );
    if (this.#held < HEAD_BYTES + length) return undefined;
    const all = this.#peek(this.#held);
    const rest = all.subarray(HEAD_BYTES + length);
    this.#parts = rest.length > 0 ? [rest] : [];
    this.#held = rest.length;
    return { opcode, bytes: length === 0 ? EMPTY : copyBytes(all, HEAD_BYTES, HEAD_BYTES + length) };
  }

  /** The first bytes in one piece; joins parts only when the first is too short. */
  #peek(length: number): Uint8Array {
    if (this.#parts.length > 1 && this.#parts[0]!.length < length) this.#parts = [concat(...this.#parts)];
    return this.#parts[0]!.subarray(0, length);
  }
}
