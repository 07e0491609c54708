import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  encodeChunkPrefix,
  encodeMessageEnd,
  encodeRequestHead,
  encodeText,
  encodeWsMessage,
  prefix8,
} from '@sallyport/channel';
import { afterEach, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { testStream } from '../../../libs/channel/test/lone-stream.ts';
import { Gate, type Look } from '../src/serving/gate.ts';
import { HttpExchange } from '../src/streams/http.ts';
import { TcpExchange } from '../src/streams/tcp.ts';
import { WebSocketExchange } from '../src/streams/web-socket.ts';
import { TestHost } from './stream-place.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A backend that notes every byte it reads, and answers what a test says. */
async function backend(serve: (socket: Socket, text: string) => void = () => undefined) {
  const read: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      read.push(String(data));
      serve(socket, String(data));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: (scheme: string) => ({ url: `${scheme}://127.0.0.1:${port}`, networks: ['127.0.0.0/8'] }),
    read,
    sockets,
  };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 18_000 && !condition(); i++) await sleep(5);
  expect(condition()).toBe(true);
}

const head = (method: string): Uint8Array =>
  encodeRequestHead({ method, scheme: 'http', authority: 'wiki.corp', path: '/a', fields: [] });
const part = (text: string): Uint8Array => Buffer.concat([encodeChunkPrefix(text.length), encodeText(text)]);
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** A gate whose stream notes what it is told. */
function gateOf(host: TestHost, told: Look[] = []) {
  const passer = {
    over: false,
    admitted: () => undefined,
    pass: () => void told.push('pass'),
    refuse: (code: Look) => void told.push(code),
  };
  const flow = { pause: () => undefined, write: () => undefined };
  return new Gate<typeof flow, Pick<typeof flow, 'pause'>>(host, passer, {
    kind: 'http',
    authority: 'wiki.corp',
    method: 'GET',
    path: '/',
  });
}

test.each([
  ['rights are known, the grant allows, the lease lives', {}, 'pass'],
  ['rights are being read', { rights: 0 }, 'wait'],
  ['the grant refuses', { refused: 'RESOURCE_UNKNOWN' }, 'RESOURCE_UNKNOWN'],
  ['the app context refuses', { refused: 'CONTEXT_DENIED' }, 'CONTEXT_DENIED'],
  ['no lease, or the channel is closed', { serving: false }, 'LEASE_LOST'],
  ['reading goes before all else', { rights: 0, refused: 'RESOURCE_UNKNOWN', serving: false }, 'wait'],
] as const)('%s', (_what, state, expected) => {
  const host = new TestHost({ url: 'http://127.0.0.1:9', networks: [] });
  Object.assign(host.state, state);
  expect(gateOf(host).look()).toBe(expected);
});

test('what was allowed is decided again with every change of rights, and only then', () => {
  const host = new TestHost({ url: 'http://127.0.0.1:9', networks: [] });
  const gate = gateOf(host);
  expect(gate.look()).toBe('pass');
  host.state.refused = 'RESOURCE_UNKNOWN';
  host.state.rights = 2;
  expect(gate.look()).toBe('RESOURCE_UNKNOWN');
  gate.begin();
  expect(gate.look()).toBe('RIGHTS_LOST');
});

/** A request that waits because its only connection is taken by another one. */
async function queued() {
  let answer: (() => void) | undefined;
  const server = await backend((socket, text) => {
    if (text.includes('/a')) socket.write(OK);
    else answer = () => socket.write(OK);
  });
  const host = new TestHost(server.url('http'));
  closing.push(() => host.backends.close());
  const { stream, resets } = testStream(1);
  const sink = new HttpExchange({ host, stream });
  // The connection is dialled; what comes before it stands is the wait.
  sink.data(Buffer.concat([head('GET'), encodeMessageEnd()]));
  return { host, server, resets, sink, answer: () => answer?.() };
}

test('a request that waits for a connection does not go out after the entry that took the right away', async () => {
  const { host, server, resets } = await queued();
  host.state.refused = 'RESOURCE_UNKNOWN';
  host.state.rights = 2;
  await until(() => host.outcomes.length > 0);
  expect(resets).toEqual([{ code: 'RESOURCE_UNKNOWN', words: '' }]);
  await sleep(30);
  expect(server.read).toEqual([]);
});

