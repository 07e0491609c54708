import { copyBytes } from './bytes.ts';
import { FLAG_FIN, FRAME_HEAD_BYTES, FRAME_TYPES } from './frame.ts';

/**
 * Who consumes a stream. Every method is called synchronously while a record is handled. What one throws ends this
 * stream, never the channel.
 */
export interface StreamSink {
  /** Bytes of the peer; a view that is only valid during the call. Say `consume` when they are dealt with. */
  data(bytes: Uint8Array): void;
  /** The peer finished its direction. */
  end(): void;
  /** The stream is over at once; `code` is the peer's, or the one the channel closed with; `words` are for people. */
  reset(code: number, words?: string): void;
  /** After `write` gave false: there is room again. */
  drain(): void;
}

/** What a stream needs of its channel. */
export interface StreamOwner {
  /** The stream has something to send, or may have. */
  ready(stream: ChannelStream): void;
  /** So many more bytes wait on a stream, or fewer. */
  queued(bytes: number): void;
  /** True while so much waits on all streams together that nobody should write more. */
  readonly congested: boolean;
  /** Sends at once what is queued, as far as credit and backlog allow. */
  flush(): void;
  /** Sends RESET with a code of `SIGNED_CODES`; `words` are for people. */
  sendReset(stream: ChannelStream, code: number, words?: string): void;
  /** The consumer of a stream threw: the stream is ended, and whoever runs the channel hears of it. */
  failed(stream: ChannelStream, error: unknown): void;
  /** So many bytes were dealt with: the peer may get credit for them. */
  release(stream: ChannelStream, bytes: number): void;
  /** Both directions are over, and the stream no longer counts. */
  finished(stream: ChannelStream): void;
}

/** Queued bytes from which a writer should wait, and below which it is called back. */
const HIGH_WATER_BYTES = 256 * 1024;
const LOW_WATER_BYTES = 64 * 1024;
/** From so many waiting pieces on, small ones are put together in memory of so many bytes. */
const MANY_CHUNKS = 16;
const SMALL_CHUNK_BYTES = 1_024;
const MERGED_BYTES = 8 * 1024;
/** Bytes of one stream in one turn, so that streams share a channel fairly. */
const QUANTUM_BYTES = 16 * 1024;

/**
 * One stream of a channel: two directions with a credit each (SPEC.md, section 6).
 * Owned by its Multiplexer; used by one handler.
 */
export class ChannelStream {
  /** Number of the stream in its channel; odd, rising. */
  readonly id: number;
  /** What it carries: 1 HTTP, 2 WebSocket, 3 TCP (SPEC.md, section 7). */
  readonly kind: number;
  readonly #owner: StreamOwner;
  /** Who takes what comes; until it is set, it is lost. */
  sink: StreamSink | undefined;
  /** Bytes we may still send. */
  sendCredit: number;
  /** Bytes the peer may still send. */
  receiveCredit: number;
  /** Bytes dealt with for which the peer has no new credit yet; the channel's to keep. */
  unreleased = 0;
  #outstanding = 0;
  /** The last chunk, while small pieces are put together in it. */
  #tail: { readonly memory: Uint8Array; chunk: Uint8Array } | undefined;
  #chunks: Uint8Array[] = [];
  #offset = 0;
  #queued = 0;
  #opening: boolean;
  #finQueued = false;
  #localClosed = false;
  #remoteClosed = false;
  #settled = false;
  #full = false;
  /** A writer of borrowed bytes waits for credit, too, so that little of what it writes next must be copied. */
  #creditless = false;
  readonly #lowCredit: number;

  /** Made by the Multiplexer; `window` is the credit of each direction at the start, bytes. */
  constructor(owner: StreamOwner, init: { id: number; kind: number; window: number; opening: boolean }) {
    this.#owner = owner;
    this.id = init.id;
    this.kind = init.kind;
    this.sendCredit = init.window;
    this.receiveCredit = init.window;
    this.#lowCredit = Math.min(LOW_WATER_BYTES, init.window / 4);
    this.#opening = init.opening;
  }

  /** True once neither side may send. */
  get closed(): boolean {
    return this.#localClosed && this.#remoteClosed;
  }

