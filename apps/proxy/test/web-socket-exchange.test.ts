import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { concat, encodeRequestHead, encodeText, encodeUint, encodeWsMessage } from '@sallyport/channel';
import { afterAll, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { WebSocketExchange } from '../src/streams/web-socket.ts';
import { TestHost, testStream } from './stream-place.ts';

/** A backend that accepts when a test says so, and notes how its WebSockets end. */
const server = createServer();
const sockets = new WebSocketServer({ noServer: true });
const pending: (() => void)[] = [];
const closes: { code: number; reason: string }[] = [];
const messages: string[] = [];
sockets.on('connection', (socket) => {
  socket.on('message', (data) => void messages.push(String(data)));
  socket.on('close', (code, reason) => void closes.push({ code, reason: String(reason) }));
});
server.on('upgrade', (request: IncomingMessage, socket: Socket, head) => {
  pending.push(() => sockets.handleUpgrade(request, socket, head, (open) => sockets.emit('connection', open)));
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const backend = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, networks: ['127.0.0.0/8'] };
afterAll(() => {
  for (const socket of sockets.clients) socket.terminate();
  server.closeAllConnections();
  server.close();
});

const HEAD = encodeRequestHead({ method: 'GET', scheme: 'http', authority: 'wiki.corp', path: '/chat', fields: [] });
const closing = (code: number, reason: string): Uint8Array =>
  encodeWsMessage({ opcode: 8, bytes: concat(encodeUint(code, 2), encodeText(reason)) });

function exchange() {
  const host = new TestHost(backend);
  const { stream, resets } = testStream(2);
  const sink = new WebSocketExchange({ host, stream });
  stream.sink = sink;
  return { host, sink, resets, stream };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1_000 && !condition(); i++) await sleep(10);
  expect(condition()).toBe(true);
}

test.each([
  ['a reason of 124 bytes', closing(1000, 'x'.repeat(124))],
  ['a code that no close frame may hold', closing(1005, '')],
  ['one byte', encodeWsMessage({ opcode: 8, bytes: Uint8Array.of(3) })],
])('a close message with %s before the backend has accepted ends this stream, nothing else', async (_what, message) => {
  const { host, sink, resets } = exchange();
  sink.data(concat(HEAD, message));
  expect(resets.length).toBe(1);
  await sleep(20);
  for (const accept of pending.splice(0)) accept();
  expect(host.defects).toEqual([]);
});

test('a close that came early is said once the backend has accepted', async () => {
  const { sink, host } = exchange();
  sink.data(concat(HEAD, encodeWsMessage({ opcode: 1, bytes: encodeText('first') }), closing(4001, 'why')));
  await until(() => pending.length === 1);
  pending.shift()!();
  await until(() => closes.length === 1);
  expect(closes.splice(0)).toEqual([{ code: 4001, reason: 'why' }]);
  expect(messages.splice(0)).toEqual(['first']);
  expect(host.defects).toEqual([]);
});

test('any number of small messages reaches a slow backend in order, and each one is charged', async () => {
  const { sink, host } = exchange();
  const count = 20_000;
  const all = Array.from({ length: count }, (_, i) => encodeWsMessage({ opcode: 1, bytes: encodeText(String(i)) }));
  sink.data(concat(HEAD, ...all.slice(0, 5_000)));
  await until(() => pending.length === 1);
  sink.data(concat(...all.slice(5_000, 12_000)));
  pending.shift()!();
  sink.data(concat(...all.slice(12_000)));
  await until(() => messages.length === count);
  expect(messages.splice(0)).toEqual(Array.from({ length: count }, (_, i) => String(i)));
  expect(host.spent).toBeGreaterThan(count / 2);
  sink.reset();
});
