import { createHash } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import type { Random } from './random.ts';

/** A backend, and how to end it. */
export interface Backend {
  readonly url: string;
  close(): void;
}

async function listening(server: Server, scheme: string): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Says who is asking, by the assertion of the gateway, and what was sent. */
export async function honestBackend(): Promise<Backend> {
  const server = createHttpServer((request, response) => {
    const assertion = String(request.headers['sallyport-assertion'] ?? '..');
    const parts: Buffer[] = [];
    request.on('error', () => undefined);
    request.on('data', (part) => void parts.push(part));
    request.on('end', () => {
      response.setHeader('x-name', nameIn(assertion));
      response.end(Buffer.concat(parts));
    });
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, request) => {
    const name = nameIn(String(request.headers['sallyport-assertion'] ?? '..'));
    socket.on('error', () => socket.terminate());
    socket.on('message', (data) => socket.send(`${name} ${String(data)}`));
  });
  return { url: await listening(server, 'http'), close: () => server.close() };
}

function nameIn(assertion: string): string {
  try {
    return String(JSON.parse(Buffer.from(assertion.split('.')[1]!, 'base64url').toString()).name);
  } catch {
    return '';
  }
}

/** Gives every byte back. */
export async function echoBackend(): Promise<Backend> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  return { url: await listening(server, 'tcp'), close: () => server.close() };
}

const ANSWERS: readonly string[] = [
  'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n1;ext=1\r\ny\r\n0\r\ntrailer: 1\r\n\r\n',
  'HTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\netag: "x"\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
  'HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nuntil the end',
  'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!',
  'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen',
  'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n',
];

/** Answers whatever comes with what a server never should. */
export async function hostileBackend(random: Random): Promise<Backend> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes) => answerBadly(random, socket, bytes.toString('latin1')));
  });
  return { url: await listening(server, 'http'), close: () => server.close() };
}

function answerBadly(random: Random, socket: Socket, asked: string): void {
  const key = /sec-websocket-key: (\S+)/i.exec(asked)?.[1];
  if (key !== undefined) socket.write(random.chance(0.8) ? accepted(key) : random.mutated(Buffer.from(accepted(key))));
  socket.write(key === undefined ? random.maybe(Buffer.from(random.pick(ANSWERS))) : webSocketFrames(random));
  const ending = random.below(4);
  if (ending === 0) socket.end();
  if (ending === 1) socket.destroy();
  if (ending === 2) setTimeout(() => socket.destroy(), 50);
}

function accepted(key: string): string {
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  return `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`;
}

function webSocketFrames(random: Random): Buffer {
  return Buffer.concat(
    Array.from({ length: random.below(6) }, () => {
      const content = random.bytes(random.size(300));
      const opcode = random.pick([0x81, 0x82, 0x88, 0x89, 0x8a, 0x01, 0x80, 0xff]);
      const head =
        content.length < 126 ? [opcode, content.length] : [opcode, 126, content.length >> 8, content.length & 255];
      return random.maybe(Buffer.concat([Buffer.from(head), content]));
    }),
  );
}
