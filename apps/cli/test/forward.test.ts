import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { type AddressInfo, connect, createServer as createNetServer, type Socket } from 'node:net';
import { DeviceError, type DeviceErrorCode } from '@sallyport/device';
import fc from 'fast-check';
import { afterAll, expect, test, vi } from 'vitest';
import { forwardAccess } from '../src/device/forward/access.ts';
import { LocalPeers, ownerIn } from '../src/device/forward/local-user.ts';
import { createForwardProxy } from '../src/device/forward/proxy.ts';
import { asked, fakeDevice, listening } from './fake-device.ts';

function remoteError(code: DeviceErrorCode): DeviceError {
  return new DeviceError(code, 'the gateway says no');
}

const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

/** A proxy that takes everybody for its user, unless told otherwise: clients that go at once would not be found by the kernel's tables. */
async function start(...[device, options]: Parameters<typeof createForwardProxy>): Promise<number> {
  const server = createForwardProxy(device, { access: forwardAccess(undefined, () => 'same-user'), ...options });
  servers.push(server);
  return listening(server);
}

/** Sends bytes on a connection of their own and gives all that comes back. */
function send(port: number, bytes: string | Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(bytes));
    let answer = '';
    socket.on('data', (data) => {
      answer += data.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
  });
}

const GOOD = 'GET http://t.example/ HTTP/1.1\r\nhost: t.example\r\nconnection: close\r\n\r\n';

test('silent connections of other users take no places of this one', async () => {
  const STRANGERS = 600;
  let strangers = STRANGERS;
  const peerOf = (): 'other-user' | 'same-user' => (strangers-- > 0 ? 'other-user' : 'same-user');
  const port = await start(fakeDevice(), { access: forwardAccess(undefined, peerOf) });
  const ended = { count: 0 };
  const sockets = Array.from({ length: STRANGERS }, () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.on('close', () => {
      ended.count += 1;
    });
    return socket;
  });
  await vi.waitFor(() => expect(ended.count).toBeGreaterThanOrEqual(STRANGERS - 16), 90_000);
  expect(await send(port, GOOD)).toContain('served');
  for (const socket of sockets) socket.destroy();
});

/** A device whose answers come when they are let, and how many requests were given up. */
function slowDevice() {
  const answered = Promise.withResolvers<void>();
  const seen = { asked: 0, givenUp: 0 };
  const request = async (_head: unknown, body: AsyncIterable<Uint8Array> | undefined, signal: AbortSignal) => {
    seen.asked += 1;
    signal.addEventListener('abort', () => {
      seen.givenUp += 1;
    });
    if (body) for await (const _ of body);
    await answered.promise;
    return { status: 200, fields: [], body: new Blob(['served late']).stream() };
  };
  return { device: fakeDevice({ request }), seen, answer: () => answered.resolve() };
}

const POST = 'POST http://t.example/ HTTP/1.1\r\nhost: t.example\r\ncontent-length: 4\r\n\r\nbody';
const TUNNELLED = 'CONNECT t.example:80 HTTP/1.1\r\nhost: t\r\n\r\nGET / HTTP/1.1\r\nhost: t.example\r\n\r\n';

test.each([
  ['a request', GOOD],
  ['one whose connection would be kept', GOOD.replace('connection: close\r\n', '')],
  ['one with content', POST],
  ['one in a tunnel', TUNNELLED],
])('a client that sends nothing more behind %s gets its answer', async (_name, bytes) => {
  const { device, seen, answer } = slowDevice();
  const port = await start(device);
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.end(bytes));
  let got = '';
  socket.on('data', (data) => {
    got += data.toString('latin1');
  });
  const ended = once(socket, 'end');
  await vi.waitFor(() => expect(seen.asked).toBe(1), 90_000);
  // Longer than it takes to look whether it is gone.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  expect(seen.givenUp).toBe(0);
  answer();
  await ended;
  expect(got).toContain('served late');
});

