import type { Socket } from 'node:net';
import {
  ChannelError,
  type ChannelStream,
  checkRequest,
  checkResponse,
  copyBytes,
  EMPTY,
  encodeResponseHead,
  encodeWsClose,
  encodeWsPiece,
  encodeWsPieceHead,
  type Field,
  formatWsClose,
  type HttpDecoder,
  type RequestHead,
  requestDecoder,
  type SignedCode,
  WS_OPCODES,
  type WsClose,
  type WsPiece,
  WsPieceDecoder,
} from '@sallyport/channel';
import type { Backend, ResourceGrant } from '@sallyport/security-api';
import { type Guard, guardWith } from '@sallyport/telemetry';
import { isSameBackend } from '../backend/backends.ts';
import { type BackendError, invalidAnswer, wordsOf } from '../backend/errors.ts';
import { headLimitsOf } from '../backend/head-limits.ts';
import { timeLimitsOf } from '../backend/time-limits.ts';
import { BackendWebSocket, type WebSocketSink } from '../backend/web-socket.ts';
import { formatFrame } from '../backend/web-socket-frames.ts';
import { Gate, type Passer } from '../serving/gate.ts';
import { mappedFields } from './answered-fields.ts';
import { type Exchange, resetRefused, type StreamHost, type StreamPlace } from './exchange.ts';
import { facingOf } from './facing.ts';
import { HeadMemory } from './head-memory.ts';
import { codeOf } from './http-answer.ts';
import { requestFields } from './request-fields.ts';

/** Messages below this are charged, because each costs more than its bytes. */
const SMALL_MESSAGE_BYTES = 256;
/** Parts of messages from this size on go on as they are; smaller ones are put together. */
const LARGE_PART_BYTES = 4_096;
/** Fields of the handshake, which each hop makes itself. */
const OWN_FIELDS = /^sec-websocket-|^content-length$/;
const NO_CLOSE: WsClose = { code: undefined, reason: '' };

/** A connection that stands, and then the WebSocket on it. */
type Way = Socket | BackendWebSocket;
/** What may be done with either without writing to the backend. */
interface WayFlow {
  pause(): unknown;
  resume(): unknown;
  destroy(): unknown;
}

/**
 * A stream of kind 2: a WebSocket to a backend (SPEC.md, section 7). A piece of a message is a frame, in both directions: nothing
 * is held but a piece that is not whole.
 */
