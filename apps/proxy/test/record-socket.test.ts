import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { ENDPOINT_PATH, MAX_MESSAGE_BYTES, SUBPROTOCOL } from '@sallyport/channel';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { RecordSocket } from '../src/device/record-socket.ts';
import { upgradeAnswer, upgradeRefusal } from '../src/device/upgrade.ts';

const HEADERS = `host: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: ${SUBPROTOCOL}`;

/** A server that sends every message back, or what a test wants. */
const accepted: { received: Buffer[]; socket: RecordSocket }[] = [];
const server: Server = createServer();
server.on('upgrade', (request, socket: Socket, head) => {
  const refusal = upgradeRefusal(request);
  if (refusal) return void socket.end(`HTTP/1.1 ${refusal}\r\n\r\n`);
  socket.write(upgradeAnswer(request));
  if (head.length > 0) socket.unshift(head);
  const received: Buffer[] = [];
  const records = new RecordSocket(socket, {
    message: (bytes) => {
      received.push(Buffer.from(bytes));
      records.send(bytes);
    },
    drained: () => undefined,
    closed: () => undefined,
    failed: (error) => {
      throw error;
    },
  });
  accepted.push({ received, socket: records });
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address() as AddressInfo;
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function client(): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${ENDPOINT_PATH}`, SUBPROTOCOL, { perMessageDeflate: false });
  return new Promise((resolve, reject) => {
    socket.once('open', () => resolve(socket));
    socket.once('error', reject);
  });
}

function next(socket: WebSocket): Promise<Buffer> {
  return new Promise((resolve) => socket.once('message', (data) => resolve(data as Buffer)));
}

/** Bytes on a plain socket after the handshake; gives everything the server said until it closed. */
function raw(parts: readonly Buffer[], headers = HEADERS): Promise<Buffer> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const said: Buffer[] = [];
    socket.on('data', (data) => said.push(data));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(said)));
    socket.write(`GET ${ENDPOINT_PATH} HTTP/1.1\r\n${headers}\r\n\r\n`);
    for (const part of parts) socket.write(part);
  });
}

/** A masked frame, whole unless told otherwise. */
function frame(first: number, content: Buffer, mask = Buffer.from([1, 2, 3, 4])): Buffer {
  const length =
    content.length < 126
      ? Buffer.from([0x80 | content.length])
      : content.length < 65_536
        ? Buffer.from([0xfe, content.length >> 8, content.length & 0xff])
        : Buffer.concat([Buffer.from([0xff, 0, 0, 0, 0]), uint32(content.length)]);
  return Buffer.concat([Buffer.from([first]), length, mask, content.map((byte, i) => byte ^ mask[i % 4]!)]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** The code with which the server said goodbye. */
function closeCode(said: Buffer): number | undefined {
  const at = said.indexOf('\r\n\r\n') + 4;
  return said[at] === 0x88 ? said.readUInt16BE(at + 2) : undefined;
}

test('messages of every size come back byte for byte, as an independent client sees them', async () => {
  const socket = await client();
  for (const size of [0, 1, 3, 124, 125, 126, 127, 511, 512, 513, 4_095, 4_096, 4_097, 65_535, MAX_MESSAGE_BYTES]) {
    const message = Buffer.from(Array.from({ length: size }, (_, i) => (i * 31 + size) & 0xff));
    socket.send(message);
    expect(Buffer.compare(await next(socket), message), `${size} bytes`).toBe(0);
  }
  socket.close();
});

test('frames arrive whole however they are cut, and masks are undone at any alignment', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 1_500 }), { minLength: 1, maxLength: 6 }),
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.array(fc.nat(3_000), { maxLength: 4 }),
      async (messages, mask, cuts) => {
        const bytes = Buffer.concat(messages.map((message) => frame(0x82, Buffer.from(message), Buffer.from(mask))));
        const sorted = [...new Set(cuts.map((cut) => cut % bytes.length))].sort((a, b) => a - b);
        const pieces = [0, ...sorted].map((start, i) => bytes.subarray(start, sorted[i] ?? bytes.length));
        const before = accepted.length;
        await raw([...pieces, frame(0x88, Buffer.alloc(0))]);
        expect(accepted[before]!.received.map((one) => [...one])).toEqual(messages.map((message) => [...message]));
      },
    ),
    { numRuns: 60 },
  );
});

test.each([
  ['text', frame(0x81, Buffer.from('x')), 1003],
  ['a fragment', frame(0x02, Buffer.from('x')), 1002],
  ['a continuation', frame(0x80, Buffer.from('x')), 1002],
  ['an unknown opcode', frame(0x83, Buffer.from('x')), 1002],
  ['a reserved bit', frame(0xc2, Buffer.from('x')), 1002],
  ['a frame without a mask', Buffer.from([0x82, 1, 0x78]), 1002],
  ['a long ping', frame(0x89, Buffer.alloc(126)), 1002],
  ['a fragmented ping', frame(0x09, Buffer.alloc(1)), 1002],
  ['a message that is too large', frame(0x82, Buffer.alloc(MAX_MESSAGE_BYTES + 1)), 1009],
  ['a length of 64 bits', Buffer.from([0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 1009],
])('%s closes the socket by its code, and nothing behind it is read', async (_name, bytes, code) => {
  const before = accepted.length;
  expect(closeCode(await raw([bytes, frame(0x82, Buffer.from('late'))]))).toBe(code);
  expect(accepted[before]!.received).toEqual([]);
});

test('of pings that come together the newest is answered: each answer is a write of its own', async () => {
  const pings = Array.from({ length: 5_000 }, (_, i) => frame(0x89, uint32(i)));
  const newest = Buffer.concat([Buffer.from([0x8a, 4]), uint32(4_999)]);
  const socket = connect(port, '127.0.0.1');
  let said = Buffer.alloc(0);
  await new Promise<void>((resolve) => {
    socket.on('data', (data) => {
      said = Buffer.concat([said, data]);
      if (said.includes(newest)) resolve();
    });
    socket.write(`GET ${ENDPOINT_PATH} HTTP/1.1\r\n${HEADERS}\r\n\r\n`);
    socket.write(Buffer.concat(pings));
  });
  socket.destroy();
  // One for each read of the socket.
  expect((said.length - said.indexOf('\r\n\r\n') - 4) / newest.length).toBeLessThan(500);
});

test('a ping is answered, a pong is not, and a close is answered with a close', async () => {
  const socket = await client();
  const pong = new Promise<Buffer>((resolve) => socket.once('pong', resolve));
  socket.pong('unasked');
  socket.ping('here');
  expect(String(await pong)).toBe('here');
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  socket.close(1000);
  expect(await closed).toBe(1000);
});

test('what a slow reader has not taken yet is not overwritten by what others are sent', async () => {
  const [slow, quick] = [await client(), await client()];
  const server = accepted.at(-2)!.socket;
  slow.pause();
  const sent = Array.from({ length: 200 }, (_, i) => Buffer.alloc(60_000, i));
  for (const message of sent) server.send(message);
  for (let i = 0; i < 50; i++) {
    quick.send(Buffer.alloc(60_000, 0xff));
    await next(quick);
  }
  const seen: number[] = [];
  const all = new Promise<void>((resolve) => {
    slow.on('message', (data: Buffer) => {
      expect(data.every((byte) => byte === data[0])).toBe(true);
      if (seen.push(data[0]!) === sent.length) resolve();
    });
  });
  slow.resume();
  await all;
  expect(seen).toEqual(sent.map((message) => message[0]));
  for (const socket of [slow, quick]) socket.terminate();
});

test.each([
  ['another version', HEADERS.replace(': 13', ': 8'), '426'],
  ['no key', HEADERS.replace(/sec-websocket-key: .*\r\n/, ''), '400'],
  ['a key that is no base64 of 16 bytes', HEADERS.replace('AAAAAAAAAAAAAAAAAAAAAA==', 'AAAA'), '400'],
  ['another subprotocol', HEADERS.replace(SUBPROTOCOL, 'other'), '400'],
  ['an upgrade to something else', HEADERS.replace('upgrade: websocket', 'upgrade: h2c'), '400'],
])('a handshake with %s is refused', async (_name, headers, status) => {
  expect(String(await raw([], headers))).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
});

test.each<[string, Buffer, number]>([
  ['nothing', Buffer.alloc(0), 1000],
  ['1001', Buffer.from([0x03, 0xe9]), 1001],
  ['one byte', Buffer.from([3]), 1002],
  ['0', Buffer.from([0, 0]), 1002],
  ['999', Buffer.from([0x03, 0xe7]), 1002],
  ['1005, which stands for no code', Buffer.from([0x03, 0xed]), 1002],
  ['5000', Buffer.from([0x13, 0x88]), 1002],
  ['a reason that is not UTF-8', Buffer.from([0x03, 0xe8, 0xc3]), 1002],
])('a close frame with %s is answered as RFC 6455 says', async (_what, content, code) => {
  expect(closeCode(await raw([frame(0x88, content)]))).toBe(code);
});

test('a length that is not written in its shortest form closes the socket', async () => {
  const long = (content: Buffer): Buffer =>
    Buffer.concat([Buffer.from([0x82, 0xfe, 0, content.length, 0, 0, 0, 0]), content]);
  expect(closeCode(await raw([long(Buffer.alloc(5))]))).toBe(1002);
  const longer = Buffer.concat([Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]), Buffer.alloc(256)]);
  expect(closeCode(await raw([longer]))).toBe(1002);
});

test.each([
  ['HTTP/1.0', `HTTP/1.0\r\n${HEADERS}`],
  ['no Host', `HTTP/1.1\r\n${HEADERS.replace('host: x\r\n', '')}`],
])('an upgrade with %s is refused', async (_what, rest) => {
  const said = await new Promise<string>((resolve) => {
    const socket = connect(port, '127.0.0.1', () => void socket.write(`GET ${ENDPOINT_PATH} ${rest}\r\n\r\n`));
    const parts: Buffer[] = [];
    socket.on('data', (bytes) => void parts.push(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(String(Buffer.concat(parts))));
  });
  expect(said).toMatch(/^HTTP\/1.1 400 /);
});