test.each([
  ['a request', GOOD],
  ['one in a tunnel', TUNNELLED],
])('a client that goes away behind %s keeps nothing at the gateway', async (_name, bytes) => {
  const { device, seen } = slowDevice();
  const socket = connect(await start(device), '127.0.0.1', () => socket.write(bytes));
  await vi.waitFor(() => expect(seen.asked).toBe(1), 90_000);
  socket.destroy();
  await vi.waitFor(() => expect(seen.givenUp).toBe(1), 90_000);
});

test('a backend never speaks in the name of the gateway', async () => {
  const answer = await send(await start(fakeDevice()), GOOD);
  expect(answer).toContain('x-own: kept');
  expect(answer).toContain('served');
  expect(answer).not.toContain('sallyport-');
});

test('fields of an answer arrive byte by byte, also what is beyond ASCII, and before its content', async () => {
  const fields = [['content-disposition', 'attachment; filename="\xc3\x9cbersicht \xfc.pdf"']];
  const silent = new ReadableStream<Uint8Array>();
  const port = await start(fakeDevice({ request: async () => ({ status: 200, fields, body: silent }) }));
  const socket = connect(port, '127.0.0.1', () => socket.write(GOOD));
  const [head] = (await once(socket, 'data')) as [Buffer];
  expect(head.toString('latin1')).toContain(fields[0]!.join(': '));
  socket.destroy();
  for (const [method, status] of [
    ['HEAD', 200],
    ['GET', 304],
  ] as const) {
    const empty = { status, fields, body: new Blob([]).stream() };
    const bare = await start(fakeDevice({ request: async () => empty }));
    expect(await send(bare, GOOD.replace('GET', method))).toContain(fields[0]!.join(': '));
  }
});

test.each([
  ['GET http://t.example:99999/ HTTP/1.1', 400],
  ['GET http://[::bad/ HTTP/1.1', 400],
  ['GET http://[/ HTTP/1.1', 400],
  ['GET http://% HTTP/1.1', 400],
  ['GET http:// HTTP/1.1', 400],
  ['GET http://user@t.example/ HTTP/1.1', 400],
  ['GET // HTTP/1.1', 400],
  ['GET //[ HTTP/1.1', 400],
  ['GET * HTTP/1.1', 400],
  ['CONNECT [ HTTP/1.1', 403],
  ['CONNECT t.example:22 HTTP/1.1', 403],
  ['GET HTTP://T.EXAMPLE/ HTTP/1.1', 200],
  ['GET http://t.example:80/ HTTP/1.1', 200],
])('%s is answered with %i, and the next request by the same process', async (line, status) => {
  const port = await start(fakeDevice());
  for (const upgrade of ['', 'connection: upgrade\r\nupgrade: h2c\r\n']) {
    const answer = await send(port, `${line}\r\nhost: t.example\r\n${upgrade || 'connection: close\r\n'}\r\n`);
    if (!line.startsWith('CONNECT') || !upgrade) expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    await send(port, `${line}\r\nhost: t.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`);
    expect(await send(port, GOOD)).toContain('served');
  }
});

const CASES = new URL('../../../../shared/cases/forward-targets.txt', import.meta.url);
if (!existsSync(CASES)) console.warn('note: no folder shared/ beside the project, so its request targets are left out');

