import { existsSync, readFileSync } from 'node:fs';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  concat,
  encodeText,
  encodeUint,
  encodeWsClose,
  encodeWsMessage,
  encodeWsPiece,
  type Field,
} from '@sallyport/channel';
import { afterAll, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { acceptance, accepting, backendThat, closeBackends, type Serve, Told, until } from './web-socket-backend.ts';

afterAll(closeBackends);

const textOf = (text: string): Uint8Array => encodeWsMessage({ opcode: 1, bytes: encodeText(text) });
const binaryOf = (bytes: number): Uint8Array => encodeWsMessage({ opcode: 2, bytes: new Uint8Array(bytes).fill(7) });

/** A backend that keeps its one socket, and how that ended. */
async function oneSocket(options: object = {}) {
  const ends: { code: number; reason: string }[] = [];
  const messages: { text: string; bytes: number }[] = [];
  let socket: WebSocket | undefined;
  const backend = await backendThat(
    accepting((open) => {
      socket = open;
      open.on(
        'message',
        (data: Buffer) => void messages.push({ text: String(data.subarray(0, 100)), bytes: data.length }),
      );
      open.on('close', (code, reason) => void ends.push({ code, reason: String(reason) }));
    }),
  );
  const told = new Told({ ...backend, ...options });
  await told.until(({ head }) => head !== undefined && socket !== undefined);
  return { told, ends, messages, socket: socket! };
}

// The handshake.

const SENT: Field[] = [
  ['cookie', 'sid=abc'],
  ['cookie', 'theme=dark'],
  ['authorization', 'Bearer x'],
  ['origin', 'http://wiki.corp'],
  ['user-agent', 'own/1'],
  ['x-custom', 'one'],
  ['x-custom', 'two'],
  ['sec-websocket-protocol', 'chat, superchat'],
  ['sec-websocket-extensions', 'permessage-deflate'],
  ['sec-websocket-key', 'AAAAAAAAAAAAAAAAAAAAAA=='],
  ['forwarded', 'for=6.6.6.6'],
];

test('every field of the handshake passes, in both directions and also when its name stands twice; its own are made by each hop', async () => {
  let asked: { raw: string[]; headers: IncomingHttpHeaders; url: string } | undefined;
  const backend = await backendThat((request, socket) => {
    asked = { raw: request.rawHeaders, headers: request.headers, url: request.url! };
    const lines = ['Sec-WebSocket-Protocol: superchat', 'Set-Cookie: a=1', 'Set-Cookie: b=2', 'X-Own: yes'];
    socket.write(acceptance(request, ...lines));
  });
  const told = await new Told(backend, SENT).until(({ head }) => head !== undefined);
  const valuesOf = (name: string): string[] => asked!.raw.filter((_, i) => asked!.raw[i - 1]?.toLowerCase() === name);
  expect(valuesOf('cookie')).toEqual(['sid=abc', 'theme=dark']);
  expect(valuesOf('x-custom')).toEqual(['one', 'two']);
  expect(asked!.headers).toMatchObject({
    authorization: 'Bearer x',
    origin: 'http://wiki.corp',
    'user-agent': 'own/1',
    host: 'wiki.corp',
    forwarded: 'for=192.0.2.1;host=wiki.corp;proto=http',
    'sec-websocket-protocol': 'chat, superchat',
    'sec-websocket-version': '13',
  });
  expect(asked!.url).toBe('/ws?a=1');
  expect(asked!.headers['sec-websocket-extensions']).toBeUndefined();
  expect(valuesOf('sec-websocket-key')).not.toContain('AAAAAAAAAAAAAAAAAAAAAA==');
  expect(told.head).toEqual({
    status: 200,
    fields: [
      ['sec-websocket-protocol', 'superchat'],
      ['set-cookie', 'a=1'],
      ['set-cookie', 'b=2'],
      ['x-own', 'yes'],
    ],
  });
});

const LONG = 'x'.repeat(200_000);

test.each<[string, string, number, Field[], string]>([
  [
    '401',
    'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="a"\r\nContent-Length: 2\r\n\r\nno',
    401,
    [
      ['www-authenticate', 'Basic realm="a"'],
      ['content-length', '2'],
    ],
    'no',
  ],
  [
    '403 with two cookies',
    'HTTP/1.1 403 No\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n',
    403,
    [
      ['set-cookie', 'a=1'],
      ['set-cookie', 'b=2'],
      ['content-length', '0'],
    ],
    '',
  ],
  [
    '404 in chunks',
    'HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n',
    404,
    [],
    'abcde',
  ],
  [
    'a long one',
    `HTTP/1.1 500 No\r\nContent-Length: ${LONG.length}\r\n\r\n${LONG}`,
    500,
    [['content-length', '200000']],
    LONG,
  ],
  [
    'one that lasts until the end',
    'HTTP/1.1 503 No\r\nRetry-After: 5\r\n\r\nlater',
    503,
    [['retry-after', '5']],
    'later',
  ],
  [
    '426',
    'HTTP/1.1 426 No\r\nSec-WebSocket-Version: 8\r\nContent-Length: 0\r\n\r\n',
    426,
    [
      ['sec-websocket-version', '8'],
      ['content-length', '0'],
    ],
    '',
  ],
  [
    'an answer as if nobody had asked to upgrade',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi',
    502,
    [['content-length', '2']],
    'hi',
  ],
])(
  'a refusal reaches the device with its status, fields and content: %s',
  async (_what, answer, status, fields, body) => {
    const backend = await backendThat((_request, socket) => socket.end(answer));
    const told = new Told(backend);
    told.say(textOf('early'));
    await told.until(
      ({ stream, body: got }) => stream.queuedBytes === 0 && got.length === body.length && told.head !== undefined,
    );
    await until(() => told.host.outcomes.length > 0);
    expect([told.head, told.body, told.resets]).toEqual([{ status, fields }, body, []]);
    expect(told.host.outcomes).toEqual(['done']);
  },
);

test('a redirect of a refusal names the resource, not the backend', async () => {
  const backend = await backendThat((_request, socket) =>
    socket.end(`HTTP/1.1 302 Found\r\nLocation: ${backend.url}/login\r\nContent-Length: 0\r\n\r\n`),
  );
  const told = new Told(backend);
  const { host } = told;
  const decide = host.decide.bind(host);
  host.decide = (wanted) => (wanted?.authority === 'wiki.corp' ? decide() : { refused: 'RESOURCE_UNKNOWN' });
  await told.until(({ head }) => head !== undefined);
  expect(told.head!.fields).toContainEqual(['location', 'http://wiki.corp/login']);
});

test.each<[string, (request: IncomingMessage) => string]>([
  [
    'a wrong accept',
    () => 'HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n',
  ],
  ['no accept', () => 'HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'],
  ['another protocol', (request) => acceptance(request).replace('WebSocket\r\n', 'h2c\r\n')],
  ['a subprotocol that nobody offered', (request) => acceptance(request, 'Sec-WebSocket-Protocol: other')],
  [
    'an extension that nobody offered',
    (request) => acceptance(request, 'Sec-WebSocket-Extensions: permessage-deflate'),
  ],
  ['no HTTP', () => 'SSH-2.0-x\r\n\r\n'],
  ['the end of its connection', () => ''],
])('what accepts with %s has not accepted', async (_what, answer) => {
  const backend = await backendThat((request, socket) => socket.end(answer(request)));
  const told = new Told(backend, [['sec-websocket-protocol', 'chat']]);
  await until(() => told.resets.length > 0);
  expect([told.resets[0]!.code, told.read().head]).toEqual(['BACKEND_FAILED', undefined]);
});

test('an answer with very many spaces holds nobody up', async () => {
  // Looked at again and again they would take minutes, and the test its time.
  const lines = Array.from({ length: 16 }, () => `Upgrade: h2c${' '.repeat(60_000)}x`);
  const backend = await backendThat((request, socket) =>
    socket.end(acceptance(request, ...lines).replace('Upgrade: WebSocket\r\n', '')),
  );
  const told = new Told({ ...backend, fields: { bytes: 65_536 } });
  await until(() => told.resets.length > 0);
  expect(told.resets[0]!.code).toBe('BACKEND_FAILED');
});

// How it ends.

interface Case {
  readonly name: string;
  readonly backend?: string;
  readonly client?: string;
}
const CASES = new URL('../../../../shared/cases/websocket.json', import.meta.url);
if (!existsSync(CASES)) console.warn('note: no folder shared/ beside the project, so its closes are left out');
const fromTheField = existsSync(CASES) ? (JSON.parse(readFileSync(CASES, 'utf8')) as Case[]) : [];
const closesOf = (side: 'backend' | 'client'): [number, string][] =>
  fromTheField.flatMap((one) => {
    const [, code, reason] = /^close (\d+) '(.*)'$/.exec(one[side] ?? '') ?? [];
    return code === undefined ? [] : [[Number(code), reason!]];
  });

const CLOSES: [number, string][] = [
  [1000, ''],
  [1000, 'bye'],
  [1001, 'restart'],
  [1002, ''],
  [1008, 'no'],
  [1011, 'oops'],
  [1012, 'service restart'],
  [1014, 'bad gateway'],
  [3000, 'é'.repeat(61)],
  [4401, 'unauthorised'],
  [4999, 'x'.repeat(123)],
];

test.each([...CLOSES, ...closesOf('backend')])(
  'a backend that closes with %i "%s" is heard so, and answered',
  async (code, reason) => {
    const { told, ends, socket } = await oneSocket();
    socket.send('last words');
    socket.close(code, reason);
    await told.until(({ close }) => close !== undefined);
    expect([told.messages.map(({ text }) => text), told.close]).toEqual([['last words'], { code, reason }]);
    await until(() => ends.length > 0);
    expect(ends).toEqual([{ code, reason }]);
    await until(() => told.host.outcomes.length > 0);
    expect([told.host.outcomes, told.host.defects]).toEqual([['done'], []]);
  },
);

test.each([...CLOSES, ...closesOf('client')])(
  'a device that closes with %i "%s" is heard so, and answered',
  async (code, reason) => {
    const { told, ends } = await oneSocket();
    told.say(encodeWsClose({ code, reason }));
    await told.until(({ close }) => close !== undefined);
    expect([ends.length === 0 ? undefined : ends[0], told.close]).toEqual([ends[0], { code, reason }]);
    await until(() => ends.length > 0);
    expect(ends).toEqual([{ code, reason }]);
  },
);

test('what a device begins to say behind its close is nobody’s fault but its own', async () => {
  const { told, ends } = await oneSocket();
  told.say(encodeWsClose({ code: 1000, reason: 'done' }));
  told.say(textOf('more').subarray(0, 3));
  await until(() => ends.length > 0);
  expect([ends, told.host.defects]).toEqual([[{ code: 1000, reason: 'done' }], []]);
});

test('a close without a code has none on the other side either', async () => {
  const closed = await oneSocket();
  closed.socket.close();
  await closed.told.until(({ close }) => close !== undefined);
  expect(closed.told.close).toEqual({ code: undefined, reason: '' });
  const closing = await oneSocket();
  closing.told.stream.receive(new Uint8Array(0), true);
  await until(() => closing.ends.length > 0);
  expect(closing.ends).toEqual([{ code: 1005, reason: '' }]);
});

const raw = (answer: (request: IncomingMessage, socket: Socket) => void): Serve => answer;

test.each<[string, (socket: Socket) => void]>([
  ['drops its connection', (socket) => socket.resetAndDestroy()],
  ['ends its connection without a close', (socket) => socket.end()],
  ['closes with a code that must not be sent', (socket) => socket.end(Buffer.of(0x88, 2, 0x03, 0xee))],
  ['closes with one byte', (socket) => socket.end(Buffer.of(0x88, 1, 3))],
  ['closes with a reason that is not UTF-8', (socket) => socket.end(Buffer.of(0x88, 3, 0x03, 0xe8, 0xc3))],
  ['masks its frames', (socket) => socket.write(Buffer.of(0x81, 0x81, 0, 0, 0, 0, 0x61))],
  ['compresses without having asked', (socket) => socket.write(Buffer.of(0xc1, 1, 0x61))],
  ['continues what it never began', (socket) => socket.write(Buffer.of(0x80, 1, 0x61))],
  ['begins a message inside of another', (socket) => socket.write(Buffer.of(0x01, 1, 0x61, 0x81, 1, 0x61))],
  ['cuts a ping', (socket) => socket.write(Buffer.of(0x09, 0))],
  ['sends an unknown opcode', (socket) => socket.write(Buffer.of(0x83, 0))],
  ['writes a length longer than needed', (socket) => socket.write(Buffer.of(0x82, 126, 0, 1, 0))],
])('a backend that %s is never taken for one that has closed', async (_what, misbehave) => {
  const backend = await backendThat(
    raw((request, socket) => {
      socket.write(acceptance(request));
      setImmediate(() => misbehave(socket));
    }),
  );
  const told = new Told(backend);
  await until(() => told.resets.length > 0);
  expect([told.resets[0]!.code, told.close, told.host.defects]).toEqual(['BACKEND_FAILED', undefined, []]);
});

test('the backend of a device that was lost sees that, and no close', async () => {
  const { told, ends } = await oneSocket();
  told.sink.reset();
  await until(() => ends.length > 0);
  expect(ends[0]!.code).toBe(1006);
});

test.each([
  [
    'a reason of 124 bytes',
    encodeWsPiece({ opcode: 8, more: false, bytes: concat(encodeUint(1000, 2), new Uint8Array(124)) }),
  ],
  ['a code that no close frame may hold', encodeWsPiece({ opcode: 8, more: false, bytes: encodeUint(1005, 2) })],
  ['one byte', encodeWsPiece({ opcode: 8, more: false, bytes: Uint8Array.of(3) })],
  ['an opcode that does not exist', Uint8Array.of(3, 0, 0, 0, 0)],
  ['a piece that is too long', Uint8Array.of(2, 0, 1, 0, 1)],
])('a device that sends %s before the backend has accepted ends its stream, nothing else', async (_what, bytes) => {
  const pending: (() => void)[] = [];
  const accept = accepting(() => undefined);
  const backend = await backendThat((...handshake) => void pending.push(() => accept(...handshake)));
  const told = new Told(backend);
  told.say(bytes);
  await until(() => pending.length === 1);
  pending[0]!();
  await until(() => told.resets.length === 1);
  expect([told.resets[0]!.code, told.host.defects]).toEqual(['REQUEST_BROKEN', []]);
});

// Messages.

test('what came early is said once the backend has accepted, the close behind it', async () => {
  const pending: (() => void)[] = [];
  const heard: string[] = [];
  const accept = accepting((socket) => {
    socket.on('message', (data) => void heard.push(String(data)));
    socket.on('close', (code, reason) => void heard.push(`${code} ${reason}`));
  });
  const backend = await backendThat((...handshake) => void pending.push(() => accept(...handshake)));
  const told = new Told(backend);
  told.say(concat(textOf('first'), encodeWsClose({ code: 4001, reason: 'why' })));
  await until(() => pending.length === 1);
  pending[0]!();
  await until(() => heard.length === 2);
  expect([heard, told.host.defects]).toEqual([['first', '4001 why'], []]);
});

test('any number of small messages reaches a slow backend in order, and each one is charged', async () => {
  const { told, messages } = await oneSocket();
  const count = 20_000;
  const all = Array.from({ length: count }, (_, i) => textOf(String(i)));
  for (let at = 0; at < count; at += 5_000) {
    told.say(concat(...all.slice(at, at + 5_000)));
    await sleep(1);
  }
  await until(() => messages.length === count);
  expect(messages.map(({ text }) => text)).toEqual(Array.from({ length: count }, (_, i) => String(i)));
  expect(told.host.spent).toBeGreaterThan(count / 2);
});

test.each([0, 1, 125, 126, 65_535, 65_536, 65_537, 5_000_000])(
  'a message of %i bytes passes whole, both ways',
  async (size) => {
    const { told, messages, socket } = await oneSocket();
    socket.send(Buffer.alloc(size, 7));
    await told.until(({ messages: got }) => got.length === 1);
    expect(told.messages[0]).toMatchObject({ opcode: 2, bytes: size });
    const bytes = binaryOf(size);
    for (let at = 0; at < bytes.length; at += 60_000) {
      await until(() => told.stream.receiveCredit + told.released() >= 60_000);
      told.say(bytes.subarray(at, at + 60_000));
    }
    await until(() => messages.length === 1);
    expect(messages[0]!.bytes).toBe(size);
  },
);

test('text that is cut within a character passes, and pings are answered between the pieces of a message', async () => {
  const { told, messages, socket } = await oneSocket();
  const pongs: string[] = [];
  socket.on('pong', (data) => void pongs.push(String(data)));
  told.say(encodeWsPiece({ opcode: 1, more: true, bytes: Uint8Array.of(0x68, 0xc3) }));
  socket.ping('alive?');
  await until(() => pongs.length === 1);
  told.say(encodeWsPiece({ opcode: 0, more: false, bytes: Uint8Array.of(0xa9) }));
  await until(() => messages.length === 1);
  expect([pongs, messages[0]!.text]).toEqual([['alive?'], 'hé']);
});

test('a ping of the device reaches the backend, and its answer comes back', async () => {
  const { told, socket } = await oneSocket();
  const pings: string[] = [];
  socket.on('ping', (data) => void pings.push(String(data)));
  told.say(encodeWsPiece({ opcode: 9, more: false, bytes: encodeText('there?') }));
  await told.until(({ messages }) => messages.length === 1);
  expect([pings, told.messages]).toEqual([['there?'], [{ opcode: 10, text: 'there?', bytes: 6 }]]);
});

test('while rights are being read a ping of the backend stays without an answer', async () => {
  const { told, socket } = await oneSocket();
  let pongs = 0;
  socket.on('pong', () => {
    pongs += 1;
  });
  told.host.state.rights = 0;
  socket.ping('one');
  await sleep(50);
  expect(pongs).toBe(0);
  told.host.known(2);
  socket.ping('two');
  await until(() => pongs === 1);
});

test.each([
  ['at once', [60_001]],
  ['in pieces', [30_000, 30_001]],
])('a message of the device that is too long %s closes both sides with 1009', async (_what, sizes) => {
  const { told, ends, messages } = await oneSocket({ webSocketMessageBytes: 60_000 });
  told.say(binaryOf(60_000));
  await until(() => messages.length === 1);
  for (const [i, size] of sizes.entries()) {
    const of = { opcode: i === 0 ? 2 : 0, more: i < sizes.length - 1, bytes: new Uint8Array(size) };
    told.say(encodeWsPiece(of));
  }
  await told.until(({ close }) => close !== undefined);
  const said = { code: 1009, reason: 'a message has more than 60000 bytes' };
  await until(() => ends.length === 1);
  expect([told.close, ends]).toEqual([said, [said]]);
});

test.each([
  ['at once', [100_001]],
  ['in frames', [60_000, 40_001]],
])('a message of the backend that is too long %s closes both sides with 1009', async (_what, sizes) => {
  const { told, ends, socket } = await oneSocket({ webSocketMessageBytes: 100_000 });
  socket.send(Buffer.alloc(100_000));
  await told.until(({ messages }) => messages.length === 1);
  for (const [i, size] of sizes.entries())
    socket.send(Buffer.alloc(size), { fin: i === sizes.length - 1, binary: true });
  await told.until(({ close }) => close !== undefined);
  const said = { code: 1009, reason: 'a message has more than 100000 bytes' };
  await until(() => ends.length === 1);
  expect([told.close, ends]).toEqual([said, [said]]);
});

test('the limit of the realm holds where the resource says nothing', async () => {
  const { told, socket } = await oneSocket();
  told.host.webSocketMessageBytes = 10;
  const other = await oneSocket({ webSocketMessageBytes: 20 });
  other.told.host.webSocketMessageBytes = 10;
  socket.send('x'.repeat(1_000));
  other.socket.send('x'.repeat(20));
  await told.until(({ messages }) => messages.length === 1);
  await other.told.until(({ messages }) => messages.length === 1);
  const backend = await backendThat(accepting((open) => open.send('x'.repeat(17_000_000))));
  const usual = await new Told(backend).until(({ close }) => close !== undefined);
  expect(usual.close).toEqual({ code: 1009, reason: 'a message has more than 16777216 bytes' });
});

// Who does not read.

test('a device that does not read holds its backend back, and nothing of a message is held for it but a window', async () => {
  const { told, socket } = await oneSocket();
  let sent = false;
  socket.send(Buffer.alloc(16_000_000), () => {
    sent = true;
  });
  await until(() => told.stream.queuedBytes > 256 * 1024);
  await sleep(100);
  expect(told.stream.queuedBytes).toBeLessThan(256 * 1024 + 2 * 65_536 + 100);
  expect(sent).toBe(false);
  await told.until(({ messages }) => messages.length === 1);
  expect(told.messages[0]!.bytes).toBe(16_000_000);
});

test('a backend that does not read holds its device back', async () => {
  const sockets: Socket[] = [];
  const backend = await backendThat((request, socket) => {
    socket.write(acceptance(request));
    socket.pause();
    sockets.push(socket);
  });
  const told = await new Told(backend).until(({ head }) => head !== undefined);
  const piece = binaryOf(65_536);
  const room = (): boolean => told.stream.receiveCredit + told.released() >= piece.length;
  let sent = 0;
  for (; room() && sent < 1_000; sent++) {
    told.say(piece);
    await sleep(5);
  }
  expect(room()).toBe(false);
  expect(sent).toBeLessThan(1_000);
  sockets[0]!.resume();
  await until(room);
});

// Time.

test('an idle WebSocket ends with a close that says which limit it was, on both sides', async () => {
  const { told, ends } = await oneSocket({ timeouts: { idleMs: 200 } });
  await told.until(({ close }) => close !== undefined);
  const said = { code: 1001, reason: 'nothing moved for 200 ms (idle limit)' };
  await until(() => ends.length > 0);
  expect([told.close, ends]).toEqual([said, [said]]);
});

test('a backend that does not answer the handshake has the answer limit', async () => {
  const backend = await backendThat(() => undefined);
  const told = new Told({ ...backend, timeouts: { answerMs: 100 } });
  await until(() => told.resets.length > 0);
  expect(told.resets).toEqual([{ code: 'BACKEND_TIMEOUT', words: 'no answer within 100 ms (answer limit)' }]);
});
