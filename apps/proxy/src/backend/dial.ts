import { connect as connectTcp, isIP, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { hostOf, mayReach, pinnedLookup } from './address.ts';
import { BackendError, unreachable } from './errors.ts';
import type { BackendServer } from './server.ts';
import { limitWords, timeLimitsOf } from './time-limits.ts';

/** What hears of a connection that is being made: one of the two, once. */
export interface Dialling {
  connected(socket: Socket): void;
  failed(error: BackendError): void;
}

/** How the socket is made. */
export interface DialOptions {
  /** Memory that reads of a plain socket go to, and who takes them. */
  readonly onread?: { readonly buffer: Uint8Array; callback(length: number, bytes: Uint8Array): boolean };
  readonly allowHalfOpen?: boolean;
  /** What is spoken over TLS (RFC 7301), the best first; HTTP/1.1 unless said otherwise. */
  readonly protocols?: readonly string[];
}

/**
 * Connects to a backend and tells when nothing is missing for its first byte; nothing was sent by then but what TLS needs.
 * TLS is checked against the name in its URL, whatever Host the requests carry. Destroying the socket ends the try in silence. It never
 * throws, and tells of nothing before it returns: whoever dials may be in the middle of something.
 */
export function dial(backend: BackendServer, tell: Dialling, options: DialOptions = {}): Socket {
  const tls = backend.url.startsWith('https:');
  const refused = refusalOf(backend);
  const socket = refused ? new Socket().destroy(refused) : tls ? dialTls(backend, options) : dialTcp(backend, options);
  const { connectMs } = timeLimitsOf(backend);
  const timer = setTimeout(() => socket.destroy(noConnection(connectMs)), connectMs);
  const failed = (cause: Error): void => {
    settle();
    socket.on('error', () => undefined);
    tell.failed(cause instanceof BackendError ? cause : unreachable(reasonOf(cause, tls), 'no connection', cause));
  };
  const settle = (): void => {
    clearTimeout(timer);
    socket.removeListener('error', failed);
    socket.removeListener('close', settle);
  };
  socket.once('error', failed);
  socket.once('close', settle);
  socket.once(tls ? 'secureConnect' : 'connect', () => {
    settle();
    tell.connected(socket);
  });
  return socket;
}

function noConnection(connectMs: number): BackendError {
  const words = limitWords('it takes no connection within', connectMs, 'connect');
  return new BackendError('ERR_BACKEND_UNREACHABLE', words, { reason: 'time', words });
}

function refusalOf(backend: BackendServer): BackendError | undefined {
  try {
    checkLiteral(backend);
    return undefined;
  } catch (error) {
    return error as BackendError;
  }
}

/**
 * Sockets look names up, but take an address as it is: those are checked here.
 * @throws BackendError ERR_BACKEND_ADDRESS
 */
export function checkLiteral({ url, networks }: BackendServer): void {
  const host = hostOf(url);
  if (isIP(host) && !mayReach(host, networks)) {
    throw new BackendError('ERR_BACKEND_ADDRESS', 'the backend has no address in an allowed network', {
      reason: 'network',
    });
  }
}

function dialTls(server: BackendServer, { protocols = ['http/1.1'] }: DialOptions): Socket {
  const { url, ca, clientCertificate } = server;
  const host = hostOf(url);
  return connectTls({
    host,
    port: Number(new URL(url).port || 443),
    lookup: pinnedLookup(server),
    ALPNProtocols: [...protocols],
    ...(isIP(host) ? {} : { servername: host }),
    ...(ca === undefined ? {} : { ca }),
    ...(clientCertificate?.key === undefined
      ? {}
      : { cert: clientCertificate.certificate, key: clientCertificate.key }),
  });
}

function dialTcp(server: BackendServer, { protocols: _, ...options }: DialOptions): Socket {
  // A URL parser leaves out the port that is usual for http.
  const { url } = server;
  const port = Number(new URL(url.replace(/^tcp:/, 'http:')).port || 80);
  return connectTcp({ host: hostOf(url), port, lookup: pinnedLookup(server), ...options });
}

const CERTIFICATE_ERROR = /CERT|SELF_SIGNED|UNABLE_TO|ALTNAME|HOSTNAME/;

function reasonOf(cause: NodeJS.ErrnoException, tls: boolean): BackendError['reason'] {
  const { code = '', syscall } = cause;
  if (syscall === 'getaddrinfo' || code.startsWith('EAI_') || code === 'ENOTFOUND') return 'name';
  if (code === 'ETIMEDOUT') return 'time';
  if (syscall === 'connect') return 'port';
  if (CERTIFICATE_ERROR.test(code)) return 'certificate';
  return tls ? 'protocol' : 'port';
}