test.skipIf(!existsSync(CASES))('request targets from the field end nothing but their own connection', async () => {
  const port = await start(fakeDevice());
  for (const line of readFileSync(CASES, 'utf8').split('\n')) {
    if (!line.startsWith('GET')) continue;
    expect(await send(port, `${line}\r\nhost: t.example\r\nconnection: close\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 (200|400) /,
    );
    expect(await send(port, GOOD)).toContain('served');
  }
});

test('whatever bytes a client sends, the next request is served', async () => {
  const port = await start(fakeDevice());
  const part = fc.oneof(
    fc.constantFrom('http://', 'ws://', '[', ']', '%', '//', '\\', '@', ':', '99999', 't.example', '/', '?', '#', ' '),
    fc.string({ maxLength: 8 }),
  );
  const target = fc.array(part, { maxLength: 6 }).map((parts) => parts.join(''));
  const method = fc.constantFrom('GET', 'POST', 'CONNECT', 'PRI', 'OPTIONS', '\0');
  const field = fc.constantFrom(
    'connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\nsec-websocket-version: 13',
    'connection: upgrade\r\nupgrade: h2c',
    'content-length: 5',
    'content-length: -1',
    'transfer-encoding: chunked',
    'expect: 100-continue',
    'proxy-authorization: Basic ====',
    'host: [',
    'host:',
  );
  const request = fc
    .tuple(method, target, fc.array(field, { maxLength: 3 }), fc.uint8Array({ maxLength: 64 }))
    .map(([verb, url, fields, rest]) =>
      Buffer.concat([
        Buffer.from(`${verb} ${url} HTTP/1.1\r\n${fields.map((text) => `${text}\r\n`).join('')}\r\n`),
        rest,
      ]),
    );
  const anything = fc.oneof(
    { weight: 4, arbitrary: request },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  );
  // fast-check prints the seed of a failure.
  await fc.assert(
    fc.asyncProperty(anything, async (bytes) => {
      await send(port, bytes);
      expect(await send(port, GOOD)).toContain('served');
    }),
    { numRuns: 150 },
  );
});

test.each([
  [remoteError('RESOURCE_UNKNOWN'), 404, 'RESOURCE_UNKNOWN'],
  [new DeviceError('OFFLINE', 'no gateway answers'), 503, 'OFFLINE'],
  [remoteError('UNAVAILABLE'), 503, 'UNAVAILABLE'],
  [remoteError('REVOKED'), 401, 'REVOKED'],
  [remoteError('SESSION_UNKNOWN'), 401, 'SESSION_UNKNOWN'],
  [new TypeError('our own mistake'), 502, undefined],
])('an error is told by its name and status: %s', async (error, status, code) => {
  const failing = async (): Promise<never> => {
    throw error;
  };
  const port = await start(fakeDevice({ request: failing, resume: failing }));
  for (const request of [GOOD, 'CONNECT t.example:22 HTTP/1.1\r\nhost: t\r\n\r\n']) {
    const answer = await send(port, request);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    if (code) expect(answer).toContain(`sallyport-error: ${code}`);
    else expect(answer).not.toContain('mistake');
  }
});

test('signed out it says why the last session was over', async () => {
  const signedOut = async (): Promise<never> => {
    throw new DeviceError('SIGNED_OUT', 'nobody is signed in: access was revoked');
  };
  const port = await start(fakeDevice({ request: signedOut, lastEnd: { code: 'REVOKED' } }));
  const answer = await send(port, GOOD);
  expect(answer).toContain('sallyport-error: REVOKED');
  expect(answer).toContain('sallyport device login');
});

test('programs of the same user may use it, those of others may not', async () => {
  expect(await send(await start(fakeDevice()), GOOD)).toContain('served');
  for (const peer of ['other-user', 'gone', 'unknown'] as const) {
    const port = await start(fakeDevice(), { access: forwardAccess(undefined, () => peer) });
    const before = asked.length;
    for (const request of [
      GOOD,
      'CONNECT t.example:80 HTTP/1.1\r\nhost: t\r\n\r\n',
      GOOD.replace('connection: close', 'connection: upgrade\r\nupgrade: websocket'),
    ]) {
      const answer = await send(port, request);
      expect(answer).toMatch(/^HTTP\/1.1 403 /);
      expect(answer).toContain('--password');
    }
    expect(asked).toHaveLength(before);
  }
});

test('with a password it is for whoever knows it, and for nobody else', async () => {
  const port = await start(fakeDevice(), { access: forwardAccess('right', () => 'same-user') });
  const withPassword = (text: string): string =>
    GOOD.replace('\r\n\r\n', `\r\nproxy-authorization: Basic ${Buffer.from(text).toString('base64')}\r\n\r\n`);
  expect(await send(port, withPassword('x:right'))).toContain('served');
  expect(asked.at(-1)!.fields.some(([name]) => name === 'proxy-authorization')).toBe(false);
  for (const request of [GOOD, withPassword('x:wrong'), withPassword('right'.slice(1)), withPassword('')]) {
    const answer = await send(port, request);
    expect(answer).toMatch(/^HTTP\/1.1 407 /);
    expect(answer).toContain('proxy-authenticate: Basic');
  }
});

test('the same port of another loopback address is another connection', () => {
  const row = (local: string, uid: number): string =>
    `   0: ${local}:1F40 0100007F:2128 01 00000000:00000000 00:00000000 00000000  ${uid}        0 42 1\n`;
  const mine = { address: '127.0.0.1', port: 0x2128 };
  const table = `head\n${row('0100007F', 1_000)}${row('0200007F', 1_001)}`;
  expect(ownerIn(table, { address: '127.0.0.1', port: 0x1f40 }, mine)).toBe(1_000);
  expect(ownerIn(table, { address: '127.0.0.2', port: 0x1f40 }, mine)).toBe(1_001);
  expect(ownerIn(table, { address: '127.0.0.3', port: 0x1f40 }, mine)).toBeUndefined();
  const mapped = `head\n${row('0000000000000000FFFF00000200007F', 1_001).replace('0100007F', '0000000000000000FFFF00000100007F')}`;
  expect(ownerIn(mapped, { address: '127.0.0.2', port: 0x1f40 }, mine)).toBe(1_001);
});

test('the kernel says whose a loopback connection is', async () => {
  const port = await start(fakeDevice());
  const socket = connect(port, '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  const row = (uid: number, inode: number): string =>
    `head\n   0: 0100007F:1F40 0100007F:2128 01 00000000:00000000 00:00000000 00000000  ${uid}        0 ${inode} 1\n`;
  const [theirs, mine] = [
    { address: '127.0.0.1', port: 0x1f40 },
    { address: '127.0.0.1', port: 0x2128 },
  ];
  expect(ownerIn(row(1_000, 42), theirs, mine)).toBe(1_000);
  // Closed by its program: nobody's, and not the superuser's.
  expect(ownerIn(row(0, 0), theirs, mine)).toBeUndefined();
  // Asked for, and not the connection that stands.
  expect(ownerIn(row(1_000, 42).replace(' 01 ', ' 02 '), theirs, mine)).toBeUndefined();
  expect(ownerIn(row(1_000, 42), { ...theirs, port: 0x1f41 }, mine)).toBeUndefined();
  expect(ownerIn('', theirs, mine)).toBeUndefined();
  const ends = {
    localAddress: '127.0.0.1',
    localPort: port,
    remoteAddress: '127.0.0.1',
    remotePort: socket.localPort,
  };
  const peers = new LocalPeers();
  expect(await peers.of(ends)).toBe('same-user');
  expect(await new LocalPeers(() => '').of(ends)).toBe('unknown');
  expect(await peers.of({ ...ends, remoteAddress: '127.0.0.2' })).toBe('gone');
  socket.destroy();
});

test('connections that come while looks at the sockets of this machine rest share the next one', async () => {
  const row = (port: string, uid: number): string =>
    `   0: 0100007F:${port} 0100007F:2128 01 00000000:00000000 00:00000000 00000000  ${uid}        0 42 1\n`;
  const uid = process.getuid!();
  const looks: string[] = [];
  let table = row('1F40', uid);
  const peers = new LocalPeers((file) => {
    looks.push(file);
    // As long as the kernel of a busy machine takes.
    const end = performance.now() + 5;
    while (performance.now() < end);
    return table;
  });
  const at = (remotePort: number) => ({
    localAddress: '127.0.0.1',
    localPort: 0x2128,
    remoteAddress: '127.0.0.1',
    remotePort,
  });
  expect(peers.of(at(0x1f40))).toBe('same-user');
  expect(looks).toEqual(['/proc/net/tcp']);
  const later = [0x1f40, 0x1f41, 0x1f42].map((port) => peers.of(at(port)));
  table = row('1F40', uid) + row('1F41', uid + 1);
  expect(await Promise.all(later)).toEqual(['same-user', 'other-user', 'gone']);
  expect(looks).toEqual(['tcp', 'tcp', 'tcp6'].map((one) => `/proc/net/${one}`));
});

test('a connection that broke during a rest is not taken for the next one with its ends', async () => {
  const accepted: Socket[] = [];
  // Nothing is read of them: that one broke is known to the kernel alone.
  const server = createNetServer({ pauseOnConnect: true }, (socket) => void accepted.push(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  let made = 0;
  const connected = async (localPort?: number): Promise<Socket> => {
    const socket = connect({ port, host: '127.0.0.1', ...(localPort === undefined ? {} : { localPort }) });
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    made += 1;
    await vi.waitFor(() => expect(accepted).toHaveLength(made), 90_000);
    return socket;
  };
  // Another program of this machine may take the port in between: then once more.
  const followed = async (): Promise<Socket> => {
    const gone = await connected();
    gone.write('GET http://t.example/ HTTP/1.1\r\n\r\n');
    const { localPort } = gone;
    gone.resetAndDestroy();
    await new Promise((resolve) => gone.once('close', resolve));
    return (await connected(localPort).catch(() => undefined)) ?? followed();
  };
  const next = await followed();
  const peers = new LocalPeers();
  expect(peers.of({})).toBe('gone');
  const rested = accepted.slice(-2).map((socket) => peers.of(socket));
  expect(await Promise.all(rested)).toEqual(['gone', 'same-user']);
  next.destroy();
  for (const socket of accepted) socket.destroy();
  server.close();
});

test('fields of any length that some resource takes go on; what is more is said to be, with what can be done', async () => {
  const port = await start(fakeDevice());
  const request = (fields: string): string =>
    `GET http://t.example/ HTTP/1.1\r\nhost: t.example\r\nconnection: close\r\n${fields}\r\n`;
  expect(await send(port, request(`cookie: ${'a'.repeat(65_536)}\r\n`))).toContain('served');
  expect(await send(port, request(Array.from({ length: 199 }, (_, i) => `x-${i}: y\r\n`).join('')))).toContain(
    'served',
  );
  const more = await send(port, request(`cookie: ${'a'.repeat(1_300_000)}\r\n`));
  expect(more).toMatch(/^HTTP\/1.1 431 .*longer than 1179648 bytes/s);
  const why = 'the value of a field (cookie) is longer than 8192 bytes';
  const refusing = fakeDevice({
    request: async () => {
      throw new DeviceError('FIELDS_TOO_LARGE', why);
    },
  });
  const refused = await send(await start(refusing), GOOD);
  expect(refused).toMatch(/^HTTP\/1.1 431 /);
  expect(refused).toContain('sallyport-may-have-run: no');
  expect(refused).toContain(why);
  expect(refused).toContain('sallyport resource set <name> --fields');
  expect(await send(port, 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1.1 [45]\d\d .*sallyport: /s);
});

test.each(['PROPFIND', 'VERSION-CONTROL', 'RPC_IN_DATA', 'X-ANY', 'UPDATEREDIRECTREF'])(
  'the method %s goes on as it is, whether or not Node knows it',
  async (method) => {
    const port = await start(fakeDevice());
    const line = `${method} http://t.example/a HTTP/1.1\r\nhost: t.example\r\nconnection: close\r\n`;
    expect(await send(port, `${line}\r\n`)).toContain('served');
    expect(asked.at(-1)).toMatchObject({ method, path: '/a' });
    expect(await send(port, `${line}content-length: 3\r\n\r\nabc`)).toContain('served');
    expect(asked.at(-1)!.fields).toContainEqual(['content-length', '3']);
  },
);

test('a URL that was not percent-encoded is told so', async () => {
  const port = await start(fakeDevice());
  expect(await send(port, GOOD.replace('t.example/', 't.example/Übersicht'))).toContain('must be percent-encoded');
});

test('a method that Node does not know asks for no second request; as a second one it is refused by name', async () => {
  const port = await start(fakeDevice());
  const request = (method: string): string => `${method} http://t.example/ HTTP/1.1\r\nhost: t.example\r\n\r\n`;
  expect(await send(port, request('LABEL'))).toMatch(/served/);
  expect(await send(port, request('LABEL'))).toMatch(/connection: close/i);
  const later = await new Promise<string>((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(request('GET')));
    let answer = '';
    socket.on('data', (data) => {
      answer += String(data);
      if (answer.endsWith('0\r\n\r\n')) socket.end(request('LABEL'));
    });
    socket.on('close', () => resolve(answer));
  });
  expect(later).toMatch(/^HTTP\/1.1 200 .*served.* 501 .*only as the first one of a connection/s);
});
