import { connect as connectTcp, isIP, type Socket } from 'node:net';
import type { Backend } from '@sallyport/security-api';
import { WebSocket } from 'ws';
import { hostOf, mayReach, pinnedLookup } from './address.ts';
import { BackendError } from './errors.ts';
import { BackendPool, CONNECT_TIMEOUT_MS } from './pool.ts';

const WS_MESSAGE_BYTES = 1024 * 1024;

/** Connections to backends: a pool of its own for each, so that none can take up another's. One per process. */
export class Backends {
  readonly #pools = new Map<string, BackendPool>();
  /** The same pools by the objects that grants hold, which are asked for with every request. */
  readonly #known = new WeakMap<Backend, BackendPool>();

  /** The pool of an HTTP backend. @throws BackendError ERR_BACKEND_ADDRESS when its address is not allowed. */
  pool(backend: Backend): BackendPool {
    const known = this.#known.get(backend);
    if (known) return known;
    const key = JSON.stringify(backend);
    const pool = this.#pools.get(key) ?? this.#newPool(key, backend);
    this.#known.set(backend, pool);
    return pool;
  }

  /** True when every one of the backends is congested: whatever is asked for would only wait. */
  congested(backends: readonly Backend[]): boolean {
    return backends.length > 0 && backends.every((backend) => this.#known.get(backend)?.congested === true);
  }

  /** Opens a WebSocket to an HTTP backend. */
  webSocket(
    backend: Backend,
    path: string,
    options: { protocols: string[]; headers: Record<string, string> },
  ): WebSocket {
    checkLiteral(backend);
    return new WebSocket(`${backend.url.replace(/^http/, 'ws')}${path}`, options.protocols, {
      headers: options.headers,
      perMessageDeflate: false,
      maxPayload: WS_MESSAGE_BYTES,
      handshakeTimeout: CONNECT_TIMEOUT_MS,
      followRedirects: false,
      ...socketOptions(backend),
    });
  }

  /** Opens a TCP connection. */
  tcp(backend: Backend): Socket {
    checkLiteral(backend);
    const socket = connectTcp({
      host: hostOf(backend.url),
      port: Number(new URL(backend.url).port),
      lookup: pinnedLookup(backend.networks),
      allowHalfOpen: true,
    });
    socket.setTimeout(CONNECT_TIMEOUT_MS, () =>
      socket.destroy(new BackendError('ERR_BACKEND_UNREACHABLE', 'the backend does not answer')),
    );
    socket.once('connect', () => socket.setTimeout(0));
    return socket;
  }

  close(): void {
    for (const pool of this.#pools.values()) pool.close();
  }

  #newPool(key: string, backend: Backend): BackendPool {
    checkLiteral(backend);
    const pool = new BackendPool(backend);
    this.#pools.set(key, pool);
    return pool;
  }
}

function socketOptions({ networks, ca }: Backend): { lookup: ReturnType<typeof pinnedLookup>; ca?: string } {
  return { lookup: pinnedLookup(networks), ...(ca === undefined ? {} : { ca }) };
}

/** Sockets look names up, but take an address as it is: those are checked here. */
function checkLiteral({ url, networks }: Backend): void {
  const host = hostOf(url);
  if (isIP(host) && !mayReach(host, networks)) {
    throw new BackendError('ERR_BACKEND_ADDRESS', 'the backend has no address in an allowed network');
  }
}
