import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeChunkPrefix, encodeRequestHead, encodeText, encodeWsMessage, prefix8 } from '@sallyport/channel';
import { afterEach, expect, test } from 'vitest';
import { sentBy, testStream } from '../../../libs/channel/test/lone-stream.ts';
import type { Exchange } from '../src/streams/exchange.ts';
import { HttpExchange } from '../src/streams/http.ts';
import { TcpExchange } from '../src/streams/tcp.ts';
import { WebSocketExchange } from '../src/streams/web-socket.ts';
import { acceptOf } from '../src/web-socket/accept.ts';
import { type HostState, TestHost } from './stream-place.ts';

const WAIT = { timeout: 90_000, interval: 5 };
/** Long enough for what is on its way to arrive. */
const QUIET_MS = 30;

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** Counts what it reads, and accepts every WebSocket. */
async function openBackend() {
  let read = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      read += bytes.length;
      const [, key] = /sec-websocket-key: (\S+)/.exec(String(bytes)) ?? [];
      if (key === undefined) return;
      const accept = `sec-websocket-accept: ${acceptOf(key)}`;
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n${accept}\r\n\r\n`,
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: (server.address() as AddressInfo).port, read: () => read, sockets };
}

const headOf = (method: string): Uint8Array =>
  encodeRequestHead({ method, scheme: 'http', authority: 'wiki.corp', path: '/a', fields: [] });

/** How a device opens a stream of each kind, and what it then says on it. */
const KINDS = {
  http: {
    make: (place: ConstructorParameters<typeof HttpExchange>[0]): Exchange => new HttpExchange(place),
    open: headOf('POST'),
    part: Buffer.concat([encodeChunkPrefix(5), encodeText('hello')]),
  },
  websocket: {
    make: (place: ConstructorParameters<typeof HttpExchange>[0]): Exchange => new WebSocketExchange(place),
    open: headOf('GET'),
    part: encodeWsMessage({ opcode: 1, bytes: encodeText('hello') }),
  },
  tcp: {
    make: (place: ConstructorParameters<typeof HttpExchange>[0]): Exchange => new TcpExchange(place),
    open: prefix8(encodeText('db.corp:1')),
    part: encodeText('hello'),
  },
} as const;
type Kind = keyof typeof KINDS;

/** What closes a gate, and how a stream ends that is under way and has more to say. */
const CLOSED: readonly [what: string, state: Partial<HostState>, ending: string | undefined][] = [
  ['rights are being read', { rights: 0 }, undefined],
  ['a revocation took the right away', { rights: 9, refused: 'RESOURCE_UNKNOWN' }, 'RIGHTS_LOST'],
  ['the app context does not fit any more', { rights: 9, refused: 'CONTEXT_DENIED' }, 'RIGHTS_LOST'],
  ['the lease is lost, or the channel is over', { serving: false }, 'LEASE_LOST'],
];
const KINDS_AND_GATES = (Object.keys(KINDS) as Kind[]).flatMap((kind) =>
  CLOSED.map(([what, state, ending]) => ({ kind, what, state, ending })),
);

async function opened(kind: Kind) {
  const backend = await openBackend();
  const url = `${kind === 'tcp' ? 'tcp' : 'http'}://127.0.0.1:${backend.port}`;
  const host = new TestHost({ url, networks: ['127.0.0.0/8'] }, kind === 'tcp' ? 'tcp' : 'http');
  closing.push(() => host.backends.close());
  const { stream, resets } = testStream(1);
  const { make, open, part } = KINDS[kind];
  const sink = make({ host, stream });
  closing.push(() => sink.reset(0));
  sink.data(open);
  return { backend, host, stream, resets, say: () => sink.data(part) };
}

test.each(KINDS_AND_GATES)('nothing of a $kind stream passes its gate once $what', async ({ kind, state, ending }) => {
  const { backend, host, stream, resets, say } = await opened(kind);
  say();
  await expect.poll(() => backend.read(), WAIT).toBeGreaterThan(0);
  if (kind === 'websocket') await expect.poll(() => sentBy(stream).length, WAIT).toBeGreaterThan(0);
  await sleep(QUIET_MS);
  const before = backend.read();
  Object.assign(host.state, state);
  for (let i = 0; i < 3; i++) say();
  await sleep(QUIET_MS);
  expect(backend.read()).toBe(before);
  expect(resets.map(({ code }) => code)).toEqual(ending === undefined ? [] : [ending]);
});

test.each(KINDS_AND_GATES)('nothing of a $kind stream leaves on a connection that stands after $what', async (one) => {
  const { backend, host, resets, say } = await opened(one.kind);
  say();
  Object.assign(host.state, one.state);
  await expect.poll(() => backend.sockets.size, WAIT).toBe(1);
  await sleep(QUIET_MS);
  expect(backend.read()).toBe(0);
  expect(resets).toHaveLength(one.ending === undefined ? 0 : 1);
});

test.each(Object.keys(KINDS) as Kind[])('a defect of ours when rights are there again ends its %s stream', (kind) => {
  const host = new TestHost({ url: 'http://127.0.0.1:1', networks: [] }, kind === 'tcp' ? 'tcp' : 'http');
  closing.push(() => host.backends.close());
  host.state.rights = 0;
  const { stream, resets } = testStream(1);
  const sink = KINDS[kind].make({ host, stream });
  sink.data(KINDS[kind].open);
  sink.data(KINDS[kind].part);
  host.decide = () => {
    throw new Error('a defect of ours');
  };
  expect(() => host.known(1)).toThrow('a defect of ours');
  expect(resets).toMatchObject([{ code: 'CANCELLED' }]);
});
