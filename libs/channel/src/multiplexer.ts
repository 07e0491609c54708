import { concat, copyBytes, decodeUint, EMPTY, encodeUint, equalBytes } from './bytes.ts';
import { encodeCbor } from './cbor.ts';
import { SIGNED_CODES } from './codes.ts';
import { TAG_BYTES } from './crypto.ts';
import { ChannelError, demand } from './errors.ts';
import {
  decodeFrames,
  decodeReset,
  encodeReset,
  FLAG_FIN,
  FRAME_HEAD_BYTES,
  FRAME_TYPES,
  type Frame,
  joinData,
  writeFrame,
} from './frame.ts';
import { type ChannelLimits, MAX_WINDOW, SMALL_FRAME_BYTES, TokenBucket } from './limits.ts';
import { MAX_RECORD_BYTES, type RecordLayer } from './record.ts';
import { ChannelStream, type StreamOwner, type StreamSink } from './stream.ts';

/** Which end of the channel this is. Only the device opens streams. */
export type ChannelRole = 'device' | 'proxy';

/** A longer app context is not kept to be known again. */
const MAX_KEPT_CONTEXT_BYTES = 2_048;

/** A limit of a channel that a device has met (SPEC.md, "Limits"). */
export type ChannelLimit = 'streams' | 'opens' | 'resets' | 'contexts' | 'pings' | 'pieces' | 'control';

/** What carries the channel and what hears from it. */
export interface ChannelHost {
  /** Memory of exactly so many bytes for the record that is transmitted next; without it records are new memory. */
  outgoing?(bytes: number): Uint8Array;
  /** Sends one sealed record as one WebSocket message. */
  transmit(record: Uint8Array): void;
  /** Bytes handed to `transmit` that the socket has not taken yet. */
  backlogBytes(): number;
  /** Monotonic ms. */
  now(): number;
  /** Runs `flush` once, soon: at the end of the tick, so that its frames share a record. */
  schedule(flush: () => void): void;
  /** Proxy only: a stream was opened. Gives its consumer. */
  accept?(stream: ChannelStream): StreamSink;
  /** Proxy only: the code with which new streams are refused at this moment, before anything of them is read. */
  refusal?(): number | undefined;
  /** Proxy only: the device sent another app context than in the CONTEXT before. */
  context?(cbor: Uint8Array): void;
  /** Device only: a notice of the Proxy. */
  notice?(cbor: Uint8Array): void;
  /** The peer takes no streams above `lastStream`. */
  goaway?(lastStream: number, code: number): void;
  /** A PONG came back. */
  pong?(data: Uint8Array): void;
  /** Streams left the table, so more may be opened. */
  vacated?(): void;
  /** Proxy only: the device met a limit; what that leads to has been done. */
  limited?(limit: ChannelLimit): void;
  /** The consumer of a stream threw. The stream was ended; that it happened is a defect of ours. */
  streamFailed?(stream: ChannelStream, error: unknown): void;
  /** The channel ended outside of `receive`, because the peer does not read or the records are used up: close the socket. */
  broken?(): void;
}

/** Control frames that may wait; a peer that makes us queue more does not read. */
const MAX_CONTROL_FRAMES = 1_024;
/**
 * Records with so many small frames, and those of so many bytes, have the pieces of a stream joined before anybody handles them: what
 * a device uploads comes in several frames a record, and moving bytes costs less than a write to the backend for each.
 */
const JOIN_FROM = 32;
const JOIN_FROM_BYTES = 24_576;
/** Codes that say that a session is over. Of a stream they are a Proxy's word, and no Proxy's word says that (SPEC.md, section 8). */
const OVER: ReadonlySet<number> = new Set([
  SIGNED_CODES.REVOKED,
  SIGNED_CODES.REENROLL_REQUIRED,
  SIGNED_CODES.SESSION_EXPIRED,
]);
/** Plaintext of the record being composed. Shared, because sealing copies it before anything else runs. */
const scratch = new Uint8Array(MAX_RECORD_BYTES);