  /** True once the stream no longer counts against the limit. */
  get done(): boolean {
    return this.closed && this.#settled;
  }

  /** True once the peer sends no more. */
  get remoteClosed(): boolean {
    return this.#remoteClosed;
  }

  /** Bytes that were written and have not left. */
  get queuedBytes(): number {
    return this.#queued;
  }

  /** Queues bytes, which the stream owns from now on. False when the writer should wait for `drain`. */
  write(bytes: Uint8Array): boolean {
    if (this.#finQueued) throw new TypeError('the stream is finished');
    if (this.#localClosed) return false;
    if (bytes.length > 0) {
      if (!this.#merged(bytes)) this.#chunks.push(bytes);
      this.#queued += bytes.length;
      this.#owner.queued(bytes.length);
      this.#owner.ready(this);
    }
    this.#full ||= this.#queued >= HIGH_WATER_BYTES || this.#owner.congested;
    return !this.#full;
  }

  /**
   * Like `write`, for bytes that are only lent for the call: what can be is sent at once, and only the rest is copied.
   * False as soon as there is a rest, or credit for little more. For large parts; small ones are better copied, so that
   * they share a record.
   */
  writeBorrowed(bytes: Uint8Array): boolean {
    this.write(bytes);
    this.#owner.flush();
    const last = this.#chunks.length - 1;
    if (this.#chunks[last] === bytes) {
      const sent = last === 0 ? this.#offset : 0;
      this.#chunks[last] = copyBytes(bytes, sent);
      if (last === 0) this.#offset = 0;
    }
    this.#creditless = this.#queued > 0 || this.sendCredit < this.#lowCredit;
    return !this.#full && !this.#creditless;
  }

  /** Finishes our direction after what is queued. */
  finish(): void {
    if (this.#finQueued || this.#localClosed) return;
    this.#finQueued = true;
    this.#owner.ready(this);
  }

  /** Says that `bytes` received ones are dealt with, so that the peer may send as many more. */
  consume(bytes: number): void {
    const counted = Math.min(bytes, this.#outstanding);
    this.#outstanding -= counted;
    if (counted > 0) this.#owner.release(this, counted);
  }

  /** Says that all received bytes are dealt with: nobody waits for them any more. */
  consumeAll(): void {
    this.consume(this.#outstanding);
  }

  /** Ends both directions at once and tells the peer: a code, and words for people that say nothing a device may not know. */
  reset(code: number, words?: string): void {
    if (this.closed) return;
    // A stream whose OPEN never left is unknown to the peer: a RESET for it would end the channel.
    if (!this.#opening) this.#owner.sendReset(this, code, words);
    this.#end();
  }

  /** Says that all work for the stream has stopped. Until then it counts as open. */
  settle(): void {
    this.#settled = true;
    if (this.done) this.#owner.finished(this);
  }

  /** True when a flush has something to send for this stream. */
  get sendable(): boolean {
    if (this.#localClosed) return false;
    return this.#opening || (this.#queued > 0 && this.sendCredit > 0) || (this.#finQueued && this.#queued === 0);
  }

  /** True when the next frame can only be data, which needs credit of the channel. */
  get needsCredit(): boolean {
    return !this.#opening && this.#queued > 0;
  }

  /**
   * Writes the next frame, at most `room` bytes of which at most `credit` are data; gives the data bytes written.
   * Only when `sendable` and with room for a head, a kind and one byte.
   */
  writeNext(
    target: Uint8Array,
    offset: number,
    limits: { room: number; credit: number },
  ): { next: number; sent: number } {
    const opening = this.#opening;
    const headBytes = FRAME_HEAD_BYTES + (opening ? 1 : 0);
    const room = Math.min(limits.room - headBytes, limits.credit, QUANTUM_BYTES);
    const sent = Math.min(this.#queued, this.sendCredit, room);
    const fin = this.#finQueued && sent === this.#queued;
    writeHead(target, offset, { opening, fin, id: this.id, kind: this.kind, length: sent });
    this.#opening = false;
    this.#takeQueued(target, offset + headBytes, sent);
    this.sendCredit -= sent;
    if (fin) this.#closeLocal();
    this.maybeDrain();
    return { next: offset + headBytes + sent, sent };
  }

  /** Called by the channel when the peer gave credit. */
  credit(bytes: number): void {
    this.sendCredit += bytes;
    this.maybeDrain();
  }

  /** Called by the channel for received data. */
  receive(bytes: Uint8Array, fin: boolean): void {
    this.receiveCredit -= bytes.length;
    this.#outstanding += bytes.length;
    try {
      if (bytes.length > 0) this.sink?.data(bytes);
      if (!fin || this.#remoteClosed) return;
      this.#remoteClosed = true;
      this.sink?.end();
    } catch (error) {
      this.#owner.failed(this, error);
    }
    if (this.done) this.#owner.finished(this);
  }

  /** Called by the channel when the peer reset the stream, or the channel ended. */
  abort(code: number, words?: string): void {
    this.#end();
    try {
      this.sink?.reset(code, words);
    } catch (error) {
      this.#owner.failed(this, error);
    }
  }

  /** Puts a small piece behind other ones when many wait: each would cost more than its bytes. */
  #merged(bytes: Uint8Array): boolean {
    if (this.#chunks.length < MANY_CHUNKS || bytes.length > SMALL_CHUNK_BYTES) return false;
    const tail = this.#tail;
    const isLast = tail !== undefined && this.#chunks.at(-1) === tail.chunk;
    if (isLast && tail.chunk.length + bytes.length <= tail.memory.length) {
      tail.memory.set(bytes, tail.chunk.length);
      tail.chunk = tail.memory.subarray(0, tail.chunk.length + bytes.length);
      this.#chunks[this.#chunks.length - 1] = tail.chunk;
      return true;
    }
    const memory = new Uint8Array(MERGED_BYTES);
    memory.set(bytes);
    this.#tail = { memory, chunk: memory.subarray(0, bytes.length) };
    this.#chunks.push(this.#tail.chunk);
    return true;
  }

  #end(): void {
    this.#tail = undefined;
    this.#chunks = [];
    if (this.#queued > 0) this.#owner.queued(-this.#queued);
    this.#queued = 0;
    this.#localClosed = true;
    this.#remoteClosed = true;
    const outstanding = this.#outstanding;
    this.#outstanding = 0;
    if (outstanding > 0) this.#owner.release(this, outstanding);
    if (this.done) this.#owner.finished(this);
  }

  #closeLocal(): void {
    this.#localClosed = true;
    if (this.done) this.#owner.finished(this);
  }

  #takeQueued(target: Uint8Array, offset: number, bytes: number): void {
    let at = offset;
    let left = bytes;
    while (left > 0) {
      const chunk = this.#chunks[0]!;
      const part = chunk.subarray(this.#offset, this.#offset + left);
      target.set(part, at);
      at += part.length;
      left -= part.length;
      this.#offset += part.length;
      if (this.#offset < chunk.length) continue;
      this.#chunks.shift();
      this.#offset = 0;
    }
    this.#queued -= bytes;
    if (bytes > 0) this.#owner.queued(-bytes);
  }

  /** Calls a writer back that waits, if there is room: what has nothing queued may always go on, whatever the others do. */
  maybeDrain(): void {
    if ((!this.#full && !this.#creditless) || this.#queued > LOW_WATER_BYTES) return;
    if (this.#queued > 0 && this.#owner.congested) return;
    if (this.#creditless && this.sendCredit < this.#lowCredit) return;
    this.#full = false;
    this.#creditless = false;
    try {
      this.sink?.drain();
    } catch (error) {
      this.#owner.failed(this, error);
    }
  }
}

function writeHead(
  target: Uint8Array,
  offset: number,
  head: { opening: boolean; fin: boolean; id: number; kind: number; length: number },
): void {
  const length = head.length + (head.opening ? 1 : 0);
  target[offset] = head.opening ? FRAME_TYPES.OPEN : FRAME_TYPES.DATA;
  target[offset + 1] = head.fin ? FLAG_FIN : 0;
  target[offset + 2] = head.id >>> 24;
  target[offset + 3] = head.id >>> 16;
  target[offset + 4] = head.id >>> 8;
  target[offset + 5] = head.id;
  target[offset + 6] = length >>> 8;
  target[offset + 7] = length;
  if (head.opening) target[offset + FRAME_HEAD_BYTES] = head.kind;
}
