import type { Socket } from 'node:net';
import { decodeWsClose, MAX_MESSAGE_BYTES } from '@sallyport/channel';
import { guardWith } from '@sallyport/telemetry';
import { applyMask, MASK_BYTES } from '../web-socket/mask.ts';

/** What hears of a socket. */
export interface RecordSocketListener {
  /** One binary message. Its memory is the listener's to keep and to change. */
  message(bytes: Buffer): void;
  /** What was sent has left. */
  drained(): void;
  closed(): void;
  /** A handler threw, which is a defect of ours: the socket was ended. */
  failed(error: unknown): void;
}

/** Opcodes and close codes of RFC 6455, sections 5.2 and 7.4.1. */
const BINARY = 0x2;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;
const TEXT = 0x1;
const PROTOCOL_ERROR = 1002;
const UNSUPPORTED = 1003;
const NORMAL = 1000;
const TOO_LARGE = 1009;
const FIN = 0x80;
const MASKED = 0x80;
const MAX_CONTROL_BYTES = 125;
/** Head of a message of up to 65,535 bytes. */
const HEAD_BYTES = 4;
const LONG_HEAD_BYTES = 10;
const MAX_SHORT_BYTES = 65_535;
const SMALL_BYTES = 4_096;
/** Pongs are left out while so much waits for a peer that does not read, bytes. */
const MAX_PONG_BACKLOG = 65_536;
/** How long a peer may take to answer a close, ms. */
const CLOSE_WAIT_MS = 1_000;

/** A socket on which nothing arrives is ended after this, ms; devices ping every 25 s. */
const IDLE_MS = 90_000;
/** Bytes the peer does not read: the socket is ended when they stay above for so long. */
const MAX_BACKLOG_BYTES = 4 * 1024 * 1024;
const BACKLOG_GRACE_MS = 30_000;

/** Large pieces of memory that are kept for the next congested socket. */
const MAX_SPARE = 64;

/**
 * Where messages are put together, for all sockets of the process: what the kernel takes at once needs no memory of its
 * own. A piece that a socket still holds is replaced.
 */
class Outgoing {
  readonly #bytes: number;
  readonly #spare: Buffer[] = [];
  memory: Buffer;