/**
 * Streams over the records of one channel (SPEC.md, section 6). Pure: no sockets, no timers.
 * Any ChannelError out of `receive` is fatal: destroy the channel and close the socket without detail.
 */
export class Multiplexer implements StreamOwner {
  readonly #records: RecordLayer;
  readonly #role: ChannelRole;
  readonly #limits: ChannelLimits;
  readonly #host: ChannelHost;
  readonly #streams = new Map<number, ChannelStream>();
  readonly #ready = new Set<ChannelStream>();
  /** Streams that wait for credit of the whole channel. */
  readonly #starved = new Set<ChannelStream>();
  readonly #opens: TokenBucket;
  readonly #resets: TokenBucket;
  readonly #contexts: TokenBucket;
  readonly #pings: TokenBucket;
  readonly #pieces: TokenBucket;
  #context: Uint8Array = EMPTY;
  #control: Frame[] = [];
  #lastStream = 0;
  #sendCredit: number;
  #receiveCredit: number;
  #unreleased = 0;
  /** Bytes that wait on all streams, and whether writers wait for them to become fewer. */
  #queued = 0;
  #congested = false;
  #lifted = false;
  readonly #flush = (): void => this.flush();
  #scheduled = false;
  #receiving = false;
  #closed = false;
  #goingAway = false;
  #fault: ChannelError | undefined;
  /** Which limit the last refusal of a stream was about. */
  #words: string | undefined;

  /** Takes the record layer over; `limits` bind the peer of this role. */
  constructor(records: RecordLayer, role: ChannelRole, limits: ChannelLimits, host: ChannelHost) {
    this.#records = records;
    this.#role = role;
    this.#limits = limits;
    this.#host = host;
    this.#sendCredit = limits.channelWindowBytes;
    this.#receiveCredit = limits.channelWindowBytes;
    this.#opens = new TokenBucket(limits.openBurst, limits.openRate, host.now());
    this.#resets = new TokenBucket(limits.resetBurst, limits.resetRate, host.now());
    this.#contexts = new TokenBucket(limits.contextBurst, limits.contextRate, host.now());
    this.#pings = new TokenBucket(limits.pingBurst, limits.pingRate, host.now());
    this.#pieces = new TokenBucket(limits.pieceBurst, limits.pieceRate, host.now());
  }

