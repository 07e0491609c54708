import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Field } from '@sallyport/channel';
import { inTime } from '@sallyport/support';
import { afterEach, expect, test, vi } from 'vitest';
import { Backends } from '../src/backend/backends.ts';
import { BackendConnection, type BackendRequest, type BackendSink } from '../src/backend/connection.ts';
import type { BackendError } from '../src/backend/errors.ts';
import { BackendPool } from '../src/backend/pool.ts';
import type { PooledCall } from '../src/backend/pooled-call.ts';
import { Tenant } from '../src/backend/tenant.ts';

const GET: BackendRequest = {
  method: 'GET',
  path: '/',
  authority: 'wiki.corp',
  fields: [],
  content: 'none',
  last: false,
};
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A backend that a test scripts byte by byte. */
async function backend(serve: (socket: Socket, asked: string, connection: number) => void) {
  const asked: string[] = [];
  let connections = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    const connection = connections++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      asked.push(String(data));
      serve(socket, String(data), connection);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const pool = new BackendPool({ url, networks: ['127.0.0.0/8'] });
  closing.push(() => {
    pool.close();
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { pool, asked, connections: () => connections };
}

const ADA = new Tenant({ session: 'ada-1', user: 'ada' });
const ASKER = { authority: 'wiki.corp', under: 'wiki.corp', tenant: ADA };

class Recorded implements BackendSink {
  status = 0;
  text = '';
  error: string | undefined;
  wanted = true;
  call: PooledCall | undefined;
  readonly content: Buffer[] = [];
  readonly over: Promise<this>;
  #done: () => void = () => undefined;

  constructor() {
    this.over = new Promise((resolve) => {
      this.#done = () => resolve(this);
    });
  }

  connected(): boolean {
    return this.wanted;
  }

  begun(): void {
    for (const part of this.content) this.call!.write(part);
    if (this.content.length > 0) this.call!.finish();
  }

  room(): void {}
  pushed(): void {}

  head(status: number, _fields: readonly Field[]): void {
    this.status = status;
  }

  body(bytes: Uint8Array): void {
    this.text += Buffer.from(bytes).toString('latin1');
  }

  end(): void {
    this.#done();
  }

  failed({ code }: BackendError): void {
    this.error = code;
    this.#done();
  }
}

function send(
  pool: BackendPool,
  request: BackendRequest = GET,
  { content = [], tenant = ADA }: { content?: readonly Buffer[]; tenant?: Tenant } = {},
): Recorded {
  const sink = new Recorded();
  sink.content.push(...content);
  sink.call = pool.call(request, sink, tenant);
  sink.call.send();
  return sink;
}

test('a connection is used again, one request at a time', async () => {
  const { pool, connections } = await backend((socket) => socket.write(OK));
  for (let i = 0; i < 3; i++) expect(await send(pool).over).toMatchObject({ status: 200, text: 'ok' });
  expect(connections()).toBe(1);
  await Promise.all([send(pool).over, send(pool).over]);
  expect(connections()).toBe(2);
});

test('bytes behind a response are never read as the answer to the next request', async () => {
  const { pool, connections } = await backend((socket, _asked, connection) => {
    socket.write(connection === 0 ? `${OK}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil` : OK);
  });
  const first = await send(pool).over;
  expect(first.text).toBe('ok');
  expect(await send(pool).over).toMatchObject({ text: 'ok' });
  expect(connections()).toBe(2);
});

test('bytes that come while a connection is idle end it', async () => {
  let first: Socket | undefined;
  const { pool, connections } = await backend((socket, _asked, connection) => {
    socket.write(OK);
    if (connection === 0) first = socket;
  });
  await send(pool).over;
  first!.write('HTTP/1.1 200 OK\r\n\r\n');
  await once(first!, 'close');
  expect(await send(pool).over).toMatchObject({ text: 'ok' });
  expect(connections()).toBe(2);
});

test('a connection whose last part had to wait reads again for the next request', async () => {
  const { pool, connections } = await backend((socket) => socket.write(OK));
  const first = new Recorded();
  first.body = function (this: Recorded): void {
    this.call!.pause();
  };
  first.call = pool.call(GET, first, ADA);
  first.call.send();
  await first.over;
  expect(await send(pool).over).toMatchObject({ text: 'ok' });
  expect(connections()).toBe(1);
});

test('a kept connection that was closed meanwhile: GET goes once more, POST says that it may have run', async () => {
  const { pool, asked } = await backend((socket, request, connection) => {
    if (connection === 0 && request.includes('/again')) return void socket.destroy();
    socket.write(OK);
  });
  await send(pool).over;
  expect(await send(pool, { ...GET, path: '/again' }).over).toMatchObject({ status: 200 });
  expect(asked.filter((text) => text.includes('/again')).length).toBe(2);
  const second = await backend((socket, request) => {
    if (request.startsWith('POST')) return void socket.destroy();
    socket.write(OK);
  });
  await send(second.pool).over;
  const post = { ...GET, method: 'POST', fields: [['content-length', '1']] as Field[], content: 'length' } as const;
  expect((await send(second.pool, post, { content: [Buffer.from('x')] }).over).error).toBe('ERR_BACKEND_CLOSED');
  expect(second.asked.filter((text) => text.startsWith('POST')).length).toBe(1);
});

test('a fresh connection that dies is not tried again, and neither is one that has begun to answer', async () => {
  const { pool, asked } = await backend((socket, request) => {
    if (request.includes('/half')) return void socket.end('HTTP/1.1 200 OK\r\ncontent-le');
    if (request.includes('/dead')) return void socket.destroy();
    socket.write(OK);
  });
  expect((await send(pool, { ...GET, path: '/dead' }).over).error).toBe('ERR_BACKEND_CLOSED');
  await send(pool).over;
  expect((await send(pool, { ...GET, path: '/half' }).over).error).toBe('ERR_BACKEND_CLOSED');
  expect(asked.length).toBe(3);
});

test('an answer before the whole request was sent does not give the connection to others', async () => {
  const { pool, connections } = await backend((socket) => socket.write(OK));
  const post = { ...GET, method: 'POST', content: 'chunked' } as const;
  expect(await send(pool, post).over).toMatchObject({ status: 200 });
  await send(pool).over;
  expect(connections()).toBe(2);
});

test('content goes out chunked or with its length, behind exactly the fields that were given', async () => {
  const { pool, asked } = await backend((socket, part) => void (part.endsWith('0\r\n\r\n') && socket.write(OK)));
  const fields: Field[] = [['x-a', 'b']];
  await send(
    pool,
    { ...GET, method: 'PUT', fields, content: 'chunked' },
    { content: [Buffer.from('abc'), Buffer.from('de')] },
  ).over;
  expect(asked.join('')).toBe(
    'PUT / HTTP/1.1\r\nhost: wiki.corp\r\nx-a: b\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n',
  );
});

test('close-delimited answers and those of HTTP/1.0 end with their connection', async () => {
  const { pool, connections } = await backend((socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nuntil the end'));
  expect(await send(pool).over).toMatchObject({ text: 'until the end' });
  expect(await send(pool).over).toMatchObject({ text: 'until the end' });
  expect(connections()).toBe(2);
});

test('a request that is not wanted any more when its connection is there is never sent', async () => {
  const { pool, asked } = await backend((socket) => socket.write(OK));
  const sink = send(pool);
  sink.wanted = false;
  await send(pool).over;
  await sleep(30);
  expect(asked.length).toBe(1);
});

test('an aborted request ends its connection and tells its sink once', async () => {
  const { pool, connections, asked } = await backend((socket, head) => {
    if (!head.includes('/slow')) socket.write(OK);
  });
  const slow = send(pool, { ...GET, path: '/slow' });
  await expect.poll(() => asked).toHaveLength(1);
  slow.call!.abort();
  slow.call!.abort();
  expect((await slow.over).error).toBe('ERR_BACKEND_ABORTED');
  expect(await send(pool).over).toMatchObject({ status: 200 });
  expect(connections()).toBe(2);
});

test('nobody there: nothing was sent, and the error says so', async () => {
  const pool = new BackendPool({ url: 'http://127.0.0.1:9', networks: ['127.0.0.0/8'] });
  closing.push(() => pool.close());
  const all = await Promise.all(Array.from({ length: 20 }, () => send(pool).over));
  expect(new Set(all.map(({ error }) => error))).toEqual(new Set(['ERR_BACKEND_UNREACHABLE']));
});

test('a queue that is too long refuses at once, and all that waited is served', async () => {
  const { pool } = await backend((socket, asked) => {
    for (const _ of asked.split('GET ').slice(1)) setTimeout(() => socket.write(OK), 20);
  });
  const all = await Promise.all(Array.from({ length: 3_000 }, () => send(pool).over));
  const refused = all.filter(({ error }) => error === 'ERR_BACKEND_BUSY').length;
  expect(refused).toBeGreaterThan(0);
  expect(all.filter(({ text }) => text === 'ok').length).toBe(3_000 - refused);
  expect(await send(pool).over).toMatchObject({ text: 'ok' });
});

test('a session whose requests never end leaves connections for others, and its own go on in turns', async () => {
  const { pool, connections } = await backend((socket, asked) => {
    if (!asked.includes('/never')) socket.write(OK);
  });
  const hog = Array.from({ length: 4 }, () => new Tenant({ session: 'hog', user: 'hog' }));
  const held = Array.from({ length: 300 }, (_, i) => send(pool, { ...GET, path: '/never' }, { tenant: hog[i % 4]! }));
  const other = new Tenant({ session: 'bob', user: 'bob' });
  for (let i = 0; i < 5; i++) expect((await send(pool, GET, { tenant: other }).over).text).toBe('ok');
  await vi.waitFor(() => expect(connections()).toBeGreaterThan(60), { timeout: 90_000 });
  for (let i = 0; i < 5; i++) expect((await send(pool, GET, { tenant: other }).over).text).toBe('ok');
  expect(connections()).toBeLessThanOrEqual(66);
  for (const { call } of held) call!.abort();
  expect((await send(pool, GET, { tenant: hog[0]! }).over).text).toBe('ok');
});

test('users who wait have turns: one with many requests does not come before one with few', async () => {
  const order: string[] = [];
  const held: Socket[] = [];
  const { pool } = await backend((socket, asked) => {
    if (asked.includes('/hold')) return void held.push(socket);
    order.push(asked.split(' ', 2)[1]!);
    socket.write(OK);
  });
  const tenantOf = (user: string): Tenant => new Tenant({ session: user, user });
  const from = (user: string, path: string) => send(pool, { ...GET, path }, { tenant: tenantOf(user) });
  const holds = Array.from({ length: 256 }, (_, i) => from(`holder ${i}`, '/hold'));
  await vi.waitFor(() => expect(held).toHaveLength(256), { timeout: 90_000 });
  const many = tenantOf('many');
  const all = Array.from({ length: 40 }, () => send(pool, { ...GET, path: '/many' }, { tenant: many }));
  all.push(from('few', '/few'));
  // One connection for all who wait.
  held[0]!.write(OK);
  await Promise.all(all.map(({ over }) => over));
  expect(order).toHaveLength(41);
  // Behind one turn of the other, which is of four.
  expect(order.indexOf('/few')).toBe(4);
  for (const { call } of holds.slice(1)) call!.abort();
});

/** One connection to a backend on which a request was begun; it is swept at times that the test says. */
async function begun(
  request: BackendRequest,
  answer = '',
  spend: (smallChunks: number) => number = () => 0,
): Promise<{ connection: BackendConnection; sink: Recorded; socket: Socket }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const socket = connectTcp((server.address() as AddressInfo).port, '127.0.0.1');
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  const connection = new BackendConnection(socket, { released() {}, gone() {}, handlerFailed() {}, spend });
  socket.on('data', (bytes) => connection.read(bytes));
  const sink = new Recorded();
  connection.begin(request, sink);
  closing.push(() => {
    socket.destroy();
    server.close();
  });
  while (socket.writableLength > 0 || (answer !== '' && sink.text === '')) await sleep(5);
  return { connection, sink, socket };
}

test('a quiet event stream lives on for five minutes, also when its first part came with the head', async () => {
  const answer = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: one\n\n';
  const { connection, sink } = await begun(GET, answer);
  const now = performance.now();
  connection.sweep(now + 90_000, false);
  connection.sweep(now + 250_000, false);
  expect([sink.text, sink.error]).toEqual(['data: one\n\n', undefined]);
  connection.sweep(now + 301_000, false);
  expect(sink.error).toBe('ERR_BACKEND_TIMEOUT');
});

test('a backend pays for small chunks: its connection is not read until they are paid for', async () => {
  const chunks = (count: number): string => '1\r\nx\r\n'.repeat(count);
  const head = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';
  const resting = async (restMs: number) => {
    const spent: number[] = [];
    const spend = (smallChunks: number): number => {
      spent.push(smallChunks);
      return restMs;
    };
    const made = await begun(GET, `${head}${chunks(100)}`, spend);
    return made.socket.isPaused() ? { ...made, spent, restMs } : undefined;
  };
  const { connection, sink, socket, spent, restMs } = await inTime(20, resting);
  expect([sink.text, spent]).toEqual(['x'.repeat(100), [100]]);
  // Somebody else's pause outlasts the rest, and the rest a resume.
  connection.resume();
  connection.pause();
  await sleep(2 * restMs);
  expect(socket.isPaused()).toBe(true);
  connection.resume();
  expect(socket.isPaused()).toBe(false);
  // A stream of events has one or two in a read.
  connection.read(Buffer.from(chunks(2)));
  expect([sink.text.length, spent.length, socket.isPaused()]).toEqual([102, 1, false]);
});

test('small chunks of all connections to a backend count together', () => {
  const pool = new BackendPool({ url: 'http://127.0.0.1:1', networks: ['127.0.0.0/8'] });
  closing.push(() => pool.close());
  expect(pool.spend(100_000)).toBe(0);
  expect(pool.spend(100_000)).toBeGreaterThan(0);
});

const UPLOAD: BackendRequest = { ...GET, method: 'POST', content: 'chunked' };

test('an upload that moves lives on, one whose device sends nothing more ends and the backend is not blamed', async () => {
  const { connection, sink } = await begun(UPLOAD);
  const now = performance.now();
  for (let second = 1; second <= 200; second++) {
    if (second % 20 === 0) connection.write(Buffer.from('x'));
    connection.sweep(now + second * 1_000, false);
  }
  expect(sink.error).toBeUndefined();
  for (let second = 201; second <= 270; second++) connection.sweep(now + second * 1_000, false);
  expect(sink.error).toBe('ERR_BACKEND_STALLED');
});

test('while others wait for a connection, a device that does not move its content loses it sooner', async () => {
  const { connection, sink } = await begun(UPLOAD);
  const now = performance.now();
  for (let second = 1; second <= 12; second++) connection.sweep(now + second * 1_000, true);
  expect(sink.error).toBe('ERR_BACKEND_STALLED');
});

test('the pool of a resource that changed ends when nobody uses it any more, and not before', async () => {
  const backends = new Backends();
  closing.push(() => backends.close());
  const [before, after] = [9, 10].map((port) => ({ url: `http://127.0.0.1:${port}`, networks: ['127.0.0.0/8'] }));
  const old = backends.pool(before!, ASKER);
  const tenant = new Tenant({ session: 's', user: 'u' });
  await send(old, GET, { tenant }).over;
  backends.pool(after!, ASKER);
  expect([old.closed, backends.pool(before!, ASKER) === old]).toEqual([false, true]);
  tenant.end();
  backends.pool({ ...after!, networks: ['127.0.0.0/16'] }, ASKER);
  expect(old.closed).toBe(true);
  expect(backends.pool(before!, ASKER)).not.toBe(old);
});
