import type { Socket } from 'node:net';
import type { Guard } from '@sallyport/telemetry';
import { BackendError } from './errors.ts';

/** What may happen on a socket to a backend. */
export interface SocketEvents {
  data?(bytes: Buffer): void;
  /** It has taken what was written. */
  drained?(): void;
  /** The backend says nothing more. */
  ended(): void;
  /** It is gone. */
  closed(): void;
  /** It broke; `closed` follows. */
  broke(error: BackendError): void;
  /** Nothing has moved for the time that was set on it. */
  timedOut?(): void;
}

/** Hears of a socket to a backend by guarded handlers. */
export function listenTo(socket: Socket, guard: Guard, events: SocketEvents): void {
  const { data, drained, timedOut } = events;
  if (data) socket.on('data', guard(data.bind(events)));
  if (drained) socket.on('drain', guard(drained.bind(events)));
  if (timedOut) socket.on('timeout', guard(timedOut.bind(events)));
  const on = (event: string, handler: () => void): void => void socket.on(event, guard(handler));
  on('end', () => events.ended());
  on('close', () => events.closed());
  const broke = (cause: Error): void =>
    events.broke(new BackendError('ERR_BACKEND_CLOSED', 'the connection broke', { cause }));
  socket.on('error', guard(broke));
}