  /** Streams that count against the limit. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** True once the channel is destroyed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Opens a stream (device only). @throws ChannelError ERR_CHANNEL_LIMIT when no more may be open. */
  open(kind: number, sink: StreamSink): ChannelStream {
    if (this.#role !== 'device') throw new TypeError('only the device opens streams');
    demand(!this.#closed && !this.#goingAway, 'ERR_CHANNEL_CLOSED', 'the channel takes no new streams');
    demand(this.#streams.size < this.#limits.streams, 'ERR_CHANNEL_LIMIT', `more than ${this.#limits.streams} streams`);
    const id = this.#lastStream === 0 ? 1 : this.#lastStream + 2;
    const stream = this.#addStream(id, kind, true);
    stream.sink = sink;
    stream.settle();
    this.ready(stream);
    return stream;
  }

  /** Handles one record. @throws ChannelError for a violation, after which the channel is destroyed. */
  receive(record: Uint8Array): void {
    this.#receiving = true;
    try {
      for (const frame of this.#framesOf(this.#records.open(record))) {
        if (this.#closed) break;
        this.#handle(frame);
      }
      if (this.#fault) throw this.#fault;
    } catch (error) {
      this.destroy(SIGNED_CODES.CANCELLED);
      throw error;
    } finally {
      this.#receiving = false;
    }
  }

  /**
   * Charges small parts of what a stream carries, which cost more than their bytes: chunks of content, messages. A stream's
   * consumer calls it for what it took apart itself.
   */
  spend(pieces: number): void {
    if (this.#role === 'proxy') this.#pieces.spend(pieces, this.#host.now());
  }

  /** Ms for which nothing more should be read of this peer, because it sent too many small pieces. */
  owedMs(): number {
    return this.#pieces.open ? 0 : this.#pieces.waitMs(this.#host.now());
  }

  /** Sends an app context (device) or a notice (Proxy). */
  announce(cbor: Uint8Array): void {
    const type = this.#role === 'device' ? FRAME_TYPES.CONTEXT : FRAME_TYPES.NOTICE;
    this.#queueControl({ type, flags: 0, stream: 0, data: cbor });
  }

  /** Sends eight bytes that the peer sends back. */
  ping(data: Uint8Array): void {
    this.#queueControl({ type: FRAME_TYPES.PING, flags: 0, stream: 0, data });
  }

  /** Tells the peer to open no more streams, and refuses those it opens all the same. */
  goaway(code: number): void {
    this.#goingAway = true;
    const data = concat(encodeUint(this.#lastStream, 4), encodeUint(code, 2));
    this.#queueControl({ type: FRAME_TYPES.GOAWAY, flags: 0, stream: 0, data });
  }

  /** Streams that count against the limit, in no particular order. */
  openStreams(): readonly ChannelStream[] {
    return [...this.#streams.values()];
  }

  /** Resets every stream that is open, on both sides; the channel stays. */
  resetAll(code: number): void {
    for (const stream of this.openStreams()) {
      if (stream.closed) continue;
      stream.reset(code);
      stream.sink?.reset(code);
    }
  }

  /** To call when the socket's backlog has shrunk. */
  drained(): void {
    if (this.#control.length > 0 || this.#ready.size > 0) this.#scheduleFlush();
  }

  /** Sends at once what is queued, as far as credit and backlog allow. */
  flush(): void {
    this.#scheduled = false;
    try {
      this.#send();
      if (this.#lifted) this.#lift();
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      this.#break();
    }
  }

  #send(): void {
    while (!this.#closed && this.#host.backlogBytes() < this.#limits.backlogBytes) {
      const length = this.#compose();
      if (length === 0) return;
      const out = this.#host.outgoing?.(length + TAG_BYTES);
      this.#host.transmit(this.#records.seal(scratch.subarray(0, length), out));
    }
  }

  /** Ends the channel: keys are forgotten, every stream hears `code`. */
  destroy(code: number): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#records.destroy();
    this.#control = [];
    this.#ready.clear();
    this.#starved.clear();
    for (const stream of [...this.#streams.values()]) stream.abort(code);
    this.#streams.clear();
  }

  /** StreamOwner: the stream may have something to send. */
  ready(stream: ChannelStream): void {
    if (this.#closed || !stream.sendable) return;
    this.#ready.add(stream);
    this.#scheduleFlush();
  }

  /** StreamOwner: so many more bytes wait, or fewer. Whoever waits for room hears of it behind what is being sent. */
  queued(bytes: number): void {
    this.#queued += bytes;
    if (this.#queued >= this.#limits.queueBytes) this.#congested = true;
    if (!this.#congested || this.#queued > this.#limits.queueBytes / 2) return;
    this.#congested = false;
    this.#lifted = true;
    this.#scheduleFlush();
  }

  /** StreamOwner: true while so much waits that nobody should write more. */
  get congested(): boolean {
    return this.#congested;
  }

  #lift(): void {
    this.#lifted = false;
    for (const stream of this.openStreams()) stream.maybeDrain();
  }

  /** StreamOwner: our side ends the stream. */
  sendReset(stream: ChannelStream, code: number, words?: string): void {
    this.#ready.delete(stream);
    if (!this.#closed) this.#reset(stream.id, code, words);
  }

  /** StreamOwner: a consumer threw. Its stream is over, the others and the channel go on. */
  failed(stream: ChannelStream, error: unknown): void {
    this.#host.streamFailed?.(stream, error);
    if (!stream.closed) this.#giveUp(stream);
    stream.settle();
  }

  #giveUp(stream: ChannelStream): void {
    stream.reset(SIGNED_CODES.CANCELLED);
    try {
      stream.sink?.reset(SIGNED_CODES.CANCELLED);
    } catch (error) {
      this.#host.streamFailed?.(stream, error);
    }
  }

  /** StreamOwner: received bytes are dealt with; credit goes back in steps of half a window. */
  release(stream: ChannelStream, bytes: number): void {
    if (this.#closed) return;
    this.#releaseChannel(bytes);
    if (stream.remoteClosed) return;
    stream.unreleased += bytes;
    if (stream.unreleased < this.#limits.streamWindowBytes / 2) return;
    const held = stream.unreleased;
    stream.unreleased = 0;
    stream.receiveCredit += held;
    this.#queueControl({ type: FRAME_TYPES.WINDOW, flags: 0, stream: stream.id, data: encodeUint(held, 4) });
  }

  /** StreamOwner: the stream no longer counts. */
  finished(stream: ChannelStream): void {
    this.#ready.delete(stream);
    this.#starved.delete(stream);
    if (this.#streams.delete(stream.id)) this.#host.vacated?.();
  }

  #addStream(id: number, kind: number, opening: boolean): ChannelStream {
    const stream = new ChannelStream(this, { id, kind, window: this.#limits.streamWindowBytes, opening });
    this.#lastStream = id;
    this.#streams.set(id, stream);
    return stream;
  }

  /** The frames of a record; on the Proxy's side small ones are charged, and pieces that follow each other joined. */
  #framesOf(record: Uint8Array): readonly Frame[] {
    const frames = decodeFrames(record);
    if (this.#role === 'device') return frames;
    let small = frames.length === 0 ? 1 : 0;
    for (const { type, data } of frames) {
      if (data.length < SMALL_FRAME_BYTES && type !== FRAME_TYPES.OPEN) small += 1;
    }
    if (small > 0) this.spend(small);
    return small > JOIN_FROM || record.length >= JOIN_FROM_BYTES ? joinData(frames) : frames;
  }

  /** The peer does more of something than it may: it is told, and cut off. */
  #calmDown(limit: ChannelLimit): never {
    this.#host.limited?.(limit);
    this.announce(encodeCbor({ text: `the channel ends: too many ${limit}` }));
    this.goaway(SIGNED_CODES.CALM_DOWN);
    this.flush();
    throw new ChannelError('ERR_CHANNEL_LIMIT', `the device sends too many ${limit}`);
  }

  #break(): void {
    this.destroy(SIGNED_CODES.CANCELLED);
    this.#host.broken?.();
  }

  #scheduleFlush(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    this.#host.schedule(this.#flush);
  }

  #queueControl(frame: Frame): void {
    if (this.#closed) return;
    if (this.#control.length >= MAX_CONTROL_FRAMES) {
      this.#host.limited?.('control');
      if (!this.#receiving) return this.#break();
      // Thrown by `receive`: consumers of streams, which may stand in between, do not take it for theirs.
      this.#fault = new ChannelError('ERR_CHANNEL_LIMIT', 'the peer does not read its control frames');
      return this.destroy(SIGNED_CODES.CANCELLED);
    }
    this.#control.push(frame);
    this.#scheduleFlush();
  }

  /** Fills the scratch record; gives its length, 0 when there is nothing to send. */
  #compose(): number {
    let offset = this.#composeControl();
    for (const stream of this.#ready) {
      const room = MAX_RECORD_BYTES - offset;
      if (room < FRAME_HEAD_BYTES + 2) break;
      this.#ready.delete(stream);
      if (!stream.sendable) continue;
      if (this.#sendCredit === 0 && stream.needsCredit) {
        this.#starved.add(stream);
        continue;
      }
      const { next, sent } = stream.writeNext(scratch, offset, { room, credit: this.#sendCredit });
      offset = next;
      this.#sendCredit -= sent;
      if (stream.sendable) this.#ready.add(stream);
    }
    return offset;
  }

  #composeControl(): number {
    let offset = 0;
    let taken = 0;
    for (const frame of this.#control) {
      if (offset + FRAME_HEAD_BYTES + frame.data.length > MAX_RECORD_BYTES) break;
      offset = writeFrame(scratch, offset, frame);
      taken += 1;
    }
    this.#control = taken === this.#control.length ? [] : this.#control.slice(taken);
    return offset;
  }

  #handle(frame: Frame): void {
    switch (frame.type) {
      case FRAME_TYPES.OPEN:
        return this.#handleOpen(frame);
      case FRAME_TYPES.DATA:
        return this.#handleData(frame);
      case FRAME_TYPES.RESET:
        return this.#handleReset(frame);
      case FRAME_TYPES.WINDOW:
        return this.#handleWindow(frame);
      case FRAME_TYPES.PING:
        if (this.#role === 'proxy' && !this.#pings.take(this.#host.now())) this.#calmDown('pings');
        return this.#queueControl({ type: FRAME_TYPES.PONG, flags: 0, stream: 0, data: copyBytes(frame.data) });
      case FRAME_TYPES.PONG:
        return this.#host.pong?.(frame.data);
      case FRAME_TYPES.GOAWAY:
        return this.#handleGoaway(frame);
      case FRAME_TYPES.CONTEXT:
        demand(this.#role === 'proxy', 'ERR_CHANNEL_FRAME', 'only a device sends CONTEXT');
        return this.#handleContext(frame.data);
      case FRAME_TYPES.NOTICE:
        demand(this.#role === 'device', 'ERR_CHANNEL_FRAME', 'only a Proxy sends NOTICE');
        return this.#host.notice?.(frame.data);
    }
  }

  /** The same app context again changes nothing; a new one costs a look at every stream. */
  #handleContext(cbor: Uint8Array): void {
    if (equalBytes(cbor, this.#context)) return;
    if (!this.#contexts.take(this.#host.now())) this.#calmDown('contexts');
    // One with evidence is long, and never sent twice.
    this.#context = cbor.length > MAX_KEPT_CONTEXT_BYTES ? EMPTY : copyBytes(cbor);
    this.#host.context?.(cbor);
  }

  #handleOpen(frame: Frame): void {
    demand(this.#role === 'proxy', 'ERR_CHANNEL_FRAME', 'only a device opens streams');
    const rising = frame.stream % 2 === 1 && frame.stream > this.#lastStream;
    demand(rising, 'ERR_CHANNEL_FRAME', 'stream ids are odd and rise');
    const refusal = this.#refusalOfOpen();
    const data = frame.data.subarray(1);
    this.#takeChannelCredit(data.length);
    if (refusal !== undefined) {
      // What is taken is paced by its own limit; what is refused would cost nobody anything.
      this.spend(1);
      this.#lastStream = frame.stream;
      this.#releaseChannel(data.length);
      return this.#reset(frame.stream, refusal, this.#words);
    }
    demand(data.length <= this.#limits.streamWindowBytes, 'ERR_CHANNEL_FLOW', 'data beyond the credit of the stream');
    const stream = this.#addStream(frame.stream, frame.data[0]!, false);
    stream.sink = this.#host.accept?.(stream);
    stream.receive(data, (frame.flags & FLAG_FIN) !== 0);
  }

  #refusalOfOpen(): number | undefined {
    if (this.#goingAway) return SIGNED_CODES.NOT_PROCESSED;
    this.#words = undefined;
    if (this.#streams.size >= this.#limits.streams) return this.#beyond('streams', SIGNED_CODES.STREAM_LIMIT);
    if (!this.#opens.take(this.#host.now())) return this.#beyond('opens', SIGNED_CODES.CALM_DOWN);
    return this.#host.refusal?.();
  }

  #beyond(limit: 'streams' | 'opens', code: number): number {
    this.#host.limited?.(limit);
    this.#words =
      limit === 'opens' ? 'streams are opened too fast' : `more than ${this.#limits.streams} streams are open`;
    return code;
  }

  #handleData(frame: Frame): void {
    demand(frame.stream <= this.#lastStream, 'ERR_CHANNEL_FRAME', 'the stream was never opened');
    this.#takeChannelCredit(frame.data.length);
    const stream = this.#streams.get(frame.stream);
    if (!stream || stream.remoteClosed) {
      demand(!stream || stream.closed, 'ERR_CHANNEL_FRAME', 'data after the end of the stream');
      return this.#releaseChannel(frame.data.length);
    }
    demand(frame.data.length <= stream.receiveCredit, 'ERR_CHANNEL_FLOW', 'data beyond the credit of the stream');
    stream.receive(frame.data, (frame.flags & FLAG_FIN) !== 0);
  }

  #handleReset(frame: Frame): void {
    demand(frame.stream <= this.#lastStream, 'ERR_CHANNEL_FRAME', 'the stream was never opened');
    if (this.#role === 'proxy' && !this.#resets.take(this.#host.now())) this.#calmDown('resets');
    const stream = this.#streams.get(frame.stream);
    if (!stream || stream.closed) return;
    this.#ready.delete(stream);
    const { code, words } = decodeReset(frame.data);
    const isHearsay = this.#role === 'device' && OVER.has(code);
    stream.abort(isHearsay ? SIGNED_CODES.CANCELLED : code, words);
  }

  #handleWindow(frame: Frame): void {
    const delta = decodeUint(frame.data, 0, 4);
    if (frame.stream === 0) {
      this.#sendCredit += delta;
      demand(this.#sendCredit <= MAX_WINDOW, 'ERR_CHANNEL_FLOW', 'the window of the channel is too large');
      for (const stream of this.#starved) this.ready(stream);
      this.#starved.clear();
      return;
    }
    demand(frame.stream <= this.#lastStream, 'ERR_CHANNEL_FRAME', 'the stream was never opened');
    const stream = this.#streams.get(frame.stream);
    if (!stream) return;
    demand(stream.sendCredit + delta <= MAX_WINDOW, 'ERR_CHANNEL_FLOW', 'the window of a stream is too large');
    stream.credit(delta);
    this.ready(stream);
  }

  #handleGoaway(frame: Frame): void {
    this.#goingAway = true;
    const last = decodeUint(frame.data, 0, 4);
    // Streams that crossed this frame on their way were never taken: whoever opened them may try elsewhere.
    for (const stream of this.openStreams()) {
      if (stream.id <= last || stream.closed) continue;
      this.#ready.delete(stream);
      stream.abort(SIGNED_CODES.NOT_PROCESSED);
    }
    this.#host.goaway?.(last, decodeUint(frame.data, 4, 2));
  }

  #takeChannelCredit(bytes: number): void {
    demand(bytes <= this.#receiveCredit, 'ERR_CHANNEL_FLOW', 'data beyond the credit of the channel');
    this.#receiveCredit -= bytes;
  }

  #releaseChannel(bytes: number): void {
    this.#unreleased += bytes;
    if (this.#unreleased < this.#limits.channelWindowBytes / 2) return;
    const delta = this.#unreleased;
    this.#unreleased = 0;
    this.#receiveCredit += delta;
    this.#queueControl({ type: FRAME_TYPES.WINDOW, flags: 0, stream: 0, data: encodeUint(delta, 4) });
  }

  #reset(stream: number, code: number, words?: string): void {
    this.#queueControl({ type: FRAME_TYPES.RESET, flags: 0, stream, data: encodeReset(code, words) });
  }
}
