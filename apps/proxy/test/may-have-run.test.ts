import {
  constants,
  createServer as createHttp2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  encodeChunkPrefix,
  encodeMessageEnd,
  encodeRequestHead,
  encodeText,
  encodeWsMessage,
  neverRan,
  prefix8,
} from '@sallyport/channel';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { testStream } from '../../../libs/channel/test/lone-stream.ts';
import type { Exchange } from '../src/streams/exchange.ts';
import { HttpExchange } from '../src/streams/http.ts';
import { TcpExchange } from '../src/streams/tcp.ts';
import { WebSocketExchange } from '../src/streams/web-socket.ts';
import { TestHost } from './stream-place.ts';

const seed = Number(process.env.TEST_SEED ?? Date.now() % 2 ** 31);
const RUNS = 150;

/** How a backend behaves; it notes in any case that it read something. */
const BACKENDS = [
  'answers',
  'closes',
  'says nonsense',
  'is silent',
  'accepts a WebSocket badly',
  'is not there',
] as const;
/** What happens on the device's side or to the channel, in any order. */
const STEPS = [
  'a while',
  'a turn',
  'content',
  'end',
  'bad content',
  'bad trailers',
  'padding that is not zero',
  'finish',
  'a bad message',
  'rights are read',
  'rights are known',
  'the right is lost',
  'the context is denied',
  'the lease is lost',
  'the resource moves',
] as const;

function answer(kind: (typeof BACKENDS)[number], socket: Socket): void {
  if (kind === 'answers') socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
  if (kind === 'closes') socket.destroy();
  if (kind === 'says nonsense') socket.write('\0\0 not http\r\n\r\n');
  if (kind === 'accepts a WebSocket badly') socket.write('HTTP/1.1 101 Switching\r\nupgrade: websocket\r\n\r\n');
}

function start(kind: number, host: TestHost) {
  const { stream, resets } = testStream(kind);
  const place = { host, stream };
  const sink: Exchange =
    kind === 1 ? new HttpExchange(place) : kind === 2 ? new WebSocketExchange(place) : new TcpExchange(place);
  stream.sink = sink;
  return { sink, resets };
}

const opening = (kind: number, method: string): Uint8Array =>
  kind === 3
    ? prefix8(encodeText('wiki.corp'))
    : encodeRequestHead({
        method: kind === 2 ? 'GET' : method,
        scheme: 'http',
        authority: 'wiki.corp',
        path: '/pay',
        fields: method === 'PUT' && kind === 1 ? [['content-length', '5']] : [],
      });

function step(what: (typeof STEPS)[number], to: { kind: number; sink: Exchange; host: TestHost }): unknown {
  const { kind, sink, host } = to;
  const { state } = host;
  const recheck = (): void => sink.recheck();
  switch (what) {
    case 'a while':
      return sleep(8);
    case 'a turn':
      return sleep(0);
    case 'content':
      return sink.data(
        kind === 1
          ? Buffer.concat([encodeChunkPrefix(5), encodeText('hello')])
          : kind === 2
            ? encodeWsMessage({ opcode: 1, bytes: encodeText('hello') })
            : encodeText('hello'),
      );
    case 'end':
      return kind === 1 ? sink.data(encodeMessageEnd()) : undefined;
    case 'bad content':
      return kind === 3 ? undefined : sink.data(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff));
    case 'bad trailers':
      return kind === 1
        ? sink.data(Buffer.concat([Uint8Array.of(0, 4), encodeText('host'), Uint8Array.of(1, 0x61, 0)]))
        : undefined;
    case 'padding that is not zero':
      return kind === 1 ? sink.data(Buffer.concat([encodeMessageEnd(), Uint8Array.of(1)])) : undefined;
    case 'finish':
      return sink.end();
    case 'a bad message':
      return kind === 2 ? sink.data(Uint8Array.of(3, 0, 0, 0, 0)) : undefined;
    case 'rights are read':
      state.rights = 0;
      return undefined;
    case 'rights are known':
      return host.known(state.rights + 1);
    case 'the right is lost':
      state.refused = 'REQUEST_REFUSED';
      recheck();
      return host.known(state.rights + 1);
    case 'the context is denied':
      state.refused = 'CONTEXT_DENIED';
      state.rights += 1;
      return recheck();
    case 'the lease is lost':
      state.serving = false;
      return undefined;
    case 'the resource moves':
      state.backend = { ...state.backend, networks: [...state.backend.networks, '10.0.0.0/8'] };
      return host.known(state.rights + 1);
  }
}

