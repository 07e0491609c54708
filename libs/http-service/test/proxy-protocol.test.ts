import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from 'node:net';
import { connect as connectTls } from 'node:tls';
import { addressSetOf } from '@sallyport/settings';
import { selfSigned } from '@sallyport/support';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { decodeProxyHeader, takeAddressesFrom } from '../src/index.ts';

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const REQUEST = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';
const open: TcpServer[] = [];
afterAll(() => {
  for (const server of open) server.close();
});

function header(
  source: Buffer,
  { family, command = 0x21, tail = '' }: { family: number; command?: number; tail?: string },
) {
  const ports = Buffer.from('c00101bb', 'hex');
  const body = Buffer.concat([source, Buffer.alloc(source.length), ports, Buffer.from(tail, 'hex')]);
  const head = Buffer.from([command, family, body.length >> 8, body.length & 255]);
  return Buffer.concat([SIGNATURE, head, body]);
}
const V4 = header(Buffer.from([203, 0, 113, 9]), { family: 0x11 });
const V6 = header(Buffer.from('20010db8000000000000000000000007', 'hex'), { family: 0x21, tail: '03000400000000' });

test.each([
  ['IPv4', V4, { peer: { address: '203.0.113.9', port: 0xc001 }, bytes: V4.length }],
  ['IPv6 with more behind it', V6, { peer: { address: '2001:db8:0:0:0:0:0:7', port: 0xc001 }, bytes: V6.length }],
  ['its own check', header(Buffer.alloc(0), { family: 0, command: 0x20 }), { peer: undefined, bytes: 20 }],
  [
    'a Unix socket',
    header(Buffer.alloc(108), { family: 0x31 }),
    { peer: { address: 'unknown', port: undefined }, bytes: 236 },
  ],
  ['version 1', Buffer.from('PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n'), 'malformed'],
  ['no header', Buffer.from(REQUEST), 'malformed'],
  ['another version', header(Buffer.alloc(4), { family: 0x11, command: 0x11 }), 'malformed'],
  ['an address that is too short', header(Buffer.alloc(1), { family: 0x11 }), 'malformed'],
  ['more than anybody sends', Buffer.concat([SIGNATURE, Buffer.from('2111ffff', 'hex')]), 'malformed'],
])('the balancer says %s', (_what, bytes, expected) => {
  expect(decodeProxyHeader(bytes)).toEqual(expected);
});

test('a header in pieces is waited for, and no bytes make the decoder throw', () => {
  for (let at = 0; at < V4.length; at++) expect(decodeProxyHeader(V4.subarray(0, at))).toBe('more');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, signed) => {
      const all = signed ? Buffer.concat([SIGNATURE, bytes]) : Buffer.from(bytes);
      expect(() => decodeProxyHeader(all)).not.toThrow();
    }),
  );
});

async function serve(balancers: readonly string[], tls?: { cert: string; key: string }): Promise<number> {
  const answer = (request: { socket: Socket }, response: { end: (text: string) => void }): void =>
    response.end(`${request.socket.remoteAddress} ${request.socket.remotePort}`);
  const server = (tls ? createTlsServer(tls, answer as never) : createServer(answer as never)) as Server;
  open.push(server);
  takeAddressesFrom(addressSetOf(balancers), server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function heard(socket: Socket): Promise<string> {
  const parts: Buffer[] = [];
  socket.on('data', (part: Buffer) => parts.push(part));
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(parts).toString().split('\r\n\r\n')[1] ?? '';
}

async function ask(port: number, pieces: readonly (Buffer | string)[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  const answer = heard(socket);
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return answer;
}

test('a server sees the device behind a balancer, whatever pieces the header comes in', async () => {
  const port = await serve(['127.0.0.1']);
  const together = Buffer.concat([V4, Buffer.from(REQUEST)]);
  expect(await ask(port, [together])).toBe('203.0.113.9 49153');
  expect(await ask(port, [V4, REQUEST])).toBe('203.0.113.9 49153');
  const nobody = header(Buffer.alloc(108), { family: 0x31 });
  expect(await ask(port, [nobody, REQUEST])).toMatch(/^unknown \d+$/);
  expect(await ask(port, [V6.subarray(0, 7), V6.subarray(7, 20), V6.subarray(20), REQUEST])).toContain('2001:db8');
  expect(
    await ask(
      port,
      [...together]
        .map((byte) => Buffer.of(byte))
        .slice(0, 40)
        .concat(together.subarray(40)),
    ),
  ).toBe('203.0.113.9 49153');
});

test('a balancer without a header is closed, and from nobody else a header is read', async () => {
  expect(await ask(await serve(['127.0.0.1']), [REQUEST])).toBe('');
  const others = await serve(['192.0.2.0/24']);
  expect(await ask(others, [REQUEST])).toMatch(/^127\.0\.0\.1 /);
  expect(await ask(others, [V4, REQUEST])).toBe('');
});

test('TLS begins behind the header, in the same packet or not', async () => {
  const { certificate: cert, key } = selfSigned('localhost');
  const port = await serve(['127.0.0.1'], { cert, key });
  for (const together of [true, false]) {
    const balancer = await balance(port, together);
    const socket = connectTls({ port: balancer, host: '127.0.0.1', ca: cert, servername: 'localhost' });
    const answer = heard(socket);
    socket.write(REQUEST);
    expect(await answer).toBe('203.0.113.9 49153');
  }
});

/** A balancer that puts the header in front of the first bytes of its client, in one write or two. */
async function balance(port: number, together: boolean): Promise<number> {
  const server = createTcpServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    client.once('data', (first: Buffer) => {
      if (together) upstream.write(Buffer.concat([V4, first]));
      else upstream.write(V4, () => setTimeout(() => upstream.write(first), 20));
      client.pipe(upstream);
    });
    upstream.pipe(client);
  });
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