  constructor(bytes: number) {
    this.#bytes = HEAD_BYTES + bytes;
    this.memory = Buffer.allocUnsafeSlow(this.#bytes);
  }

  /** Writes `part` of the memory; what does not leave at once keeps it. */
  write(socket: Socket, part: Buffer): void {
    const { memory } = this;
    if (socket.writableLength > 0) socket.write(part, () => this.#keep(memory));
    else socket.write(part);
    if (socket.writableLength > 0) this.memory = this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#bytes);
  }

  #keep(memory: Buffer): void {
    if (this.#spare.length < MAX_SPARE && memory !== this.memory) this.#spare.push(memory);
  }
}

const small = new Outgoing(SMALL_BYTES);
const large = new Outgoing(MAX_SHORT_BYTES);

/**
 * The server's side of a WebSocket (RFC 6455) after its handshake, for binary messages only: no text, no fragments, no
 * extensions, nothing above `MAX_MESSAGE_BYTES`. Everything else closes it.
 */
export class RecordSocket {
  readonly #socket: Socket;
  readonly #listener: RecordSocketListener;
  /** Bytes of a frame's head that is cut off. */
  #kept: Buffer | undefined;
  /** A frame that came in part: its content so far. */
  #frame: Buffer | undefined;
  #filled = 0;
  #opcode = 0;
  /** The four bytes of the frame's mask, as they stand in it. */
  #mask = 0;
  #closing = false;
  /** What the last ping that has no answer yet said. */
  #ping: Buffer | undefined;
  #resume: NodeJS.Timeout | undefined;
  #heardAt = performance.now();
  /** Something was heard since the last sweep. */
  #heard = false;
  #backlogSince: number | undefined;

  constructor(socket: Socket, listener: RecordSocketListener) {
    this.#socket = socket;
    this.#listener = listener;
    socket.setTimeout(0);
    socket.setNoDelay(true);
    const guard = guardWith((error) => {
      socket.destroy();
      listener.failed(error);
    });
    socket.on(
      'data',
      guard((bytes: Buffer) => {
        this.#read(bytes);
        if (this.#ping) this.#pong(this.#ping);
      }),
    );
    socket.on(
      'drain',
      guard(() => listener.drained()),
    );
    socket.on('end', () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on(
      'close',
      guard(() => {
        clearTimeout(this.#resume);
        listener.closed();
      }),
    );
  }

  /** True once the socket is gone: nothing is heard or sent any more. */
  get destroyed(): boolean {
    return this.#socket.destroyed;
  }

  /** Reads nothing for a while: whoever sends more than its share waits by itself. */
  restFor(ms: number): void {
    if (this.#resume !== undefined) return;
    this.#socket.pause();
    this.#resume = setTimeout(() => {
      this.#resume = undefined;
      this.#socket.resume();
    }, ms);
  }

  /** Ends what is silent, and what does not read. */
  sweep(now: number): void {
    if (this.bufferedBytes < MAX_BACKLOG_BYTES) this.#backlogSince = undefined;
    else this.#backlogSince ??= now;
    if (this.#heard) this.#heardAt = now;
    this.#heard = false;
    const stuck = this.#backlogSince !== undefined && now - this.#backlogSince > BACKLOG_GRACE_MS;
    if (stuck || now - this.#heardAt > IDLE_MS) this.destroy();
  }

  /** Bytes that the kernel has not taken yet. */
  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  /** Memory of exactly so many bytes for the message that `transmit` sends next. */
  outgoing(bytes: number): Uint8Array {
    if (bytes > MAX_SHORT_BYTES) return Buffer.allocUnsafeSlow(LONG_HEAD_BYTES + bytes).subarray(LONG_HEAD_BYTES);
    return (bytes <= SMALL_BYTES ? small : large).memory.subarray(HEAD_BYTES, HEAD_BYTES + bytes);
  }

  /** Sends a message, which best was put into `outgoing`. */
  transmit(message: Uint8Array): void {
    if (this.#closing || this.#socket.destroyed) return;
    const { length } = message;
    if (length > MAX_SHORT_BYTES) {
      const memory = Buffer.from(message.buffer);
      return void this.#socket.write(memory.subarray(LONG_HEAD_BYTES - writeHead(memory, LONG_HEAD_BYTES, length)));
    }
    const place = length <= SMALL_BYTES ? small : large;
    if (message.buffer !== place.memory.buffer) place.memory.set(message, HEAD_BYTES);
    const headBytes = writeHead(place.memory, HEAD_BYTES, length);
    place.write(this.#socket, place.memory.subarray(HEAD_BYTES - headBytes, HEAD_BYTES + length));
  }

  /** Sends one binary message. */
  send(message: Uint8Array): void {
    const memory = this.outgoing(message.length);
    memory.set(message);
    this.transmit(memory);
  }

  /** Says goodbye; nothing is sent or heard after it. The peer's answer, or `destroy`, ends the socket. */
  close(code: number): void {
    if (this.#closing || this.#socket.destroyed) return;
    this.#closing = true;
    this.#socket.write(Buffer.from([FIN | CLOSE, 2, code >> 8, code & 0xff]));
    // A peer that does not answer the close is not waited for.
    setTimeout(() => this.#socket.destroy(), CLOSE_WAIT_MS).unref();
  }

  /** Ends the socket at once. */
  destroy(): void {
    this.#socket.destroy();
  }

  #read(bytes: Buffer): void {
    let data = bytes;
    if (this.#kept) {
      data = Buffer.concat([this.#kept, bytes]);
      this.#kept = undefined;
    }
    let at = 0;
    while (at < data.length) {
      const next = this.#frame ? this.#fill(this.#frame, data, at) : this.#begin(data, at);
      if (next < 0) return;
      if (next === at) {
        this.#kept = data.subarray(at);
        return;
      }
      at = next;
    }
  }

  /** Reads a frame's head, and its content when all of it is there. Gives where it came to, -1 when the socket ends. */
  #begin(data: Buffer, at: number): number {
    if (data.length - at < 2) return at;
    const [first, second] = [data[at]!, data[at + 1]!];
    const refusal = refusalOf(first, second);
    if (refusal !== undefined) return this.#refuse(refusal);
    const short = second & 0x7f;
    const lengthBytes = short < 126 ? 0 : short === 126 ? 2 : 8;
    const start = at + 2 + lengthBytes + MASK_BYTES;
    if (data.length < start) return at;
    const length = lengthBytes === 0 ? short : lengthBytes === 2 ? data.readUInt16BE(at + 2) : longLength(data, at + 2);
    if (length > MAX_MESSAGE_BYTES) return this.#refuse(TOO_LARGE);
    if (length < SHORTEST[lengthBytes]!) return this.#refuse(PROTOCOL_ERROR);
    this.#opcode = first & 0x0f;
    this.#mask = data.readInt32BE(start - MASK_BYTES);
    const end = start + length;
    if (end <= data.length) return this.#take(data.subarray(start, end)) ? end : -1;
    this.#frame = Buffer.allocUnsafeSlow(length);
    this.#filled = data.copy(this.#frame, 0, start);
    return data.length;
  }

  #fill(frame: Buffer, data: Buffer, at: number): number {
    const copied = data.copy(frame, this.#filled, at);
    this.#filled += copied;
    if (this.#filled < frame.length) return data.length;
    this.#frame = undefined;
    return this.#take(frame) ? at + copied : -1;
  }

  /** Takes one whole frame; false when the socket ends with it. */
  #take(content: Buffer): boolean {
    applyMask(content, this.#mask);
    if (this.#opcode === CLOSE) {
      this.close(answerToClose(content));
      this.#socket.end();
      return false;
    }
    if (this.#closing) return true;
    if (this.#opcode === PING) this.#ping = content;
    else if (this.#opcode === BINARY) {
      this.#heard = true;
      this.#listener.message(content);
    }
    return !this.#socket.destroyed;
  }

  /** Answers the newest of the pings that came together (RFC 6455, section 5.5.3): each answer costs a write of its own. */
  #pong(content: Buffer): void {
    this.#ping = undefined;
    if (this.#closing || this.#socket.destroyed || this.#socket.writableLength > MAX_PONG_BACKLOG) return;
    this.#socket.write(Buffer.concat([Buffer.from([FIN | PONG, content.length]), content]));
  }

  #refuse(code: number): -1 {
    this.close(code);
    this.#socket.end();
    return -1;
  }
}

/** What a length of so many further bytes is at least: the shortest form is a must (RFC 6455, section 5.2). */
const SHORTEST: Readonly<Record<number, number>> = { 0: 0, 2: 126, 8: 65_536 };

/** The code that answers a peer's close frame. */
function answerToClose(content: Uint8Array): number {
  try {
    return decodeWsClose(content).code ?? NORMAL;
  } catch {
    return PROTOCOL_ERROR;
  }
}

/** Why a frame is not taken, by its first two bytes. */
function refusalOf(first: number, second: number): number | undefined {
  const opcode = first & 0x0f;
  if (opcode === TEXT) return UNSUPPORTED;
  const control = opcode === CLOSE || opcode === PING || opcode === PONG;
  const plain = (first & 0xf0) === FIN && (control || opcode === BINARY);
  const fits = !control || (second & 0x7f) <= MAX_CONTROL_BYTES;
  return plain && fits && (second & MASKED) !== 0 ? undefined : PROTOCOL_ERROR;
}

function longLength(data: Buffer, at: number): number {
  return data.readUInt32BE(at) === 0 ? data.readUInt32BE(at + 4) : Number.POSITIVE_INFINITY;
}

/** Writes the head in front of a message of `length` bytes at `at`; gives how many bytes it has. */
function writeHead(memory: Buffer, at: number, length: number): number {
  if (length <= MAX_CONTROL_BYTES) {
    memory[at - 2] = FIN | BINARY;
    memory[at - 1] = length;
    return 2;
  }
  if (length <= MAX_SHORT_BYTES) {
    memory[at - 4] = FIN | BINARY;
    memory[at - 3] = 126;
    memory[at - 2] = length >> 8;
    memory[at - 1] = length & 0xff;
    return HEAD_BYTES;
  }
  memory[at - 10] = FIN | BINARY;
  memory[at - 9] = 127;
  memory.writeBigUInt64BE(BigInt(length), at - 8);
  return LONG_HEAD_BYTES;
}