export class WebSocketExchange implements Exchange, Passer<Way>, WebSocketSink {
  readonly #host: StreamHost;
  readonly #stream: ChannelStream;
  readonly #decoder: HttpDecoder;
  /** Bytes of the device that are lent while the gate is asked. */
  #lent: Uint8Array | undefined;
  /** Pieces of the device, and what waits to be read as such: until the backend has accepted, or rights are known. */
  readonly #pieces = new WsPieceDecoder();
  #head: RequestHead | undefined;
  #gate: Gate<Way, WayFlow> | undefined;
  /** The backend as it was when it was dialled. */
  #asked: Backend | undefined;
  /** The connection until the backend is asked for a WebSocket over it. */
  #dialled: { destroy(): void } | undefined;
  /** Bytes for the device that one read of the backend made. */
  #out: Uint8Array[] = [];
  #open = false;
  #refused = false;
  #closeSaid = false;
  #over = false;
  /** Bytes of the device's message that is under way. */
  #messageBytes = 0;
  #maxMessageBytes = 0;
  #received = 0;
  /** Bytes of pieces for which the device has no credit back. */
  #uncredited = 0;
  /** Memory of a head that came in parts. */
  #headMemory: HeadMemory | undefined;
  readonly #guard: Guard = guardWith((error) => {
    this.#host.handlerFailed(error);
    this.refuse('BACKEND_FAILED');
  });

  constructor({ host, stream }: StreamPlace) {
    this.#host = host;
    this.#stream = stream;
    this.#decoder = requestDecoder(
      { head: (head) => this.#start(head), content: (bytes) => this.#content(bytes), trailers: () => undefined },
      'raw',
      host.headLimits,
    );
  }

  // What the channel tells.

  data(bytes: Uint8Array): void {
    if (this.#over || this.#refused) return this.#stream.consume(bytes.length);
    const before = this.#received;
    this.#guarded(() => this.#decoder.push(bytes));
    if (!this.#head && !this.#over) return this.#unfinished(bytes.length);
    this.#headMemory?.end();
    // The head is given back at once, messages when the backend has taken them.
    this.#stream.consume(bytes.length - (this.#received - before));
  }

  #unfinished(bytes: number): void {
    const place = { budget: this.#host.heads, credit: (given: number) => this.#stream.consume(given) };
    this.#headMemory ??= new HeadMemory(place);
    this.#headMemory.add(bytes);
  }

  end(): void {
    if (this.#over || this.#refused) return;
    if (!this.#open) return this.refuse('REQUEST_REFUSED', 'the stream ended before its WebSocket was open');
    if (!this.#closeSaid) this.#guarded(() => this.#take(encodeWsClose(NO_CLOSE)));
  }

  reset(): void {
    this.#over = true;
    this.#stop();
  }

  recheck(): void {
    const refused = this.#over ? undefined : this.#gate?.recheck();
    if (refused) this.refuse(refused);
  }

  drain(): void {
    this.#gate?.flow?.resume();
  }

  // The way to the backend.

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      this.#host.refused(error.message);
      this.refuse(error.tooLarge ? 'FIELDS_TOO_LARGE' : 'REQUEST_REFUSED', error.message);
    }
  }

  #start(head: RequestHead): void {
    checkRequest(head, { methods: ['GET'], paths: 'exact' });
    const { authority, method, path } = head;
    this.#head = head;
    this.#gate = new Gate<Way, WayFlow>(this.#host, this, { kind: 'http', authority, method, path });
    this.#gate.enter();
  }

  // What the gate tells.

  get over(): boolean {
    return this.#over;
  }

  admitted({ authority: under, backend }: ResourceGrant): void {
    this.#asked = backend;
    const connected = this.#guard((socket: Socket) => this.#connected(socket));
    const failed = this.#guard((error: BackendError) => this.failed(error));
    try {
      const asker = { authority: this.#head!.authority, under, tenant: this.#host.tenant };
      this.#dialled = this.#host.backends.dial(backend, asker, { connected, failed });
    } catch (error) {
      this.failed(error as BackendError);
    }
  }

  /** On a connection that is new the handshake goes out, later what the device has sent. */
  pass(way: Way): void {
    if (!(way instanceof BackendWebSocket)) return this.#ask(way);
    if (!this.#open) return;
    const bytes = this.#lent ?? EMPTY;
    this.#lent = undefined;
    this.#guarded(() => this.#send(way, this.#pieces.push(bytes)));
  }

  refuse(code: SignedCode, words?: string): void {
    if (this.#over) return;
    this.#over = true;
    resetRefused({ host: this.#host, stream: this.#stream }, { kind: 'websocket', gate: this.#gate, code, words });
    this.#stop();
  }

  #connected(socket: Socket): void {
    if (this.#over) return void socket.destroy();
    // It may break while rights are being read.
    socket.on('error', () => undefined);
    this.#gate!.open(socket);
    this.#gate!.write();
  }

  #ask(socket: Socket): void {
    const gate = this.#gate!;
    const { resource } = gate;
    // The resource may have moved meanwhile, or the backend closed the connection: nothing was sent.
    if (!isSameBackend(resource.backend, this.#asked!) || socket.destroyed) return this.refuse('NOT_PROCESSED');
    this.#maxMessageBytes = resource.backend.webSocketMessageBytes ?? this.#host.webSocketMessageBytes;
    const limits = {
      ...timeLimitsOf(resource.backend),
      maxMessageBytes: this.#maxMessageBytes,
      heads: headLimitsOf(resource.backend),
    };
    const head = this.#head!;
    const fields = requestFields(head, this.#host.deviceAddress, resource).filter(([name]) => !OWN_FIELDS.test(name));
    gate.begin();
    this.#dialled = undefined;
    const call = new BackendWebSocket(socket, { sink: this, limits, guard: this.#guard });
    gate.open(call);
    const { prefix = '', host = head.authority } = resource.backend;
    call.ask({ path: `${prefix}${head.path}`, authority: host, fields, protocols: protocolsOf(head.fields) });
  }

  #content(bytes: Uint8Array): void {
    this.#received += bytes.length;
    this.#uncredited += bytes.length;
    this.#take(bytes);
  }

  /** Pieces of the device: into the gate once the backend has accepted, or to what waits for it. */
  #take(bytes: Uint8Array): void {
    this.#lent = bytes;
    if (this.#open) this.#gate!.write();
    if (this.#lent) this.#pieces.keep(bytes);
    this.#lent = undefined;
  }

  /** Sends pieces as frames. Their credit goes back when the socket has taken them: a backend that does not read holds its device back. */
  #send(way: BackendWebSocket, pieces: readonly WsPiece[]): void {
    const frames: Uint8Array[] = [];
    let small = 0;
    for (const piece of pieces) {
      if (piece.bytes.length < SMALL_MESSAGE_BYTES) small += 1;
      if (piece.opcode === WS_OPCODES.close) this.#closeSaid = true;
      else if (this.#fits(piece)) frames.push(formatFrame(piece.opcode, !piece.more, piece.bytes));
      else return this.#endBoth(way, { code: 1009, reason: `a message has more than ${this.#maxMessageBytes} bytes` });
    }
    if (small > 1) this.#host.spend(small);
    const credit = this.#uncredited - this.#pieces.heldBytes;
    this.#uncredited -= credit;
    const taken = (): void => this.#stream.consume(credit);
    if (frames.length === 0) taken();
    else way.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames), taken);
    // Behind a close come no pieces, but maybe the beginning of something: it was said then.
    const last = pieces.at(-1);
    if (last?.opcode === WS_OPCODES.close) way.close(last.bytes);
  }

  /** False when the message that the piece belongs to is too long. */
  #fits({ opcode, more, bytes }: WsPiece): boolean {
    if (opcode >= WS_OPCODES.close) return true;
    this.#messageBytes += bytes.length;
    const fits = this.#messageBytes <= this.#maxMessageBytes;
    if (!more) this.#messageBytes = 0;
    return fits;
  }

  // What the backend tells.

  opened(fields: readonly Field[]): void {
    if (this.#over) return this.#stop();
    if (!this.#answer(200, fields)) return;
    this.#open = true;
    this.#gate!.write();
  }

  refused(status: number, fields: readonly Field[]): void {
    if (this.#over) return;
    this.#refused = true;
    this.#stream.consume(this.#uncredited);
    // An answer of that kind is no upgrade, and would be read as one.
    this.#answer(status <= 299 ? 502 : status, fields);
  }

  /** The head of the backend's answer; false when it breaks a rule, which ends the stream. */
  #answer(status: number, all: readonly Field[]): boolean {
    try {
      const checked = checkResponse({ status, fields: all });
      const fields = mappedFields(
        checked,
        facingOf(this.#host, { head: this.#head!, backend: this.#gate!.resource.backend }),
      );
      this.#stream.write(encodeResponseHead({ status, fields: this.#refused ? fields : fields.filter(isForDevice) }));
      return true;
    } catch (error) {
      this.failed(invalidAnswer((error as Error).message));
      return false;
    }
  }

  body(bytes: Uint8Array): void {
    if (!this.#over) this.#out.push(copyBytes(bytes));
  }

  answered(): void {
    this.pushed();
    if (this.#over) return;
    this.#over = true;
    this.#stream.finish();
    this.#host.count('websocket', 'done');
  }

  part(opcode: number, more: boolean, bytes: Buffer): void {
    if (bytes.length < LARGE_PART_BYTES) this.#out.push(encodeWsPiece({ opcode, more, bytes }));
    else this.#out.push(encodeWsPieceHead({ opcode, more }, bytes.length), bytes);
  }

  pong(bytes: Buffer): void {
    this.#out.push(encodeWsPiece({ opcode: WS_OPCODES.pong, more: false, bytes }));
  }

  /** What one read of the backend brought goes on together. */
  pushed(): void {
    const out = this.#out;
    this.#out = [];
    if (this.#over || out.length === 0) return;
    if (!this.#host.mayServe()) return this.refuse('LEASE_LOST');
    if (!this.#write(out)) this.#gate?.flow?.pause();
  }

  spend(smallFrames: number): number {
    return this.#host.backends.spend(this.#gate!.resource.backend, smallFrames);
  }

  mayAnswer(): boolean {
    return !this.#over && this.#gate!.look() === 'pass';
  }

  close(close: WsClose): void {
    this.pushed();
    if (!this.#over) this.#finish(close, 'done');
  }

  idle(words: string): void {
    if (!this.#over) this.#finish({ code: 1001, reason: words }, 'BACKEND_TIMEOUT');
  }

  tooLong(words: string): void {
    this.pushed();
    if (!this.#over) this.#finish({ code: 1009, reason: words }, 'BACKEND_FAILED');
  }

  failed(error: BackendError): void {
    if (this.#over) return;
    this.pushed();
    if (this.#over) return;
    this.#host.backendFailed(this.#gate!.resource.name, error);
    this.refuse(codeOf(error), wordsOf(error));
  }

  gone(): void {
    this.#over = true;
    this.#stream.settle();
  }

  /** Small parts are put together; large ones go on as they are. */
  #write(parts: readonly Uint8Array[]): boolean {
    let room = true;
    let small: Uint8Array[] = [];
    const flush = (): void => {
      if (small.length > 0) room = this.#stream.write(small.length === 1 ? small[0]! : Buffer.concat(small));
      small = [];
    };
    for (const part of parts) {
      if (part.length < LARGE_PART_BYTES) small.push(part);
      else {
        flush();
        room = this.#stream.write(part);
      }
    }
    flush();
    return room;
  }

  // How it ends.

  /** The device hears a close; what it still sends is for nobody. */
  #finish(close: WsClose, outcome: 'done' | SignedCode): void {
    this.#over = true;
    this.#stream.consume(this.#uncredited);
    this.#stream.write(encodeWsClose(close));
    this.#stream.finish();
    this.#host.count('websocket', outcome);
  }

  /** Both sides hear a close of ours. */
  #endBoth(way: BackendWebSocket, close: WsClose): void {
    way.close(formatWsClose(close));
    this.#finish(close, 'REQUEST_BROKEN');
  }

  /** Ends all work for the stream; what is not under way is settled at once. */
  #stop(): void {
    this.#headMemory?.end();
    this.#dialled?.destroy();
    // Once it was asked, its end says when nothing is under way any more.
    if (this.#gate?.begun) this.#gate.flow?.destroy();
    else this.#stream.settle();
  }
}

/** Of the handshake's own fields a device learns the subprotocol: the others are between the Proxy and the backend. */
function isForDevice([name]: Field): boolean {
  return name === 'sec-websocket-protocol' || !OWN_FIELDS.test(name);
}

function protocolsOf(fields: readonly Field[]): string[] {
  return fields
    .filter(([name]) => name === 'sec-websocket-protocol')
    .flatMap(([, value]) => value.split(','))
    .map((protocol) => protocol.trim())
    .filter(Boolean);
}
