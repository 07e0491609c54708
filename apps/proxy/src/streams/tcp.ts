import type { Socket } from 'node:net';
import { type ChannelStream, concat, decodeText, EMPTY, SIGNED_CODES, type SignedCode } from '@sallyport/channel';
import { type Guard, guardWith } from '@sallyport/telemetry';
import { isSameBackend } from '../backend/backends.ts';
import { type BackendError, wordsOf } from '../backend/errors.ts';
import { limitWords, timeLimitsOf } from '../backend/time-limits.ts';
import { Passage } from '../serving/gate.ts';
import type { Exchange, StreamHost, StreamPlace } from './exchange.ts';
import { Pieces } from './pieces.ts';

/** A stream of kind 3: raw bytes to a TCP resource (SPEC.md, section 7). `LP8(resource)`, then the bytes. */
export class TcpExchange implements Exchange {
  readonly #host: StreamHost;
  readonly #stream: ChannelStream;
  #head: Uint8Array = EMPTY;
  #passage: Passage | undefined;
  /** The connection until it stands. */
  #dialled: { destroy(): void } | undefined;
  #socket: Socket | undefined;
  #connected = false;
  /** Bytes that wait: for the connection, or for rights that are being read. Their credit is not given back. */
  #held: Buffer[] = [];
  /** Small pieces wait while others are on their way: the socket would keep each of them by itself. */
  readonly #pieces: Pieces = new Pieces((bytes) => void this.#held.push(Buffer.from(bytes)));
  readonly #guard: Guard = guardWith((error) => {
    this.#host.handlerFailed(error);
    this.#end('BACKEND_FAILED');
  });
  #waiting = false;
  #finished = false;
  #over = false;

  constructor({ host, stream }: StreamPlace) {
    this.#host = host;
    this.#stream = stream;
  }

  data(bytes: Uint8Array): void {
    if (this.#over) return this.#stream.consume(bytes.length);
    if (this.#passage) return this.#toBackend(bytes);
    this.#head = concat(this.#head, bytes);
    const length = 1 + (this.#head[0] ?? 0);
    if (this.#head.length < length) return this.#stream.consume(bytes.length);
    this.#stream.consume(bytes.length - (this.#head.length - length));
    const authority = readName(this.#head.subarray(1, length));
    this.#passage = new Passage(this.#host, { kind: 'tcp', authority, method: '', path: '' });
    if (this.#head.length > length) this.#held.push(Buffer.from(this.#head.subarray(length)));
    this.#connect(this.#passage, authority);
  }

  end(): void {
    if (!this.#passage) return this.#end('REQUEST_REFUSED', 'the stream names no resource');
    this.#finished = true;
    this.#pieces.flush();
    this.#release();
  }

  reset(): void {
    this.#over = true;
    this.#destroy();
    this.#stream.settle();
  }

  recheck(): void {
    const refused = this.#over ? undefined : this.#passage?.recheck();
    if (refused) this.#end(refused);
  }

  drain(): void {
    this.#socket?.resume();
  }

  #connect(passage: Passage, authority: string): void {
    if (this.#over) return;
    const look = passage.look();
    if (look === 'wait') return this.#host.whenReady(() => this.#connect(passage, authority));
    if (look !== 'pass') return this.#end(look);
    const { backend } = passage.resource;
    const connected = this.#guard((socket: Socket) => {
      // The resource may have moved meanwhile: nothing was sent to where it was.
      if (passage.recheck() === undefined && !isSameBackend(passage.resource.backend, backend))
        return this.#end('NOT_PROCESSED');
      passage.begin();
      this.#connected = true;
      this.#socket = socket;
      this.#listen(socket, timeLimitsOf(backend).tunnelIdleMs);
      this.#pieces.flush();
      this.#release();
    });
    try {
      const failed = this.#guard((error: BackendError) => this.#failed(error));
      const asker = { authority, under: passage.resource.authority, tenant: this.#host.tenant };
      this.#dialled = this.#host.backends.dial(backend, asker, { connected, failed }, { allowHalfOpen: true });
    } catch (error) {
      this.#failed(error as BackendError);
    }
  }

  #listen(socket: Socket, idleMs: number): void {
    const on = (event: string, handler: (...args: never[]) => void): void =>
      void socket.on(event, this.#guard(handler) as (...args: unknown[]) => void);
    on('data', (chunk: Buffer) => {
      if (this.#over) return;
      if (!this.#host.mayServe()) return this.#end('LEASE_LOST');
      if (!this.#stream.write(chunk)) socket.pause();
    });
    on('end', () => {
      if (!this.#over) this.#stream.finish();
    });
    on('error', () => this.#end('BACKEND_FAILED'));
    socket.setTimeout(idleMs);
    on('timeout', () => this.#end('BACKEND_TIMEOUT', limitWords('nothing moved for', idleMs, 'idle')));
    on('close', () => {
      this.#over = true;
      this.#stream.settle();
    });
  }

  #toBackend(bytes: Uint8Array): void {
    this.#pieces.add(bytes);
    if (!this.#connected || this.#socket!.writableLength > 0) return this.#pieces.keep();
    this.#pieces.flush();
    this.#release();
  }

  /** The socket took bytes: their credit goes back, and what waited behind them goes on. */
  #written(bytes: Buffer): void {
    this.#stream.consume(bytes.length);
    this.#pieces.flush();
    if (this.#held.length > 0) this.#release();
  }

  /** Sends what was held, and the end behind it, as soon as they may go. */
  #release(): void {
    if (!this.#connected || this.#over || this.#waiting) return;
    const look = this.#passage!.look();
    if (look === 'wait') return this.#releaseLater();
    if (look !== 'pass') return this.#end(look);
    const held = this.#held;
    this.#held = [];
    for (const bytes of held)
      this.#socket?.write(
        bytes,
        this.#guard(() => this.#written(bytes)),
      );
    if (this.#finished) this.#socket?.end();
  }

  #releaseLater(): void {
    this.#waiting = true;
    this.#host.whenReady(() => {
      this.#waiting = false;
      this.#release();
    });
  }

  #failed(error: BackendError): void {
    if (this.#over) return;
    this.#host.backendFailed(this.#passage!.resource.name, error);
    this.#end('BACKEND_UNREACHABLE', wordsOf(error));
  }

  #end(code: SignedCode, words?: string): void {
    if (this.#over) return;
    this.#over = true;
    const ending = this.#passage?.ending(code) ?? code;
    this.#host.count('tcp', ending);
    this.#stream.reset(SIGNED_CODES[ending], this.#passage?.words(code, words) ?? words);
    this.#destroy();
    this.#stream.settle();
  }

  /** A backend must not take a stream that broke off for one that was finished: it gets a reset. */
  #destroy(): void {
    if (this.#connected) this.#socket?.resetAndDestroy();
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
