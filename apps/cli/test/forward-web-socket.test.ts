import type { Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ChannelStream,
  decodeWsClose,
  encodeResponseHead,
  encodeText,
  encodeWsClose,
  encodeWsMessage,
  encodeWsPiece,
  type Field,
  type RequestHead,
  requestDecoder,
  WsMessageDecoder,
} from '@sallyport/channel';
import { type Device, DeviceWebSocket, type WebSocketOptions } from '@sallyport/device';
import { afterAll, expect, test } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import { createForwardProxy } from '../src/device/forward/proxy.ts';

type Channel = Awaited<ReturnType<ConstructorParameters<typeof DeviceWebSocket>[0]>>;

/** The gateway's end of one WebSocket: what a device has said on it, and what the test answers. */
class Gateway {
  head: RequestHead | undefined;
  readonly said: { opcode: number; text: string; bytes: number }[] = [];
  resetCode: number | undefined;
  released = 0;
  readonly stream: ChannelStream;
  readonly #messages = new WsMessageDecoder();
  readonly #decoder = requestDecoder(
    {
      head: (head) => {
        this.head = head;
      },
      content: (bytes) => this.#content(bytes),
      trailers: () => undefined,
    },
    'raw',
  );
  readonly #frame = Buffer.alloc(65_536);
  /** False: nothing more of the device is read. */
  reads = true;

  constructor(sink: NonNullable<ChannelStream['sink']>) {
    const owner = {
      ready: () => void setImmediate(() => this.read()),
      queued() {},
      congested: false,
      flush() {},
      sendReset: (_stream: ChannelStream, code: number) => {
        this.resetCode = code;
      },
      release: (_stream: ChannelStream, bytes: number) => {
        this.released += bytes;
      },
      finished() {},
      failed: (_stream: ChannelStream, error: unknown) => {
        throw error;
      },
    };
    this.stream = new ChannelStream(owner, { id: 1, kind: 2, window: 1_048_576, opening: false });
    this.stream.sink = sink;
  }

  read(): void {
    while (this.reads && this.stream.sendable) {
      const { next, sent } = this.stream.writeNext(this.#frame, 0, { room: 65_536, credit: 65_536 });
      this.#decoder.push(Buffer.from(this.#frame.subarray(next - sent, next)));
      this.stream.credit(sent);
    }
  }

  tell(...parts: Uint8Array[]): void {
    for (const part of parts) this.stream.receive(part, false);
  }

  accept(...fields: Field[]): void {
    this.tell(encodeResponseHead({ status: 200, fields }));
  }

  #content(bytes: Uint8Array): void {
    for (const { opcode, bytes: content } of this.#messages.push(bytes)) {
      const { code, reason } = opcode === 8 ? decodeWsClose(content) : { code: undefined, reason: '' };
      const text = opcode === 8 ? `${code} ${reason}` : Buffer.from(content.subarray(0, 100)).toString();
      this.said.push({ opcode, text, bytes: content.length });
    }
  }
}

const opened: Gateway[] = [];
const device = {
  resources: [{ name: 't', kind: 'http', authority: 't.example' }],
  resume: async () => undefined,
  webSocket: (url: string, options: WebSocketOptions) => {
    const channel = {
      expect: () => () => undefined,
      openStream: async (_kind: number, sink: NonNullable<ChannelStream['sink']>) => {
        const gateway = new Gateway(sink);
        opened.push(gateway);
        return gateway.stream;
      },
    } as unknown as Channel;
    return new DeviceWebSocket(async () => channel, url, options);
  },
} as unknown as Device;

const server: Server = createForwardProxy(device);
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address() as AddressInfo;
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 9_000 && !condition(); i++) await sleep(10);
  expect(condition()).toBe(true);
}

/** A program of the user: what it hears, and the gateway's end of its WebSocket. */
async function client(protocols: string[] = [], options: ClientOptions = {}) {
  const before = opened.length;
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, protocols, {
    finishRequest: (request) => {
      request.path = 'http://t.example/chat?a=1';
      request.end();
    },
    ...options,
  });
  const heard: unknown[] = [];
  let fields: readonly string[] = [];
  socket.on('upgrade', (response) => {
    fields = response.rawHeaders;
  });
  socket.on('open', () => heard.push('open'));
  socket.on('message', (data: Buffer, isBinary) => heard.push(isBinary ? data.length : String(data)));
  socket.on('close', (code, reason) => heard.push([code, String(reason)]));
  socket.on('error', (error) => heard.push(error.message));
  await until(() => opened.length > before && opened[before]!.head !== undefined);
  return { socket, heard, gateway: opened[before]!, fields: () => fields };
}

