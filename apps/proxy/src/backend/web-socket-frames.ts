import { randomFillSync } from 'node:crypto';
import { decodeWsClose, EMPTY, MAX_WS_PIECE_BYTES, WS_OPCODES, type WsClose } from '@sallyport/channel';
import { applyMask, MASK_BYTES } from '../web-socket/mask.ts';
import { BackendError } from './errors.ts';

/** What hears of the frames of a backend. */
export interface FrameSink {
  /**
   * A part of a message, as it came: a view, valid during the call, of at most `MAX_WS_PIECE_BYTES`. Its opcode is that of a
   * continuation but for the first part; `more` is false for the last one.
   */
  part(opcode: number, more: boolean, bytes: Buffer): void;
  /** The last ping of a read: only that one needs an answer (RFC 6455, section 5.5.3). A view, valid during the call. */
  ping(bytes: Buffer): void;
  pong(bytes: Buffer): void;
  /** The backend closes; nothing follows. */
  close(close: WsClose): void;
}

const FIN = 0x80;
const MASKED = 0x80;
const RESERVED = 0x70;
const MAX_CONTROL_BYTES = 125;
const MAX_SHORT_BYTES = 65_535;
/** Frames below this cost more than their bytes. */
const SMALL_FRAME_BYTES = 256;

/** Why a connection is failed: `code` is what the backend is told (RFC 6455, section 7.4.1). */
export class FrameError extends BackendError {
  readonly closeCode: 1002 | 1009;

  constructor(closeCode: 1002 | 1009, message: string) {
    super('ERR_BACKEND_RESPONSE', message, { words: `what it sends is not valid: ${message}` });
    this.closeCode = closeCode;
  }
}

function demand(condition: boolean, message: string): void {
  if (!condition) throw new FrameError(1002, message);
}

/**
 * Reads the frames of a WebSocket's server (RFC 6455, section 5), strictly and without extensions. Messages are passed on in the
 * parts in which they come: nothing is held but a head or a control frame that is cut off. Not shared.
 */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #maxMessageBytes: number;
  #kept: Buffer = Buffer.alloc(0);
  /** Bytes of the data frame being read that are still to come. */
  #left = 0;
  /** The opcode of the next part, while a data frame is being read. */
  #opcode = 0;
  #fin = false;
  #inMessage = false;
  #messageBytes = 0;
  #over = false;
  #smallFrames = 0;
  /** Where the content of the last ping of this read lies. */
  #ping: readonly [start: number, end: number] | undefined;

  constructor(sink: FrameSink, maxMessageBytes: number) {
    this.#sink = sink;
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Small frames that the last `push` brought. */
  get smallFrames(): number {
    return this.#smallFrames;
  }

  /** Takes bytes of the connection; the view is not kept. @throws FrameError for what breaks the rules or the limit */
  push(bytes: Buffer): void {
    const data = this.#kept.length > 0 ? Buffer.concat([this.#kept, bytes]) : bytes;
    this.#kept = Buffer.alloc(0);
    this.#smallFrames = 0;
    this.#ping = undefined;
    let at = 0;
    while (at < data.length && !this.#over) {
      const next = this.#left > 0 ? this.#payload(data, at) : this.#frame(data, at);
      if (next === at) {
        this.#kept = Buffer.from(data.subarray(at));
        break;
      }
      at = next;
    }
    this.#tellPing(data);
  }

  #tellPing(data: Buffer): void {
    if (this.#ping) this.#sink.ping(data.subarray(...this.#ping));
  }

  #payload(data: Buffer, at: number): number {
    const end = Math.min(data.length, at + this.#left, at + MAX_WS_PIECE_BYTES);
    this.#left -= end - at;
    const more = !(this.#fin && this.#left === 0);
    this.#sink.part(this.#opcode, more, data.subarray(at, end));
    this.#opcode = WS_OPCODES.continuation;
    return end;
  }

  /** Reads a frame's head, and a control frame whole; gives where it came to, `at` itself when more bytes are needed. */
  #frame(data: Buffer, at: number): number {
    if (data.length - at < 2) return at;
    const [first, second] = [data[at]!, data[at + 1]!];
    const opcode = first & 0x0f;
    demand((first & RESERVED) === 0, 'a frame has a reserved bit');
    demand((second & MASKED) === 0, 'a frame of a server is masked');
    const short = second & 0x7f;
    const lengthBytes = short < 126 ? 0 : short === 126 ? 2 : 8;
    const start = at + 2 + lengthBytes;
    if (data.length < start) return at;
    const length = lengthBytes === 0 ? short : readLength(data, at + 2, lengthBytes);
    this.#fin = (first & FIN) !== 0;
    if (length < SMALL_FRAME_BYTES) this.#smallFrames += 1;
    if (opcode >= WS_OPCODES.close) return this.#control(opcode, data, { at, start, length });
    this.#begin(opcode, length);
    // An empty frame is a part, too: it may be the last of its message.
    if (length === 0) this.#sink.part(opcode, !this.#fin, data.subarray(start, start));
    return start;
  }

  #begin(opcode: number, length: number): void {
    demand(opcode <= WS_OPCODES.binary, 'a frame has an unknown opcode');
    demand((opcode === WS_OPCODES.continuation) === this.#inMessage, 'a frame does not fit to the one before');
    this.#messageBytes = this.#inMessage ? this.#messageBytes + length : length;
    if (this.#messageBytes > this.#maxMessageBytes)
      throw new FrameError(1009, `a message has more than ${this.#maxMessageBytes} bytes`);
    this.#inMessage = !this.#fin;
    this.#opcode = opcode;
    this.#left = length;
  }

  #control(opcode: number, data: Buffer, of: { at: number; start: number; length: number }): number {
    const { at, start, length } = of;
    demand(opcode <= WS_OPCODES.pong, 'a frame has an unknown opcode');
    demand(this.#fin && length <= MAX_CONTROL_BYTES, 'a control frame is cut or too long');
    const end = start + length;
    if (data.length < end) return at;
    // No view for each of them: a read may bring thirty thousand.
    if (opcode === WS_OPCODES.ping) this.#ping = [start, end];
    else if (opcode === WS_OPCODES.pong) this.#sink.pong(data.subarray(start, end));
    else this.#close(data.subarray(start, end));
    return end;
  }

  #close(bytes: Buffer): void {
    this.#over = true;
    let close: WsClose;
    try {
      close = decodeWsClose(bytes);
    } catch (cause) {
      throw new FrameError(1002, (cause as Error).message);
    }
    this.#sink.close(close);
  }
}

