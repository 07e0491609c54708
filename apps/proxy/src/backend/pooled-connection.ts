import type { Field } from '@sallyport/channel';
import type { BackendRequest, ConnectionSink } from './connection.ts';
import type { BackendError } from './errors.ts';
import type { ResponseParser } from './response-parser.ts';
import type { Share } from './tenant.ts';

/** What a pool keeps: a connection of HTTP/1.1, or a stream's place on one of HTTP/2. One exchange at a time. */
export interface PooledConnection {
  /** The channel that it is signed in for, or about to be; nobody else's requests go over it. */
  share: Share | undefined;
  /** A login on it goes on: only its next message may come. */
  login: boolean;
  /** True when exchanges of others share what is under it. */
  readonly multiplexed: boolean;
  /** True when it has served a request before. */
  readonly kept: boolean;
  /** True when nothing of the response to the present request has come. */
  readonly untouched: boolean;
  /** What the response to the present request says of a login of this connection. */
  readonly loginAnswer: ResponseParser['login'];
  /** Sends the head of a request. Only on an idle connection. */
  begin(request: BackendRequest, sink: ConnectionSink): void;
  /** Sends content, which must stay as it is. False when the caller should wait for `room`. */
  write(bytes: Uint8Array): boolean;
  /** The content is complete; trailers go where the protocol takes them. */
  finish(trailers: readonly Field[]): void;
  pause(): void;
  resume(): void;
  /** Ends it while nobody uses it, or gives up what uses it. */
  retire(): void;
  /** Gives the exchange up. Its sink hears `failed`. */
  abort(): void;
  /** Ends what has waited for too long; sooner what waits for a device while others wait for the connection. */
  sweep(now: number, pressed: boolean): void;
}

/** What hears of a connection that is being made: one of the two, once. */
export interface Making {
  connected(connection: PooledConnection): void;
  failed(error: BackendError): void;
}

/** Makes connections of one protocol to one server. */
export interface ConnectionMaker {
  make(tell: Making): void;
  sweep(now: number): void;
  close(): void;
}