test('a handshake goes on with all its fields, and is answered when and as the backend has answered', async () => {
  const headers = { cookie: 'sid=abc', origin: 'http://t.example', authorization: 'Bearer x', 'x-own': 'yes' };
  const { heard, gateway, socket, fields } = await client(['chat', 'superchat'], { headers });
  expect(gateway.head).toMatchObject({ authority: 't.example', path: '/chat?a=1' });
  expect(gateway.head!.fields).toEqual(expect.arrayContaining(Object.entries(headers)));
  expect(gateway.head!.fields).toContainEqual(['sec-websocket-protocol', 'chat, superchat']);
  // An offer to compress, which this client makes, is for nobody.
  expect(gateway.head!.fields.filter(([name]) => /^sec-websocket-|^upgrade|^connection/.test(name)).length).toBe(1);
  await sleep(30);
  expect(heard).toEqual([]);
  gateway.accept(
    ['sec-websocket-protocol', 'superchat'],
    ['set-cookie', 'a=1'],
    ['set-cookie', 'b=\xc3\x9c\xfc'],
    ['sallyport-error', 'X'],
  );
  gateway.tell(encodeWsMessage({ opcode: 1, bytes: encodeText('at once') }));
  await until(() => heard.length === 2);
  expect([heard, socket.protocol, socket.extensions]).toEqual([['open', 'at once'], 'superchat', '']);
  const cookies = fields().filter((_, i) => fields()[i - 1]?.toLowerCase() === 'set-cookie');
  expect([cookies, fields().some((name) => name.startsWith('sallyport'))]).toEqual([['a=1', 'b=\xc3\x9c\xfc'], false]);
  socket.terminate();
});

test('messages of text pass both ways as they are, whatever their letters and the bytes of the answer', async () => {
  const { heard, gateway, socket } = await client();
  gateway.accept(['x-name', '\xfc']);
  await until(() => heard.length === 1);
  const texts = ['Grüße', '5 € 🙂 Łódź', 'plain', 'ü'.repeat(40_000)];
  for (const text of texts) {
    gateway.tell(encodeWsMessage({ opcode: 1, bytes: encodeText(text) }));
    socket.send(text);
  }
  await until(() => heard.length === 1 + texts.length && gateway.said.length === texts.length);
  expect(heard).toEqual(['open', ...texts]);
  expect(gateway.said.map(({ bytes }) => bytes)).toEqual(texts.map((text) => Buffer.byteLength(text)));
  expect(gateway.said.slice(0, 3).map(({ text }) => text)).toEqual(texts.slice(0, 3));
  socket.terminate();
});

test('a backend that takes none of the subprotocols has none taken', async () => {
  const { heard, gateway, socket, fields } = await client(['chat']);
  gateway.accept();
  await until(() => heard.length > 0);
  expect(fields().map((name) => name.toLowerCase())).not.toContain('sec-websocket-protocol');
  socket.terminate();
});

/** The whole answer to a handshake that is refused. */
function raw(lines: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(lines));
    let text = '';
    socket.on('data', (data) => {
      text += data.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
  });
}
const HANDSHAKE =
  'GET http://t.example/ HTTP/1.1\r\nhost: t.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n' +
  'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n';

test.each<[number, Field[], string]>([
  [
    401,
    [
      ['www-authenticate', 'Basic realm="a"'],
      ['content-length', '2'],
    ],
    'no',
  ],
  [
    403,
    [
      ['set-cookie', 'a=1'],
      ['set-cookie', 'b=2'],
    ],
    'x'.repeat(200_000),
  ],
  [404, [], ''],
  [302, [['location', 'http://t.example/login']], ''],
])('a backend that answers %i is heard with its status, fields and content', async (status, fields, body) => {
  const before = opened.length;
  const answer = raw(HANDSHAKE);
  await until(() => opened.length > before && opened[before]!.head !== undefined);
  const gateway = opened[before]!;
  gateway.tell(encodeResponseHead({ status, fields }));
  for (let at = 0; at < body.length; at += 50_000) gateway.tell(encodeText(body.slice(at, at + 50_000)));
  gateway.stream.receive(new Uint8Array(0), true);
  const [head = '', content] = (await answer).split('\r\n\r\n');
  expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  for (const [name, value] of fields) expect(head.toLowerCase()).toContain(`${name}: ${value}`.toLowerCase());
  expect(content).toBe(body);
});