test('a request that waits for a connection waits on while rights are being read', async () => {
  const { host, server, resets } = await queued();
  host.state.rights = 0;
  await until(() => server.sockets.size > 0);
  await sleep(30);
  expect([server.read, resets, host.outcomes]).toEqual([[], [], []]);
  host.known(2);
  await until(() => host.outcomes.length > 0);
  expect(host.outcomes).toEqual(['done']);
});

test('content that waits when the answer is whole is given back to its channel', async () => {
  const server = await backend();
  const host = new TestHost(server.url('http'));
  closing.push(() => host.backends.close());
  const { stream, released } = testStream(1);
  const sink = new HttpExchange({ host, stream });
  stream.sink = sink;
  const first = Buffer.concat([head('POST'), part('one')]);
  stream.receive(first, false);
  await until(() => server.read.join('').includes('one'));
  host.state.rights = 0;
  const rest = Buffer.concat([part('two'.repeat(5_000)), encodeMessageEnd()]);
  stream.receive(rest, true);
  for (const socket of server.sockets) socket.write(OK);
  await until(() => host.outcomes.length > 0);
  expect(host.outcomes).toEqual(['done']);
  expect(released()).toBe(first.length + rest.length);
});

test('content of a request waits while rights are being read, and is never sent once they are lost', async () => {
  const server = await backend();
  const host = new TestHost(server.url('http'));
  closing.push(() => host.backends.close());
  const { stream, resets } = testStream(1);
  const sink = new HttpExchange({ host, stream });
  sink.data(Buffer.concat([head('POST'), part('first')]));
  await until(() => server.read.join('').includes('first'));
  host.state.rights = 0;
  sink.data(part('second'));
  sink.data(encodeMessageEnd());
  await sleep(30);
  expect(server.read.join('')).not.toContain('second');
  expect(server.read.join('')).not.toContain('\r\n0\r\n');
  host.state.refused = 'RESOURCE_UNKNOWN';
  host.known(2);
  expect(resets).toEqual([{ code: 'RIGHTS_LOST', words: '' }]);
  await sleep(30);
  expect(server.read.join('')).not.toContain('second');
});

test('content that waited for rights goes out in order once they are known', async () => {
  const server = await backend((socket, text) => {
    if (text.includes('0\r\n\r\n')) socket.write(OK);
  });
  const host = new TestHost(server.url('http'));
  closing.push(() => host.backends.close());
  const { stream } = testStream(1);
  const sink = new HttpExchange({ host, stream });
  sink.data(Buffer.concat([head('POST'), part('first')]));
  await until(() => server.read.join('').includes('first'));
  host.state.rights = 0;
  for (const text of ['second', 'third']) sink.data(part(text));
  sink.data(encodeMessageEnd());
  host.known(2);
  await until(() => host.outcomes.length > 0);
  expect(host.outcomes).toEqual(['done']);
  expect(server.read.join('')).toMatch(/first\r\n6\r\nsecond\r\n5\r\nthird\r\n0\r\n\r\n$/);
});

test('a WebSocket is not asked for after the entry that took the right away while it was dialled', async () => {
  const server = await backend();
  const host = new TestHost(server.url('http'));
  const { stream, resets } = testStream(2);
  new WebSocketExchange({ host, stream }).data(head('GET'));
  host.state.refused = 'RESOURCE_UNKNOWN';
  host.state.rights = 2;
  await until(() => resets.length > 0);
  expect(resets[0]!.code).toBe('RESOURCE_UNKNOWN');
  await sleep(30);
  expect(server.read).toEqual([]);
});

test('a WebSocket is not asked for without a lease', async () => {
  const server = await backend();
  const host = new TestHost(server.url('http'));
  const { stream, resets } = testStream(2);
  new WebSocketExchange({ host, stream }).data(head('GET'));
  host.state.serving = false;
  await until(() => resets.length > 0);
  expect(resets[0]!.code).toBe('LEASE_LOST');
  await sleep(30);
  expect(server.read).toEqual([]);
});

test('messages of a WebSocket wait while rights are being read, and go on in order', async () => {
  const got: string[] = [];
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (socket) => socket.on('message', (data) => void got.push(String(data))));
  await new Promise<void>((resolve) => server.once('listening', resolve));
  closing.push(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const host = new TestHost({ url, networks: ['127.0.0.0/8'] });
  const { stream, resets } = testStream(2);
  const sink = new WebSocketExchange({ host, stream });
  closing.push(() => sink.reset());
  const say = (text: string): void => sink.data(encodeWsMessage({ opcode: 1, bytes: encodeText(text) }));
  sink.data(head('GET'));
  say('early');
  await until(() => got.length === 1);
  host.state.rights = 0;
  say('one');
  say('two');
  await sleep(30);
  expect(got).toEqual(['early']);
  host.known(2);
  await until(() => got.length === 3);
  expect(got).toEqual(['early', 'one', 'two']);
  host.state.rights = 0;
  say('never');
  host.state.refused = 'RESOURCE_UNKNOWN';
  host.known(3);
  expect(resets.map(({ code }) => code)).toEqual(['RIGHTS_LOST']);
});

