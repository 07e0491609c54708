import type { Socket } from 'node:net';
import { type ChannelStream, concat, decodeText, EMPTY, type SignedCode } from '@sallyport/channel';
import type { Backend, ResourceGrant } from '@sallyport/security-api';
import { type Guard, guardWith } from '@sallyport/telemetry';
import { isSameBackend } from '../backend/backends.ts';
import { type BackendError, wordsOf } from '../backend/errors.ts';
import { listenTo } from '../backend/socket-events.ts';
import { limitWords, timeLimitsOf } from '../backend/time-limits.ts';
import { Gate, type Passer } from '../serving/gate.ts';
import { type Exchange, resetRefused, type StreamHost, type StreamPlace } from './exchange.ts';
import { Pieces } from './pieces.ts';

/** What may be done with a connection without writing to its backend. */
type SocketFlow = Pick<Socket, 'writableLength' | 'resume' | 'resetAndDestroy'>;

/** A stream of kind 3: raw bytes to a TCP resource (SPEC.md, section 7). `LP8(resource)`, then the bytes. */
export class TcpExchange implements Exchange, Passer<Socket> {
  readonly #host: StreamHost;
  readonly #stream: ChannelStream;
  #head: Uint8Array = EMPTY;
  #gate: Gate<Socket, SocketFlow> | undefined;
  #authority = '';
  /** The connection until it stands. */
  #dialled: { destroy(): void } | undefined;
  /** Bytes that wait: for the connection, or for rights that are being read. Their credit is not given back. */
  #held: Buffer[] = [];
  /** Small pieces wait while others are on their way: the socket would keep each of them by itself. */
  readonly #pieces: Pieces = new Pieces((bytes) => void this.#held.push(Buffer.from(bytes)));
  readonly #guard: Guard = guardWith((error) => {
    this.#host.handlerFailed(error);
    this.refuse('BACKEND_FAILED');
  });
  #finished = false;
  #over = false;

  constructor({ host, stream }: StreamPlace) {
    this.#host = host;
    this.#stream = stream;
  }

  data(bytes: Uint8Array): void {
    if (this.#over) return this.#stream.consume(bytes.length);
    if (this.#gate) return this.#toBackend(this.#gate, bytes);
    this.#head = concat(this.#head, bytes);
    const length = 1 + (this.#head[0] ?? 0);
    if (this.#head.length < length) return this.#stream.consume(bytes.length);
    this.#stream.consume(bytes.length - (this.#head.length - length));
    const authority = readName(this.#head.subarray(1, length));
    this.#authority = authority;
    this.#gate = new Gate<Socket, SocketFlow>(this.#host, this, { kind: 'tcp', authority, method: '', path: '' });
    if (this.#head.length > length) this.#held.push(Buffer.from(this.#head.subarray(length)));
    this.#gate.enter();
  }

  end(): void {
    if (!this.#gate) return this.refuse('REQUEST_REFUSED', 'the stream names no resource');
    this.#finished = true;
    this.#pieces.flush();
    this.#gate.write();
  }

  reset(): void {
    this.#over = true;
    this.#destroy();
    this.#stream.settle();
  }

  recheck(): void {
    const refused = this.#over ? undefined : this.#gate?.recheck();
    if (refused) this.refuse(refused);
  }

  drain(): void {
    this.#gate?.flow?.resume();
  }

  // What the gate tells.

  get over(): boolean {
    return this.#over;
  }

  admitted({ authority: under, backend }: ResourceGrant): void {
    const connected = this.#guard((socket: Socket) => this.#connected(socket, backend));
    try {
      const failed = this.#guard((error: BackendError) => this.#failed(error));
      const asker = { authority: this.#authority, under, tenant: this.#host.tenant };
      this.#dialled = this.#host.backends.dial(backend, asker, { connected, failed }, { allowHalfOpen: true });
    } catch (error) {
      this.#failed(error as BackendError);
    }
  }

  /** Sends what was held, and the end behind it. */
  pass(socket: Socket): void {
    const held = this.#held;
    this.#held = [];
    for (const bytes of held)
      socket.write(
        bytes,
        this.#guard(() => this.#written(bytes)),
      );
    if (this.#finished) socket.end();
  }

  refuse(code: SignedCode, words?: string): void {
    if (this.#over) return;
    this.#over = true;
    resetRefused({ host: this.#host, stream: this.#stream }, { kind: 'tcp', gate: this.#gate, code, words });
    this.#destroy();
    this.#stream.settle();
  }

  #connected(socket: Socket, asked: Backend): void {
    const gate = this.#gate!;
    // The resource may have moved meanwhile: nothing was sent to where it was.
    if (gate.recheck() === undefined && !isSameBackend(gate.resource.backend, asked))
      return this.refuse('NOT_PROCESSED');
    gate.begin();
    gate.open(socket);
    this.#listen(socket, timeLimitsOf(asked).tunnelIdleMs);
    this.#pieces.flush();
    gate.write();
  }

  #listen(socket: Socket, idleMs: number): void {
    socket.setTimeout(idleMs);
    listenTo(socket, this.#guard, {
      data: (chunk) => {
        if (this.#over) return;
        if (!this.#host.mayServe()) return this.refuse('LEASE_LOST');
        if (!this.#stream.write(chunk)) socket.pause();
      },
      ended: () => {
        if (!this.#over) this.#stream.finish();
      },
      broke: () => this.refuse('BACKEND_FAILED'),
      timedOut: () => this.refuse('BACKEND_TIMEOUT', limitWords('nothing moved for', idleMs, 'idle')),
      closed: () => {
        this.#over = true;
        this.#stream.consumeAll();
        this.#stream.settle();
      },
    });
  }

  #toBackend(gate: Gate<Socket, SocketFlow>, bytes: Uint8Array): void {
    this.#pieces.add(bytes);
    if (!gate.flow || gate.flow.writableLength > 0) return this.#pieces.keep();
    this.#pieces.flush();
    gate.write();
  }

  /** The socket took bytes: their credit goes back, and what waited behind them goes on. */
  #written(bytes: Buffer): void {
    this.#stream.consume(bytes.length);
    this.#pieces.flush();
    if (this.#held.length > 0) this.#gate!.write();
  }

  #failed(error: BackendError): void {
    if (this.#over) return;
    this.#host.backendFailed(this.#gate!.resource.name, error);
    this.refuse('BACKEND_UNREACHABLE', wordsOf(error));
  }

  /** A backend must not take a stream that broke off for one that was finished: it gets a reset. */
  #destroy(): void {
    const socket = this.#gate?.flow;
    if (socket) socket.resetAndDestroy();
    else this.#dialled?.destroy();
  }
}

function readName(bytes: Uint8Array): string {
  try {
    return decodeText(bytes);
  } catch {
    return '';
  }
}
