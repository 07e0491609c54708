import { once } from 'node:events';
import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, createServer, type Server as NetServer, type Socket } from 'node:net';
import { type Duplex, Transform } from 'node:stream';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';
import { ENDPOINT_PATH, encodeHint, MESSAGE_TYPES, messageType, SUBPROTOCOL } from '@sallyport/channel';
import type { IssuedPair } from '@sallyport/support';
import { WebSocketServer } from 'ws';

/** A server of a test, closed with it. */
export interface Played {
  readonly port: number;
  close(): Promise<void>;
}

async function listening(server: NetServer): Promise<Played> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** What a played node says of its health; its clock may be off, ms. */
export interface PlayedSecurity {
  readonly offMs?: number;
  readonly status?: number;
}

/** A Security node, as far as its health is asked. */
export function playSecurity(pair: IssuedPair, { offMs = 0, status = 200 }: PlayedSecurity = {}): Promise<Played> {
  const server = createHttpsServer({ cert: pair.certificate, key: pair.key }, (_request, answer) => {
    answer.writeHead(status, { date: new Date(Date.now() + offMs).toUTCString() }).end();
  });
  return listening(server);
}

/** Takes connections and says nothing. */
export function playSilent(): Promise<Played> {
  return listening(createServer());
}

/** Speaks no TLS. */
export function playPlain(): Promise<Played> {
  return listening(createServer((socket) => socket.once('data', () => socket.end('SSH-2.0-x\r\n'))));
}

/** Wants a certificate of the client, of a CA that it knows. */
export function playDemanding(pair: IssuedPair, ca: string): Promise<Played> {
  const server = createTlsServer({
    cert: pair.certificate,
    key: pair.key,
    ca,
    requestCert: true,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.2',
  });
  return listening(server);
}

/** The listener of a Proxy for devices, as a stranger sees it (SPEC.md, sections 2 and 12). */
export function playProxy(): Promise<Played> {
  const server: Server = createHttpServer(({ url }, answer) => {
    if (url === '/readyz') return void answer.end();
    answer.writeHead(404, { 'content-type': 'application/json' }).end('{"code":"ERR_HTTP_NOT_FOUND"}');
  });
  const sockets = new WebSocketServer({ server, path: ENDPOINT_PATH, handleProtocols: () => SUBPROTOCOL });
  sockets.on('connection', (socket) => {
    socket.on('error', () => undefined);
    socket.on('message', (message) => {
      if (messageType(message as Buffer) === MESSAGE_TYPES.ASK) return socket.send(encodeHint('SESSION_UNKNOWN'));
      socket.send(encodeHint('BAD_MESSAGE'));
      socket.close(1002);
    });
  });
  return listening(server);
}

/** What a balancer does to what it passes on. */
export interface Balancing {
  /** Ends a connection after so long, however busy it is. */
  readonly cutAfterMs?: number;
  /** Takes these header fields out of a request. */
  readonly strips?: RegExp;
  /** Passes nothing back once the WebSocket is open. */
  readonly holds?: boolean;
  /** Ends a connection when a piece of a request is larger, bytes in all after the head. */
  readonly maxBytes?: number;
}

/** A balancer in front of a server of this machine. */
export function playBalancer(to: Played, { cutAfterMs, strips, holds, maxBytes }: Balancing): Promise<Played> {
  const server = createServer((socket) => {
    const upstream = connect(to.port, '127.0.0.1');
    const end = (): void => {
      socket.destroy();
      upstream.destroy();
    };
    for (const one of [socket, upstream]) one.on('error', end).on('close', end);
    if (cutAfterMs !== undefined) setTimeout(end, cutAfterMs).unref();
    socket.pipe(forward(strips, maxBytes, end)).pipe(upstream);
    upstream.pipe(backward(holds)).pipe(socket);
  });
  return listening(server);
}

function forward(strips: RegExp | undefined, maxBytes: number | undefined, end: () => void): Duplex {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (maxBytes !== undefined && bytes > maxBytes) return end();
      if (!strips || !chunk.toString('latin1').startsWith('GET ')) return done(null, chunk);
      const lines = chunk
        .toString('latin1')
        .split('\r\n')
        .filter((line) => !strips.test(line));
      done(null, Buffer.from(lines.join('\r\n'), 'latin1'));
    },
  });
}

function backward(holds = false): Duplex {
  let head = true;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (holds && !head) return done();
      head = false;
      done(null, chunk);
    },
  });
}

/** A PostgreSQL up to its TLS: what follows it ends the connection. Without a pair it speaks none. */
export function playDatabase(pair: IssuedPair | undefined): Promise<Played> {
  return listening(beginningWith(pair, { yes: 'S', no: 'N' }));
}

/** A directory up to its TLS, with the words of StartTLS (RFC 4511, section 4.14): success, or protocolError. */
export function playDirectory(pair: IssuedPair | undefined): Promise<Played> {
  const answer = (code: number) => Buffer.from([0x30, 0x0c, 2, 1, 1, 0x78, 7, 0x0a, 1, code, 4, 0, 4, 0]);
  return listening(beginningWith(pair, { yes: answer(0), no: answer(2) }));
}

function beginningWith(
  pair: IssuedPair | undefined,
  { yes, no }: { readonly yes: string | Buffer; readonly no: string | Buffer },
): NetServer {
  return createServer((socket) => {
    socket.once('data', () => {
      socket.write(pair ? yes : no);
      if (!pair) return;
      const tls = new TLSSocket(socket, { isServer: true, cert: pair.certificate, key: pair.key });
      tls.on('error', () => socket.destroy());
      tls.once('data', () => tls.destroy());
    });
  });
}

/** Says this at once. */
export function playGreeting(text: string): Promise<Played> {
  return listening(createServer((socket) => socket.write(text)));
}

/** Answers each challenge of ACME by what it is given. */
export function playChallenges(answer: (token: string) => string | undefined): Promise<Played> {
  const server = createHttpServer(({ url = '' }, response) => {
    const text = answer(url.split('/').at(-1)!);
    response.writeHead(text === undefined ? 404 : 200).end(text);
  });
  return listening(server);
}

/** A server that answers each command of Redis with the next of these replies. */
export function playRedis(...replies: readonly string[]): Promise<Played> {
  return listening(
    createServer((socket) => {
      const left = [...replies];
      socket.on('data', () => socket.write(left.shift() ?? '-ERR\r\n'));
    }),
  );
}
