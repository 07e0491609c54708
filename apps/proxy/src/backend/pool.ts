import type { Backend } from '@sallyport/security-api';
import { guardWith } from '@sallyport/telemetry';
import {
  BackendConnection,
  type BackendRequest,
  type BackendSink,
  type ConnectionOwner,
  type ConnectionSink,
} from './connection.ts';
import { CONNECT_TIMEOUT_MS, dial } from './dial.ts';
import { BackendError } from './errors.ts';

/** Connections to one backend at once. */
const MAX_CONNECTIONS = 256;
/** Requests that may wait for a connection: what more of them would wait for is not worth having any more. */
const MAX_WAITING = 2_048;
/** From so many on new streams that could only end here are refused before they are read. */
const CONGESTED = 1_024;
const SWEEP_MS = 1_000;
/** What one read takes at most: with its framing it fits into one record. */
const READ_BYTES = 63 * 1024;
/** Methods that may be sent again when a kept connection turns out to be dead (RFC 9110, section 9.2.2). */
const REPEATABLE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Memory of reads, shared by all connections: whoever reads takes the bytes before the next read. */
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);

/** One request on its way through a pool. */
export interface BackendCall {
  /** Sends the request as soon as there is a connection. The sink may be called before this returns. */
  send(): void;
  /** Sends content, which must stay as it is; only after `connected`. False: wait for `drain`. */
  write(bytes: Uint8Array): boolean;
  finish(): void;
  pause(): void;
  resume(): void;
  /** Gives the request up; its sink hears `failed`. */
  abort(): void;
}

/** Connections to one backend: kept, bounded, each with one exchange at a time. */
export class BackendPool implements ConnectionOwner {
  readonly #backend: Backend;
  readonly #connections = new Set<BackendConnection>();
  readonly #idle: BackendConnection[] = [];
  #waiting: PooledCall[] = [];
  #connecting = 0;
  #closed = false;
  readonly #timer: NodeJS.Timeout;

  /** Hears of what a handler of ours threw: a defect, for the log. */
  readonly handlerFailed: (error: unknown) => void;

  constructor(backend: Backend, handlerFailed: (error: unknown) => void = () => undefined) {
    this.#backend = backend;
    this.handlerFailed = handlerFailed;
    this.#timer = setInterval(
      guardWith(handlerFailed)(() => this.#sweep()),
      SWEEP_MS,
    ).unref();
  }

  /** True while so many requests wait that new ones had better not come. */
  get congested(): boolean {
    return this.#waiting.length >= CONGESTED;
  }

  /** A request that is not sent yet. */
  call(request: BackendRequest, sink: BackendSink): BackendCall {
    return new PooledCall(this, request, sink);
  }

