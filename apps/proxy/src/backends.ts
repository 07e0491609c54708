import { connect as connectTcp, isIP, type Socket } from 'node:net';
import type { Backend } from '@sallyport/security-api';
import { buildConnector, Pool } from 'undici';
import { WebSocket } from 'ws';
import { BackendAddressError, mayReach, pinnedLookup } from './backend-address.ts';

const CONNECT_TIMEOUT_MS = 5_000;
const HEADERS_TIMEOUT_MS = 60_000;
/** A body may pause this long: server-sent events and long polls are quiet for a while. */
const BODY_IDLE_MS = 300_000;
const KEEP_ALIVE_MS = 20_000;
const CONNECTIONS = 256;
const HEADER_BYTES = 32 * 1024;
const WS_MESSAGE_BYTES = 1024 * 1024;

/** Connections to backends: a pool of its own for each, so that none can take up another's. One per process. */
export class Backends {
  readonly #pools = new Map<string, Pool>();

  /** The pool of an HTTP backend. @throws BackendAddressError when its address is not allowed. */
  pool(backend: Backend): Pool {
    const key = JSON.stringify(backend);
    const known = this.#pools.get(key);
    if (known) return known;
    checkLiteral(backend);
    const pool = new Pool(backend.url, {
      connections: CONNECTIONS,
      pipelining: 1,
      allowH2: false,
      maxHeaderSize: HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      bodyTimeout: BODY_IDLE_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connect: connectorOf(backend),
    });
    this.#pools.set(key, pool);
    return pool;
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
    const { hostname, port } = new URL(backend.url);
    const socket = connectTcp({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port),
      lookup: pinnedLookup(backend.networks),
      allowHalfOpen: true,
    });
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy(new BackendAddressError('the backend does not answer')));
    socket.once('connect', () => socket.setTimeout(0));
    return socket;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
  }
}

function socketOptions({ networks, ca }: Backend): { lookup: ReturnType<typeof pinnedLookup>; ca?: string } {
  return { lookup: pinnedLookup(networks), ...(ca === undefined ? {} : { ca }) };
}

/** Connects to a backend. TLS is checked against the name in its URL, whatever Host the requests carry. */
function connectorOf(backend: Backend): buildConnector.connector {
  const connect = buildConnector({
    timeout: CONNECT_TIMEOUT_MS,
    allowH2: false,
    ...socketOptions(backend),
  } as buildConnector.BuildOptions);
  const { hostname } = new URL(backend.url);
  const servername = isIP(hostname.replace(/^\[|\]$/g, '')) ? '' : hostname;
  return (options, callback) => connect({ ...options, servername }, callback);
}

/** Sockets look names up, but take an address as it is: those are checked here. */
function checkLiteral({ url, networks }: Backend): void {
  const host = new URL(url.replace(/^tcp:/, 'http:')).hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) && !mayReach(host, networks)) {
    throw new BackendAddressError('the backend has no address in an allowed network');
  }
}
