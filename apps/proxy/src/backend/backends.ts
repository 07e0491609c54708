import type { Socket } from 'node:net';
import type { Backend } from '@sallyport/security-api';
import { WebSocket } from 'ws';
import { checkLiteral } from './dial.ts';
import { BackendPool } from './pool.ts';
import type { Tenant } from './tenant.ts';

const WS_MESSAGE_BYTES = 1024 * 1024;
/** How long a backend may take to accept a WebSocket, ms. */
const WS_ACCEPT_MS = 10_000;

/** Connections to backends: a pool of its own for each, so that none can take up another's. One per process. */
export class Backends {
  readonly #pools = new Map<string, BackendPool>();
  /** The same pools by the objects that grants hold, which are asked for with every request. */
  readonly #known = new WeakMap<Backend, BackendPool>();
  readonly #handlerFailed: (error: unknown) => void;

  /** `handlerFailed` hears of what a handler of ours threw: a defect, for the log. */
  constructor(handlerFailed: (error: unknown) => void = () => undefined) {
    this.#handlerFailed = handlerFailed;
  }

  /** The pool of an HTTP backend. @throws BackendError ERR_BACKEND_ADDRESS when its address is not allowed. */
  pool(backend: Backend): BackendPool {
    const known = this.#known.get(backend);
    if (known && !known.closed) return known;
    const key = JSON.stringify(backend);
    const pool = this.#pools.get(key) ?? this.#newPool(key, backend);
    this.#known.set(backend, pool);
    return pool;
  }

  /** True when every one of the backends is congested for a tenant: whatever it asks for would only wait. */
  congested(backends: readonly Backend[], tenant: Tenant): boolean {
    return backends.length > 0 && backends.every((backend) => this.#known.get(backend)?.congested(tenant) === true);
  }

  close(): void {
    for (const pool of this.#pools.values()) pool.close();
  }

  /** Resources change and go: what nobody uses any more is not kept for ever. */
  #closeUnused(): void {
    for (const [key, pool] of this.#pools) {
      if (!pool.unused) continue;
      pool.close();
      this.#pools.delete(key);
    }
  }

  #newPool(key: string, backend: Backend): BackendPool {
    checkLiteral(backend);
    this.#closeUnused();
    const pool = new BackendPool(backend, this.#handlerFailed);
    this.#pools.set(key, pool);
    return pool;
  }
}

/** Asks for a WebSocket over a connection that stands: its first bytes leave in this turn of the event loop. */
export function askWebSocket(
  socket: Socket,
  path: string,
  options: { protocols: string[]; headers: Record<string, string> },
): WebSocket {
  // The address is never used: the connection is there, Host stands in the headers, and the path goes out as it was matched,
  // not as a URL parser writes it.
  return new WebSocket('ws://backend/', options.protocols, {
    finishRequest: (request) => {
      request.path = path;
      request.end();
    },
    createConnection: () => socket,
    headers: options.headers,
    perMessageDeflate: false,
    // Whoever asked looks first, as before every byte.
    autoPong: false,
    maxPayload: WS_MESSAGE_BYTES,
    handshakeTimeout: WS_ACCEPT_MS,
    followRedirects: false,
  });
}
