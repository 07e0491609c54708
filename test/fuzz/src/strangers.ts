import { connect } from 'node:net';
import { ENDPOINT_PATH, SUBPROTOCOL } from '@sallyport/channel';
import { WebSocket } from 'ws';
import type { Random } from './random.ts';

const PATIENCE_MS = 200;

const TARGETS: readonly string[] = [
  '/',
  '//',
  '//[',
  '/%',
  'http://[/',
  '*',
  ENDPOINT_PATH,
  `${ENDPOINT_PATH}/site-map`,
  '/../..//etc/passwd',
  '/assets/%2e%2e/x.js',
];

/** A request that no client should send. */
function badRequest(random: Random): Buffer {
  const method = random.pick(['GET', 'HEAD', 'POST', 'CONNECT', 'OPTIONS', 'PRI', '']);
  const lines = [
    `${method} ${random.pick(TARGETS)} ${random.pick(['HTTP/1.1', 'HTTP/1.0', 'HTTP/2', ''])}`,
    'host: x',
    ...[
      'connection: Upgrade',
      'upgrade: websocket',
      'sec-websocket-version: 13',
      'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==',
      `sec-websocket-protocol: ${SUBPROTOCOL}`,
      'content-length: 5',
      'transfer-encoding: chunked',
      'x-forwarded-for: 1.2.3.4;x',
    ].filter(() => random.chance(0.6)),
  ];
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
  return random.maybe(random.chance(0.5) ? head : Buffer.concat([head, random.bytes(random.size(600))]));
}

/** Sends bytes to a port and waits a little for an answer, whatever it is. */
export function throwBytes(random: Random, port: number): Promise<void> {
  const bytes = random.chance(0.9) ? badRequest(random) : random.bytes(random.size(2_000));
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => void socket.write(bytes));
    socket.setTimeout(PATIENCE_MS, () => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('data', () => socket.destroy());
    socket.on('close', () => resolve());
  });
}

/** First bytes of every message of the protocol. */
const HEADS = [
  Buffer.of(0x10, 1, 1, 1),
  Buffer.of(1, 1, 1, 2),
  Buffer.of(3),
  Buffer.of(5),
  Buffer.of(0x77),
  Buffer.alloc(0),
];

/** Opens a socket without a session and sends what is none of the protocol's messages. */
export function throwMessages(random: Random, origin: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${origin}${ENDPOINT_PATH}`, SUBPROTOCOL, { perMessageDeflate: false });
    const timer = setTimeout(() => socket.terminate(), 5 * PATIENCE_MS);
    let left = 1 + random.below(5);
    const send = (): void => {
      if (left-- <= 0 || socket.readyState !== socket.OPEN) return socket.terminate();
      const message = Buffer.concat([random.pick(HEADS), random.bytes(random.size(2_000))]);
      if (random.chance(0.1)) socket.send(String(random.below(1_000)));
      else socket.send(random.mutated(message));
    };
    socket.on('error', () => undefined);
    socket.on('open', send);
    socket.on('message', send);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