  /** Gives a call an idle connection, or lets it wait for one. */
  assign(call: PooledCall): void {
    const connection = this.#idle.pop();
    if (connection) {
      if (!call.begin(connection, true)) this.#idle.push(connection);
      return;
    }
    if (this.#waiting.length >= MAX_WAITING)
      return call.fail(new BackendError('ERR_BACKEND_BUSY', 'too many requests wait for the backend'));
    this.#waiting.push(call);
    if (this.#connections.size + this.#connecting < MAX_CONNECTIONS) this.#connect();
  }

  /** ConnectionOwner */
  released(connection: BackendConnection): void {
    this.#use(connection, true);
  }

  /** ConnectionOwner */
  gone(connection: BackendConnection): void {
    if (!this.#connections.delete(connection)) return;
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    if (this.#waiting.length > this.#connecting) this.#connect();
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const connection of [...this.#connections]) connection.abort();
    for (const call of this.#waiting.splice(0)) call.fail(new BackendError('ERR_BACKEND_BUSY', 'the Proxy stops'));
  }

  /** Gives a connection to the first call that still wants it. */
  #use(connection: BackendConnection, kept: boolean): void {
    for (let call = this.#nextWaiting(); call; call = this.#nextWaiting()) if (call.begin(connection, kept)) return;
    this.#idle.push(connection);
  }

  #nextWaiting(): PooledCall | undefined {
    for (let call = this.#waiting.shift(); call; call = this.#waiting.shift()) if (!call.over) return call;
    return undefined;
  }

  #connect(): void {
    if (this.#closed) return;
    this.#connecting += 1;
    let connection: BackendConnection | undefined;
    const read = (bytes: Buffer): void => {
      if (connection) connection.read(bytes);
      else socket.destroy(new Error('bytes before the connection stood'));
    };
    const callback = (length: number, bytes: Uint8Array): boolean => {
      read(Buffer.from(bytes.buffer, bytes.byteOffset, length));
      return true;
    };
    const guard = guardWith((error) => {
      this.handlerFailed(error);
      socket.destroy();
    });
    const socket = dial(
      this.#backend,
      {
        connected: guard(() => {
          this.#connecting -= 1;
          connection = new BackendConnection(socket, this);
          this.#connections.add(connection);
          this.#use(connection, false);
        }),
        failed: guard((error: BackendError) => {
          this.#connecting -= 1;
          this.#nextWaiting()?.fail(error);
          if (this.#waiting.length > this.#connecting) this.#connect();
        }),
      },
      { onread: { buffer: readBuffer, callback } },
    );
    if (this.#backend.url.startsWith('https:')) socket.on('data', read);
  }

  #sweep(): void {
    const now = performance.now();
    for (const connection of [...this.#connections]) connection.sweep(now);
    const late = this.#waiting.filter(({ since }) => now - since > CONNECT_TIMEOUT_MS);
    if (late.length === 0) return;
    this.#waiting = this.#waiting.filter((call) => !late.includes(call));
    for (const call of late) call.fail(new BackendError('ERR_BACKEND_BUSY', 'no connection to the backend was free'));
  }
}

/** A request while it waits, and then on its connection. */
class PooledCall implements BackendCall, ConnectionSink {
  readonly since: number = performance.now();
  readonly #pool: BackendPool;
  readonly #request: BackendRequest;
  readonly #sink: BackendSink;
  #connection: BackendConnection | undefined;
  #mayRepeat = false;
  over = false;

  constructor(pool: BackendPool, request: BackendRequest, sink: BackendSink) {
    this.#pool = pool;
    this.#request = request;
    this.#sink = sink;
  }

  send(): void {
    this.#pool.assign(this);
  }

  /** Begins on a connection; false when the request is not wanted any more. */
  begin(connection: BackendConnection, kept: boolean): boolean {
    if (this.over || !this.#sink.connected()) {
      this.over = true;
      return false;
    }
    this.#connection = connection;
    this.#mayRepeat = kept && this.#request.content === 'none' && REPEATABLE.has(this.#request.method);
    connection.begin(this.#request, this);
    return true;
  }

  write(bytes: Uint8Array): boolean {
    return this.#connection?.write(bytes) ?? false;
  }

  finish(): void {
    this.#connection?.finish();
  }

  pause(): void {
    this.#connection?.pause();
  }

  resume(): void {
    this.#connection?.resume();
  }

  abort(): void {
    if (this.over) return;
    if (this.#connection) return this.#connection.abort();
    this.fail(new BackendError('ERR_BACKEND_ABORTED', 'the request was given up'));
  }

  fail(error: BackendError): void {
    if (this.over) return;
    this.over = true;
    this.#sink.failed(error);
  }

  begun(): void {
    this.#sink.begun();
  }

  drain(): void {
    this.#sink.drain();
  }

  pushed(): void {
    this.#sink.pushed();
  }

  head(...head: Parameters<BackendSink['head']>): void {
    this.#sink.head(...head);
  }

  body(bytes: Uint8Array): void {
    this.#sink.body(bytes);
  }

  end(): void {
    this.over = true;
    this.#connection = undefined;
    this.#sink.end();
  }

  /** A kept connection that dies before it answers was most likely closed while idle: once more on another one. */
  failed(error: BackendError): void {
    const stale = error.code === 'ERR_BACKEND_CLOSED' && this.#connection?.untouched === true;
    this.#connection = undefined;
    if (!stale || !this.#mayRepeat || this.over) return this.fail(error);
    this.#pool.assign(this);
  }
}
