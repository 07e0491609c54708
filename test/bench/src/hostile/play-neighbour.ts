import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { ENDPOINT_PATH } from '@sallyport/channel';
import { converse, type Door, handshake, hello } from '../load/knocks.ts';
import { answerWith } from './players.ts';

/** A hostile neighbour is told of the Proxies, what stands in every link, and of the forward proxy of a device beside it. */
export interface NeighbourOrder {
  readonly origins: readonly string[];
  readonly kid: number;
  readonly rs: Uint8Array;
  readonly forwardPort: number;
  /** Tries a second at each door. */
  readonly rate: number;
}

/** Another host has one address, or a few. */
const ADDRESSES = ['127.9.0.1', '127.9.0.2'] as const;
/** Tries of one door under way at once: a neighbour waits for nobody, but this process has only so many sockets. */
const MAX_UNDER_WAY = 500;
const HELD_SOCKETS = 2_000;
const PATIENCE_MS = 5_000;
const NOBODY = 65_534;
const tries: Record<string, number> = {};
const held: Socket[] = [];

const BAD_REQUESTS: readonly string[] = [
  'GET / HTTP/1.1\r\nhost: x\r\n\r\n',
  `GET ${ENDPOINT_PATH} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`,
  `POST ${ENDPOINT_PATH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n`,
  `GET /${'x'.repeat(20_000)} HTTP/1.1\r\n\r\n`,
  'CONNECT honest.corp:443 HTTP/1.1\r\nhost: honest.corp\r\n\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
];

function any<T>(items: readonly T[]): T {
  return items[Math.floor(Math.random() * items.length)]!;
}

function local(): string {
  return any(ADDRESSES);
}

/** Opens a socket that says nothing, and keeps it. */
async function silent(port: number): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port, localAddress: local() });
  socket.on('error', () => undefined);
  held.push(socket);
  if (held.length > HELD_SOCKETS) held.shift()!.destroy();
}

/** Sends bytes and waits for an answer or the end. */
function raw(port: number, bytes: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, localAddress: local() }, () => void socket.write(bytes));
    socket.setTimeout(PATIENCE_MS, () => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('data', () => socket.destroy());
    socket.on('close', () => resolve());
  });
}

function doorsOf({ origins, kid, rs, forwardPort }: NeighbourOrder): Readonly<Record<string, () => Promise<void>>> {
  const origin = (): string => any(origins);
  const port = (): number => Number(new URL(origin().replace('ws', 'http')).port);
  const door = (): Door => ({ origin: origin(), kid, rs, localAddress: local() });
  return {
    'silent sockets': () => silent(port()),
    'bad requests': () => raw(port(), any(BAD_REQUESTS)),
    'random bytes': () => raw(port(), randomBytes(500)),
    'site map': () => raw(port(), `GET ${ENDPOINT_PATH}/site-map HTTP/1.1\r\nhost: x\r\n\r\n`),
    'messages of nothing': () => converse(door(), [() => randomBytes(200)]),
    'enrolments with made-up codes': () => handshake(door(), 'enrol'),
    'sign-ins of unknown devices': () => handshake(door(), 'session'),
    'HELLOs of no session': () => hello(door()),
    'bad requests at device forward': () => raw(forwardPort, any(BAD_REQUESTS)),
    'random bytes at device forward': () => raw(forwardPort, randomBytes(500)),
    'silent sockets at device forward': () => silent(forwardPort),
  };
}

function knock(name: string, door: () => Promise<void>, rate: number): void {
  let underWay = 0;
  setInterval(() => {
    if (underWay >= MAX_UNDER_WAY) return;
    underWay += 1;
    tries[name] = (tries[name] ?? 0) + 1;
    door()
      .catch(() => undefined)
      .finally(() => {
        underWay -= 1;
      });
  }, 1_000 / rate);
}

/** On the machine of a device a neighbour is another user: a program of the device's own user has its session anyway. */
function becomeNobody(): void {
  if (process.getuid?.() !== 0) return;
  process.setgroups!([]);
  process.setgid!(NOBODY);
  process.setuid!(NOBODY);
}

answerWith(async (order: NeighbourOrder | 'tries') => {
  if (order === 'tries')
    return Object.entries(tries)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  becomeNobody();
  for (const [name, door] of Object.entries(doorsOf(order))) knock(name, door, order.rate);
  return 'begun';
});
