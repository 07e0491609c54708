import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  concat,
  encodeChunkPrefix,
  encodeMessageEnd,
  encodeRequestHead,
  encodeText,
  prefix8,
} from '@sallyport/channel';
import type { Backend } from '@sallyport/security-api';
import { afterAll, expect, test } from 'vitest';
import { testStream } from '../../../libs/channel/test/lone-stream.ts';
import { TIME_LIMITS, timeLimitsOf } from '../src/backend/time-limits.ts';
import { HttpExchange } from '../src/streams/http.ts';
import { TcpExchange } from '../src/streams/tcp.ts';
import { TestHost } from './stream-place.ts';

const servers: Server[] = [];
const sockets = new Set<Socket>();
afterAll(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
});

type Timeouts = NonNullable<Backend['timeouts']>;

/** A backend that does what a test says with each connection. */
async function backendThat(serve: (socket: Socket) => void, scheme: string, timeouts: Timeouts): Promise<Backend> {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    serve(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `${scheme}://127.0.0.1:${port}`, networks: ['127.0.0.0/8'], timeouts };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 9_000 && !condition(); i++) await sleep(10);
  expect(condition()).toBe(true);
}

const head = (method: string): Uint8Array =>
  encodeRequestHead({ method, scheme: 'http', authority: 'wiki.corp', path: '/slow', fields: [] });
const END = encodeMessageEnd();

/** What a device is told of a request whose bytes are these. */
async function resetOf(backend: Backend, ...bytes: Uint8Array[]): Promise<{ code: string; words: string }> {
  const { stream, resets } = testStream(1);
  const sink = new HttpExchange({ host: new TestHost(backend), stream });
  stream.sink = sink;
  sink.data(concat(...bytes));
  await until(() => resets.length > 0);
  return resets[0]!;
}

test.each<[Timeouts | undefined, object]>([
  [undefined, TIME_LIMITS],
  [{}, TIME_LIMITS],
  [{ answerMs: 75_000 }, { ...TIME_LIMITS, answerMs: 75_000 }],
  [{ connectMs: 20_000 }, { ...TIME_LIMITS, connectMs: 20_000 }],
  [{ idleMs: 9 }, { ...TIME_LIMITS, idleMs: 9, contentIdleMs: 9, tunnelIdleMs: 9 }],
])('a resource that says %j has its own limits, and the usual ones for the rest', (timeouts, limits) => {
  expect(timeLimitsOf(timeouts ? { timeouts } : {})).toEqual(limits);
});

test.concurrent.each<[string, Timeouts, (socket: Socket) => void, string, Uint8Array[], object]>([
  [
    'no answer',
    { answerMs: 200 },
    () => undefined,
    'http',
    [head('GET'), END],
    { code: 'BACKEND_TIMEOUT', words: 'no answer within 200 ms (answer limit)' },
  ],
  [
    'an answer that stands still',
    { idleMs: 1_000 },
    (socket) => socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab')),
    'http',
    [head('GET'), END],
    { code: 'BACKEND_TIMEOUT', words: 'nothing more of the answer came for 1 s (idle limit)' },
  ],
  [
    'content of the device that stands still',
    { idleMs: 1_000 },
    () => undefined,
    'http',
    [head('POST'), encodeChunkPrefix(2), encodeText('ab')],
    { code: 'REQUEST_BROKEN', words: 'no content moved for 1 s (idle limit)' },
  ],
  [
    'a connection that is never made',
    { connectMs: 100 },
    () => undefined,
    'https',
    [head('GET'), END],
    { code: 'BACKEND_UNREACHABLE', words: 'it takes no connection within 100 ms (connect limit)' },
  ],
])('the error for %s says which limit was met, and what it is', async (_what, timeouts, serve, scheme, bytes, told) => {
  expect(await resetOf(await backendThat(serve, scheme, timeouts), ...bytes)).toEqual(told);
});

test.concurrent('an answer that goes on is not cut, however long it takes in all', async () => {
  const backend = await backendThat(
    (socket) =>
      socket.once('data', async () => {
        socket.write('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n');
        for (let i = 0; i < 16; i++) {
          socket.write('x');
          await sleep(250);
        }
        socket.end();
      }),
    'http',
    { idleMs: 2_000 },
  );
  const host = new TestHost(backend);
  const { stream, resets } = testStream(1);
  const sink = new HttpExchange({ host, stream });
  stream.sink = sink;
  sink.data(concat(head('GET'), END));
  await until(() => host.outcomes.length > 0);
  expect([host.outcomes, resets]).toEqual([['done'], []]);
});

test.concurrent('a TCP connection on which nothing moves ends with its idle limit, one that moves lives on', async () => {
  const silent = await backendThat(() => undefined, 'tcp', { idleMs: 300 });
  const talking = await backendThat(
    (socket) => {
      const timer = setInterval(() => socket.write('x'), 20);
      socket.on('close', () => clearInterval(timer));
    },
    'tcp',
    { idleMs: 5_000 },
  );
  const [quiet, busy] = [silent, talking].map((backend) => {
    const { stream, resets } = testStream(3);
    const sink = new TcpExchange({ host: new TestHost(backend, 'tcp'), stream });
    stream.sink = sink;
    sink.data(prefix8(encodeText('db.corp:1')));
    return resets;
  });
  await until(() => quiet!.length > 0);
  expect(quiet).toEqual([{ code: 'BACKEND_TIMEOUT', words: 'nothing moved for 300 ms (idle limit)' }]);
  expect(busy).toEqual([]);
});