/** A length of two or eight bytes, which must be the shortest form (RFC 6455, section 5.2). */
function readLength(data: Buffer, at: number, bytes: 2 | 8): number {
  if (bytes === 2) {
    const length = data.readUInt16BE(at);
    demand(length > MAX_CONTROL_BYTES, 'a length is longer than needed');
    return length;
  }
  const length = Number(data.readBigUInt64BE(at));
  demand(length > MAX_SHORT_BYTES, 'a length is longer than needed');
  return length;
}

/** Random bytes for masks, made many at a time. */
const masks = Buffer.alloc(8_192);
let masksUsed = masks.length;

function nextMask(): number {
  if (masksUsed === masks.length) {
    randomFillSync(masks);
    masksUsed = 0;
  }
  const mask = masks.readInt32BE(masksUsed);
  masksUsed += MASK_BYTES;
  return mask;
}

/** A frame of a client, masked, in memory of its own. */
export function formatFrame(opcode: number, fin: boolean, bytes: Uint8Array): Buffer {
  const { length } = bytes;
  const lengthBytes = length <= MAX_CONTROL_BYTES ? 0 : length <= MAX_SHORT_BYTES ? 2 : 8;
  const start = 2 + lengthBytes + MASK_BYTES;
  const frame = Buffer.allocUnsafe(start + length);
  frame[0] = fin ? FIN | opcode : opcode;
  frame[1] = MASKED | (lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127);
  if (lengthBytes === 2) frame.writeUInt16BE(length, 2);
  if (lengthBytes === 8) frame.writeBigUInt64BE(BigInt(length), 2);
  const mask = nextMask();
  frame.writeInt32BE(mask, start - MASK_BYTES);
  frame.set(bytes, start);
  if (length > 0) applyMask(frame.subarray(start), mask);
  return frame;
}

/** A close frame; empty without a code. */
export function formatCloseFrame(bytes: Uint8Array = EMPTY): Buffer {
  return formatFrame(WS_OPCODES.close, true, bytes);
}