test(`whatever ends a stream, at whatever moment: a code that says "never ran" is true (seed ${seed})`, async () => {
  const codes = new Set<string>();
  const run = fc.asyncProperty(
    fc.constantFrom(1, 2, 3),
    fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
    fc.constantFrom(...BACKENDS),
    fc.array(fc.constantFrom(...STEPS), { minLength: 1, maxLength: 8 }),
    async (kind, method, behaviour, steps) => {
      let read = 0;
      const sockets = new Set<Socket>();
      const server = createServer((socket) => {
        sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('data', (data) => {
          read += data.length;
          answer(behaviour, socket);
        });
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as AddressInfo;
      if (behaviour === 'is not there') server.close();
      const scheme = kind === 3 ? 'tcp' : 'http';
      const host = new TestHost({ url: `${scheme}://127.0.0.1:${port}`, networks: ['127.0.0.0/8'] }, scheme);
      const { sink, resets } = start(kind, host);
      sink.data(opening(kind, method));
      for (const what of steps) await step(what, { kind, sink, host });
      await sleep(10);
      const code = resets[0]?.code;
      if (resets.length === 0) sink.reset(64);
      host.backends.close();
      // What is on its way to the backend arrives before the end of its connection.
      await sleep(10);
      for (const socket of sockets) socket.destroy();
      server.close();
      if (code === undefined) return;
      codes.add(code);
      if (neverRan(code)) expect([code, read]).toEqual([code, 0]);
    },
  );
  await fc.assert(run, { seed, numRuns: RUNS, endOnFailure: true });
  // The runs reach both sides: endings before and after a backend could know of the stream.
  expect([...codes].some(neverRan)).toBe(true);
  expect([...codes].some((code) => !neverRan(code))).toBe(true);
});

/** How a backend behaves that speaks HTTP/2 only; the first two truly run nothing. */
const HTTP2_BACKENDS = ['refuses', 'says goodbye', 'answers', 'breaks', 'closes', 'is silent'] as const;

/** True when the backend has run something of the stream. */
function serve(kind: (typeof HTTP2_BACKENDS)[number], stream: ServerHttp2Stream): boolean {
  stream.on('error', () => undefined);
  if (kind === 'refuses') stream.close(constants.NGHTTP2_REFUSED_STREAM);
  if (kind === 'says goodbye') stream.session?.goaway(constants.NGHTTP2_NO_ERROR, (stream.id ?? 2) - 2);
  if (kind === 'answers') stream.respond({ ':status': 200 }, { endStream: true });
  if (kind === 'breaks') stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  if (kind === 'closes') stream.session?.destroy();
  return kind !== 'refuses' && kind !== 'says goodbye';
}

test(`the same over HTTP/2, and when HTTP/1.1 is spoken to who speaks HTTP/2 only (seed ${seed})`, async () => {
  const codes = new Set<string>();
  const run = fc.asyncProperty(
    fc.constantFrom('1.1', '2', '2', '2'),
    fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
    fc.constantFrom(...HTTP2_BACKENDS),
    fc.array(fc.constantFrom(...STEPS), { minLength: 1, maxLength: 8 }),
    async (http, method, behaviour, steps) => {
      let ran = 0;
      const sessions = new Set<ServerHttp2Session>();
      const server = createHttp2Server();
      server.on('session', (session) => {
        sessions.add(session);
        session.on('error', () => undefined);
      });
      server.on('stream', (stream) => {
        if (serve(behaviour, stream)) ran += 1;
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as AddressInfo;
      const backend = { url: `http://127.0.0.1:${port}`, networks: ['127.0.0.0/8'], http: http as '2' };
      const host = new TestHost(backend, 'http');
      const { sink, resets } = start(1, host);
      sink.data(opening(1, method));
      for (const what of steps) await step(what, { kind: 1, sink, host });
      for (let i = 0; i < 20 && host.outcomes.length === 0; i++) await sleep(2);
      const code = resets[0]?.code;
      if (resets.length === 0) sink.reset(64);
      host.backends.close();
      await sleep(10);
      for (const session of sessions) session.destroy();
      server.close();
      expect(host.defects).toEqual([]);
      if (code === undefined) return;
      codes.add(code);
      if (neverRan(code)) expect([code, ran]).toEqual([code, 0]);
    },
  );
  await fc.assert(run, { seed, numRuns: RUNS, endOnFailure: true });
  expect([...codes].some(neverRan)).toBe(true);
  expect([...codes].some((code) => !neverRan(code))).toBe(true);
});