test.each([
  [HANDSHAKE.replace('==', ''), 400],
  [HANDSHAKE.replace('version: 13', 'version: 8'), 426],
  [HANDSHAKE.replace('GET', 'POST'), 400],
])('what is no handshake does not reach the gateway: %j', async (lines, status) => {
  const before = opened.length;
  expect(await raw(lines)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(opened.length).toBe(before);
});

test('an error of the gateway is told by its status and code', async () => {
  const before = opened.length;
  const answer = raw(HANDSHAKE);
  await until(() => opened.length > before);
  opened[before]!.stream.abort(69, 'no answer within 60 s (answer limit)');
  expect(await answer).toMatch(/^HTTP\/1.1 504 .*sallyport-error: BACKEND_TIMEOUT.*60 s \(answer limit\)/s);
});

test.each<[number, string]>([
  [1000, ''],
  [1001, 'restart'],
  [1008, 'no'],
  [1011, 'oops'],
  [1012, ''],
  [4401, 'é'.repeat(61)],
])('a close with %i "%s" is handed on, whoever closes', async (code, reason) => {
  const closed = await client();
  closed.gateway.accept();
  closed.gateway.tell(encodeWsClose({ code, reason }));
  closed.gateway.stream.receive(new Uint8Array(0), true);
  await until(() => closed.heard.length === 2);
  expect(closed.heard).toEqual(['open', [code, reason]]);
  const closing = await client();
  closing.gateway.accept();
  await until(() => closing.heard.length === 1);
  closing.socket.close(code, reason);
  await until(() => closing.gateway.said.length === 1);
  expect(closing.gateway.said[0]).toMatchObject({ opcode: 8, text: `${code} ${reason}` });
});

test('a connection that was lost on one side is lost on the other', async () => {
  const backend = await client();
  backend.gateway.accept();
  backend.gateway.stream.abort(68, 'it closed the connection');
  await until(() => backend.heard.length === 2);
  expect(backend.heard).toEqual(['open', [1006, '']]);
  const program = await client();
  program.gateway.accept();
  await until(() => program.heard.length === 1);
  program.socket.terminate();
  await until(() => program.gateway.resetCode !== undefined);
  expect(program.gateway.said).toEqual([]);
  const early = await client();
  early.socket.terminate();
  await until(() => early.gateway.resetCode !== undefined);
});

test('a ping is answered by the backend, and not by this machine', async () => {
  const { gateway, socket, heard } = await client();
  const pongs: string[] = [];
  socket.on('pong', (data) => void pongs.push(String(data)));
  gateway.accept();
  await until(() => heard.length === 1);
  socket.ping('there?');
  await until(() => gateway.said.length === 1);
  expect([gateway.said, pongs]).toEqual([[{ opcode: 9, text: 'there?', bytes: 6 }], []]);
  gateway.tell(encodeWsPiece({ opcode: 10, more: false, bytes: encodeText('there?') }));
  await until(() => pongs.length === 1);
  expect(pongs).toEqual(['there?']);
  socket.terminate();
});

test('large messages pass both ways, and who does not read holds the other side back', async () => {
  const { gateway, socket, heard } = await client();
  gateway.accept();
  await until(() => heard.length === 1);
  gateway.reads = false;
  const MESSAGES = 24;
  for (let i = 0; i < MESSAGES; i++) socket.send(Buffer.alloc(1_000_000, i));
  await until(() => gateway.stream.queuedBytes >= 1_000_000);
  await sleep(100);
  expect(gateway.stream.queuedBytes).toBeLessThan(5_000_000);
  gateway.reads = true;
  gateway.read();
  await until(() => {
    gateway.read();
    return gateway.said.length === MESSAGES;
  });
  expect(gateway.said.map(({ bytes }) => bytes)).toEqual(Array.from({ length: MESSAGES }, () => 1_000_000));
  socket.pause();
  const message = encodeWsMessage({ opcode: 2, bytes: new Uint8Array(1_000_000) });
  let told = 0;
  const room = (): boolean => gateway.stream.receiveCredit + gateway.released >= message.length * 1.1;
  gateway.released = 0;
  for (let i = 0; i < 60 && room(); i++) {
    for (let at = 0; at < message.length; at += 60_000) gateway.tell(message.subarray(at, at + 60_000));
    told += 1;
    await sleep(5);
  }
  expect(told).toBeLessThan(60);
  socket.resume();
  await until(() => heard.length === 1 + told);
  socket.terminate();
});
