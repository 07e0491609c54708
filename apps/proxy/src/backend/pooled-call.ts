import type { Field } from '@sallyport/channel';
import { isSafe } from '@sallyport/channel';
import type { BackendRequest, BackendSink, ConnectionSink } from './connection.ts';
import { type ConnectionLoginStep, loginStep } from './connection-login.ts';
import { BackendError } from './errors.ts';
import type { PooledConnection } from './pooled-connection.ts';
import type { ServerHealth } from './server-health.ts';
import type { Share } from './tenant.ts';

/** How often a request is sent again that a backend did not take. */
const MAX_REFUSALS = 2;
const SHARED_LOGIN = 'it is spoken to in another protocol than NTLM and Negotiate need, HTTP/2';

/** What a call needs of its pool, and no more: a call cannot reach the queue and the other connections. */
export interface CallOwner {
  /** How the server does, when it is one of several. */
  readonly health: ServerHealth | undefined;
  /** Gives the call a connection, or lets it wait for one. */
  assign(call: PooledCall): void;
  /** The call has a connection, or does not have it any more. */
  busy(call: PooledCall, connections: 1 | -1): void;
  /** The call does not wait any more. */
  forget(call: PooledCall): void;
  /** From now on the connection is only for this share's channel. */
  bind(connection: PooledConnection, share: Share): void;
}

/** One request on its way through a pool: while it waits, and then on its connection. */
export class PooledCall implements ConnectionSink {
  /** When it began to wait, ms of the monotonic clock. */
  since = 0;
  over = false;
  readonly share: Share;
  readonly step: ConnectionLoginStep;
  readonly #owner: CallOwner;
  readonly #request: BackendRequest;
  readonly #sink: BackendSink;
  #connection: PooledConnection | undefined;
  #mayRepeat = false;
  #refusals = 0;

  constructor(owner: CallOwner, request: BackendRequest, to: { readonly sink: BackendSink; readonly share: Share }) {
    this.#owner = owner;
    this.#request = request;
    this.#sink = to.sink;
    this.share = to.share;
    this.step = loginStep(request.fields);
  }

  /** Sends the request as soon as there is a connection. The sink may be called before this returns. */
  send(): void {
    this.#owner.assign(this);
  }

  /** Begins on a connection; false when the request is not wanted any more. */
  begin(connection: PooledConnection): boolean {
    if (this.step !== 'none' && connection.multiplexed) {
      this.fail(new BackendError('ERR_BACKEND_PROTOCOL', SHARED_LOGIN, { words: SHARED_LOGIN }));
      return false;
    }
    if (this.over || !this.#sink.connected()) {
      this.over = true;
      return false;
    }
    const { content, method } = this.#request;
    this.#connection = connection;
    this.since = 0;
    this.#mayRepeat = connection.kept && content === 'none' && this.step === 'none' && isSafe(method);
    this.#owner.busy(this, 1);
    if (this.step !== 'none') this.#owner.bind(connection, this.share);
    connection.begin(this.#request, this);
    return true;
  }

  /** Sends content, which must stay as it is; only after `connected`. False: wait for `room`. */
  write(bytes: Uint8Array): boolean {
    return this.#connection?.write(bytes) ?? false;
  }

  /** The content is complete; trailers go where the protocol takes them. */
  finish(trailers: readonly Field[] = []): void {
    this.#connection?.finish(trailers);
  }

  pause(): void {
    this.#connection?.pause();
  }

  resume(): void {
    this.#connection?.resume();
  }

  /** Gives the request up; its sink hears `failed`. */
  abort(): void {
    if (this.over) return;
    if (this.#connection) return this.#connection.abort();
    this.#owner.forget(this);
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

  room(): void {
    this.#sink.room();
  }

  pushed(): void {
    this.#sink.pushed();
  }

  head(...head: Parameters<BackendSink['head']>): void {
    const connection = this.#connection!;
    this.#owner.health?.answered();
    const answer = connection.loginAnswer;
    if (answer !== 'none') this.#owner.bind(connection, this.share);
    // A login goes on when its first message is answered by "unauthorised", and a later one by a next message.
    const [status] = head;
    const refused = status === 401 || status === 407;
    connection.login = refused && this.step !== 'none' && (this.step !== 'later' || answer === 'next');
    this.#sink.head(...head);
  }

  body(bytes: Uint8Array): void {
    this.#sink.body(bytes);
  }

  trailers(fields: readonly Field[]): void {
    this.#sink.trailers?.(fields);
  }

  end(): void {
    this.over = true;
    this.#leave();
    this.#sink.end();
  }

  /**
   * Once more on another connection: when a kept one dies before it answers, which was most likely closed while idle; and when the
   * backend says that it took nothing, as long as all of the request is still here.
   */
  failed(error: BackendError): void {
    const stale = error.code === 'ERR_BACKEND_CLOSED' && this.#connection?.untouched === true;
    const refused = error.code === 'ERR_BACKEND_REFUSED';
    if (!stale) this.#owner.health?.failed(error.code, performance.now());
    this.#leave();
    if (refused || error.code === 'ERR_BACKEND_PROTOCOL') this.#sink.untaken?.();
    const whole = this.#request.content === 'none' && this.#refusals++ < MAX_REFUSALS;
    const again = (stale && this.#mayRepeat) || (refused && whole);
    if (!again || this.over) return this.fail(error);
    this.#owner.assign(this);
  }

  #leave(): void {
    this.#connection = undefined;
    this.#owner.busy(this, -1);
  }
}
