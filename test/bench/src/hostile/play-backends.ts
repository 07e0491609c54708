import { createHash } from 'node:crypto';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { crc32 } from 'node:zlib';
import { WebSocketServer } from 'ws';
import { answerWith } from './players.ts';

/** Which backend a process plays, and where it listens. */
export interface BackendOrder {
  readonly kind: 'honest' | 'hostile';
  readonly port: number;
}

const PAGE = 'p'.repeat(1_024);
const FLOOD = Buffer.alloc(65_536, 'f');
/** A frame of 32 KiB of text. */
const FRAME = Buffer.concat([Buffer.of(0x81, 126, 0x80, 0), Buffer.alloc(32_768, 'w')]);
const TINY_FRAMES = Buffer.concat(Array.from({ length: 5_000 }, () => Buffer.of(0x81, 1, 0x61)));
const PINGS = Buffer.concat(Array.from({ length: 5_000 }, () => Buffer.of(0x89, 0)));
const HEAD = 'HTTP/1.1 200 OK\r\n';

function nameIn(request: IncomingMessage): string {
  const assertion = String(request.headers['sallyport-assertion'] ?? '..');
  return String(JSON.parse(Buffer.from(assertion.split('.')[1]!, 'base64url').toString()).name);
}

/** Says to everybody who they are: pages, sums of uploads, messages. */
function honest(port: number): Promise<void> {
  const server = createHttpServer((request, response) => {
    const name = nameIn(request);
    let sum = 0;
    request.on('error', () => undefined);
    request.on('data', (part: Buffer) => {
      sum = crc32(part, sum);
    });
    request.on('end', () =>
      response.end(request.method === 'GET' ? `${name} ${request.url} ${PAGE}` : `${name} ${sum}`),
    );
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, request) => {
    const name = nameIn(request);
    socket.on('error', () => socket.terminate());
    socket.on('message', (data) => socket.send(`${name} ${String(data)}`));
  });
  return new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
}

/** Writes the same again and again, as fast as it is taken. */
function flood(socket: Socket, bytes: Buffer): void {
  const more = (): void => {
    while (!socket.destroyed && socket.write(bytes));
  };
  socket.on('drain', more);
  more();
}

function dribble(socket: Socket, text: string, everyMs: number): void {
  let at = 0;
  const timer = setInterval(() => socket.write(text[at++ % text.length]!), everyMs);
  socket.on('close', () => clearInterval(timer));
}

/** What it does with a request; each costs a gateway something else. */
const ANSWERS: readonly ((socket: Socket) => void)[] = [
  () => undefined,
  (socket) => dribble(socket, `${HEAD}x-long: ${'h'.repeat(20_000)}`, 1),
  (socket) => {
    socket.write(`${HEAD}content-length: 1000000000000\r\n\r\n`);
    flood(socket, FLOOD);
  },
  (socket) => {
    socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\n`);
    flood(socket, Buffer.from('1\r\nx\r\n'.repeat(5_000)));
  },
  (socket) => {
    socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\n`);
    dribble(socket, '1\r\nx\r\n', 1);
  },
  (socket) => flood(socket, Buffer.from('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(100))),
  (socket) => socket.end(`${HEAD}content-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen`),
  (socket) => socket.destroy(),
];

const TALKS: readonly ((socket: Socket) => void)[] = [
  (socket) => flood(socket, FRAME),
  (socket) => flood(socket, TINY_FRAMES),
  (socket) => flood(socket, PINGS),
  (socket) => flood(socket, Buffer.of(0x01, 1, 0x61, ...Array.from({ length: 2_000 }, () => [0x00, 1, 0x61]).flat())),
  (socket) => socket.end(Buffer.of(0x88, 125, 0x03, 0xe8, ...Buffer.alloc(123, 'r'))),
];

let turn = 0;

function accepted(key: string): string {
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  return `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`;
}

/** Does to everybody who asks what costs the gateway in front of it most. */
function hostile(port: number): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', (bytes) => {
      socket.on('data', () => undefined);
      const key = /sec-websocket-key: (\S+)/i.exec(bytes.toString('latin1'))?.[1];
      if (key === undefined) return ANSWERS[turn++ % ANSWERS.length]!(socket);
      socket.write(accepted(key));
      TALKS[turn++ % TALKS.length]!(socket);
    });
  });
  return new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
}

answerWith(async ({ kind, port }: BackendOrder) => {
  await (kind === 'honest' ? honest(port) : hostile(port));
  return 'listening';
});
