import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import type { Device } from '@sallyport/device';
import type { ServerProof } from '../local-ca/local-ca.ts';
import { createHttpServer } from './http-server.ts';
import { plainAnswer } from './refusal.ts';
import { deadline, peekByte } from './socket-reader.ts';
import { originTarget, type RequestTarget } from './target.ts';

/** Gives what TLS as a host needs; undefined when this machine's CA cannot speak for it. */
export interface HostProofs {
  proofFor(host: string): Promise<ServerProof | undefined>;
}

/** What a tunnel leads to. */
export interface TunnelEnd {
  /** Key into the resources. */
  readonly authority: string;
  /** What certificates call it: a name, or an address without brackets. */
  readonly host: string;
}

/** First byte of a TLS record with a handshake (RFC 8446, section 5.1): no request of HTTP begins with it. */
const TLS_HANDSHAKE = 0x16;
/** Browsers open tunnels ahead of need; one that stays unused this long ends, ms. */
const FIRST_BYTE_MS = 120_000;
const HANDSHAKE_MS = 30_000;

/**
 * HTTP inside of what a client takes for a connection to the server itself: plain, or TLS that ends here with a certificate of this
 * machine's CA. Requests go to the one resource that the tunnel was opened to; who opened it was let in.
 */
export class TunnelledHttp {
  readonly #proofs: HostProofs;
  readonly #http: Server;
  /** Where the requests of a connection go. */
  readonly #ends = new WeakMap<Duplex, Pick<RequestTarget, 'scheme' | 'authority'>>();
  /** Servers that end TLS, by certificate and authority. */
  readonly #tls = new WeakMap<ServerProof, Map<string, TlsServer>>();

  constructor(device: Device, proofs: HostProofs) {
    this.#proofs = proofs;
    this.#http = createHttpServer(device, {
      refusal: async () => undefined,
      target: (request) => this.#targetOf(request),
    });
  }

  /** Serves what comes from a client on a tunnel that stands. @throws Error when nothing comes */
  async serve(socket: Socket, end: TunnelEnd): Promise<void> {
    const met = deadline(socket, FIRST_BYTE_MS);
    const first = await peekByte(socket);
    met();
    if (first !== TLS_HANDSHAKE) return this.#serveHttp(socket, { scheme: 'http', authority: end.authority });
    const proof = await this.#proofs.proofFor(end.host);
    if (!proof) return void socket.destroy();
    this.#tlsServer(proof, end.authority).emit('connection', socket);
  }

  #serveHttp(socket: Duplex, to: Pick<RequestTarget, 'scheme' | 'authority'>): void {
    this.#ends.set(socket, to);
    this.#http.emit('connection', socket);
  }

  #tlsServer(proof: ServerProof, authority: string): TlsServer {
    const servers = this.#tls.get(proof) ?? new Map<string, TlsServer>();
    this.#tls.set(proof, servers);
    const server = servers.get(authority) ?? this.#newTlsServer(proof, authority);
    servers.set(authority, server);
    return server;
  }

  /** Never listens: it is handed its connections. */
  #newTlsServer({ cert, key }: ServerProof, authority: string): TlsServer {
    const options = { cert, key, ALPNProtocols: ['http/1.1'], handshakeTimeout: HANDSHAKE_MS };
    const server = createTlsServer(options, (socket) => {
      socket.on('error', () => socket.destroy());
      this.#serveHttp(socket, { scheme: 'https', authority });
    });
    return server.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  #targetOf(request: IncomingMessage): RequestTarget | ReturnType<typeof plainAnswer> {
    const to = this.#ends.get(request.socket)!;
    // Nothing on this connection has a right to speak to another resource than the client meant (RFC 9110, section 7.4).
    return originTarget(request, to) ?? plainAnswer(421, `this connection leads to ${to.authority} only`);
  }
}