test('bytes of a TCP stream leave only after a look when the connection is there, and wait while rights are read', async () => {
  const server = await backend();
  const host = new TestHost(server.url('tcp'), 'tcp');
  const { stream, resets } = testStream(3);
  const sink = new TcpExchange({ host, stream });
  closing.push(() => sink.reset());
  sink.data(Buffer.concat([prefix8(encodeText('db.corp:1')), encodeText('early')]));
  host.state.rights = 0;
  await until(() => server.sockets.size > 0);
  await sleep(30);
  expect(server.read).toEqual([]);
  host.known(2);
  await until(() => server.read.join('') === 'early');
  host.state.rights = 0;
  sink.data(encodeText('more'));
  host.state.refused = 'RESOURCE_UNKNOWN';
  host.known(3);
  expect(resets).toEqual([{ code: 'RIGHTS_LOST', words: '' }]);
  await sleep(30);
  expect(server.read.join('')).toBe('early');
});

test('a TCP stream that is broken off ends at its backend by a reset, not like a finished one', async () => {
  const server = await backend();
  const host = new TestHost(server.url('tcp'), 'tcp');
  const sink = new TcpExchange({ host, stream: testStream(3).stream });
  sink.data(Buffer.concat([prefix8(encodeText('db.corp:1')), encodeText('half')]));
  await until(() => server.read.length > 0);
  const [socket] = server.sockets;
  let code: string | undefined;
  let finished = false;
  socket!.on('error', (error: NodeJS.ErrnoException) => {
    code = error.code;
  });
  socket!.on('end', () => {
    finished = true;
  });
  sink.reset();
  await until(() => socket!.destroyed);
  expect([code, finished]).toEqual(['ECONNRESET', false]);
});

test('the path of a WebSocket goes out as it was matched, whatever a URL parser would make of it', async () => {
  const server = await backend();
  const host = new TestHost(server.url('http'));
  const sink = new WebSocketExchange({ host, stream: testStream(2).stream });
  closing.push(() => sink.reset());
  const path = '/a{b}/c|d"?q=\'<x>';
  sink.data(encodeRequestHead({ method: 'GET', scheme: 'http', authority: 'wiki.corp', path, fields: [] }));
  await until(() => server.read.length > 0);
  expect(server.read.join('').split('\r\n')[0]).toBe(`GET ${path} HTTP/1.1`);
});

test('a WebSocket answers pings and closes only after a look', async () => {
  const pongs: string[] = [];
  const closes: number[] = [];
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  const accepted = new Promise<WebSocket>((resolve) => server.on('connection', resolve));
  await new Promise<void>((resolve) => server.once('listening', resolve));
  closing.push(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const host = new TestHost({ url, networks: ['127.0.0.0/8'] });
  const sink = new WebSocketExchange({ host, stream: testStream(2).stream });
  closing.push(() => sink.reset());
  sink.data(head('GET'));
  const socket = await accepted;
  socket.on('pong', (data) => void pongs.push(String(data)));
  socket.on('close', (code) => void closes.push(code));
  socket.ping('one');
  await until(() => pongs.length === 1);
  host.state.rights = 0;
  socket.ping('two');
  sink.end();
  await sleep(30);
  expect([pongs, closes]).toEqual([['one'], []]);
  host.known(2);
  await until(() => closes.length === 1);
  expect([pongs, closes]).toEqual([['one'], [1005]]);
});

test('a request without content is looked at when it is wanted and last before its head, and not when nothing more can go', async () => {
  const { url, read } = await backend();
  const host = new (class extends TestHost {
    looks = 0;
    override mayServe(): boolean {
      this.looks += 1;
      return super.mayServe();
    }
  })(url('http'));
  const { stream } = testStream(1);
  stream.sink = new HttpExchange({ host, stream });
  stream.receive(Buffer.concat([head('GET'), encodeMessageEnd()]), true);
  expect(host.looks).toBe(1);
  await until(() => read.length > 0);
  expect(host.looks).toBe(2);
});
