import { createHash } from 'node:crypto';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { guardWith } from '@sallyport/telemetry';
import { afterEach, expect, test } from 'vitest';
import { Backends } from '../src/backend/backends.ts';
import { TIME_LIMITS } from '../src/backend/time-limits.ts';
import { BackendWebSocket, type WebSocketSink } from '../src/backend/web-socket.ts';
import { FrameReader } from '../src/backend/web-socket-frames.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

const nothing = (): void => undefined;
const TINY = Buffer.of(0x81, 1, 0x61);
const frames = (count: number, frame: Uint8Array): Buffer => Buffer.concat(Array.from({ length: count }, () => frame));

test('of thousands of pings in one read the last one is told', () => {
  const pings: string[] = [];
  const sink = {
    part: nothing,
    pong: nothing,
    close: nothing,
    ping: (bytes: Buffer) => void pings.push(String(bytes)),
  };
  const reader = new FrameReader(sink, 1_000);
  const last = Buffer.concat([Buffer.of(0x89, 4), Buffer.from('last')]);
  reader.push(Buffer.concat([frames(5_000, Buffer.of(0x89, 0)), last, TINY, last.subarray(0, 3)]));
  expect([pings, reader.smallFrames]).toEqual([['last'], 5_003]);
  reader.push(last.subarray(3));
  expect([pings, reader.smallFrames]).toEqual([['last', 'last'], 1]);
});

/** A WebSocket to a backend that says what a test wants, once it is open. */
async function opened(spend: (smallFrames: number) => number, said: Buffer) {
  const server = createServer((socket) => {
    closing.push(() => socket.destroy());
    socket.on('error', nothing);
    socket.once('data', (bytes) => {
      const key = /sec-websocket-key: (\S+)/i.exec(String(bytes))![1];
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
      );
      setTimeout(() => socket.write(said), 20);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const socket: Socket = connectTcp((server.address() as AddressInfo).port, '127.0.0.1');
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  closing.push(() => {
    socket.destroy();
    server.close();
  });
  const sink = { ...stubs, spend } as unknown as WebSocketSink;
  const limits = { ...TIME_LIMITS, maxMessageBytes: 1_000 };
  const webSocket = new BackendWebSocket(socket, { sink, limits, guard: guardWith(nothing) });
  webSocket.ask({ path: '/', authority: 'wiki.corp', fields: [], protocols: [] });
  return { webSocket, socket };
}

const stubs = {
  opened: nothing,
  refused: nothing,
  body: nothing,
  answered: nothing,
  part: nothing,
  pong: nothing,
  close: nothing,
  pushed: nothing,
  idle: nothing,
  tooLong: nothing,
  failed: nothing,
  mayAnswer: () => true,
  gone: nothing,
};

test('a backend pays for small frames: its WebSocket is not read until they are paid for', async () => {
  const spent: number[] = [];
  const spend = (smallFrames: number): number => {
    spent.push(smallFrames);
    return 30;
  };
  const { webSocket, socket } = await opened(spend, frames(500, TINY));
  while (spent.length === 0) await sleep(5);
  expect(spent[0]).toBeGreaterThan(64);
  // The pause of the device's side outlasts the rest, and the rest its end.
  webSocket.pause();
  await sleep(60);
  expect(socket.isPaused()).toBe(true);
  webSocket.resume();
  expect(socket.isPaused()).toBe(false);
});

test('small frames of all WebSockets to a backend count together', () => {
  const backends = new Backends();
  const backend = { url: 'http://127.0.0.1:1', networks: ['127.0.0.0/8'] };
  expect(backends.spend(backend, 50_000)).toBe(0);
  expect(backends.spend(backend, 50_000)).toBeGreaterThan(0);
  expect(backends.spend({ ...backend }, 50_000)).toBe(0);
});
