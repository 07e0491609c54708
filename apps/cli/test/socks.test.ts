import { connect, type Server, type Socket } from 'node:net';
import { DeviceError } from '@sallyport/device';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { forwardAccess, type LocalAccess } from '../src/device/forward/access.ts';
import { Crossing } from '../src/device/forward/crossing.ts';
import { createPortForward, parsePortForward } from '../src/device/forward/port-forward.ts';
import { readSocksRequest, type SocksAccess, type SocksRequest } from '../src/device/forward/socks.ts';
import { createSocksServer } from '../src/device/forward/socks-server.ts';
import { fakeDevice, listening } from './fake-device.ts';

const OPEN: SocksAccess = { byPassword: false, ofPassword: () => false };
const LOCKED: SocksAccess = { byPassword: true, ofPassword: (text: string) => text === 'right' };
const bytes = (...parts: (number | string)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from([part]))));
const name = (host: string, port = 443): Buffer => bytes(5, 1, 0, 3, host.length, host, port >> 8, port & 0xff);

/** What comes of these bytes, and what was answered. */
async function read(
  sent: Uint8Array,
  access = OPEN,
): Promise<{ request: SocksRequest | 'ended'; answered: string; left: number }> {
  let rest = Buffer.from(sent);
  const answered: Uint8Array[] = [];
  const client = {
    read: async (count: number) => {
      if (rest.length < count) throw new Error('the client ended');
      const part = rest.subarray(0, count);
      rest = rest.subarray(count);
      return part;
    },
    write: (part: Uint8Array) => void answered.push(part),
  };
  const request = await readSocksRequest(client, access).catch(() => 'ended' as const);
  return { request, answered: Buffer.concat(answered).toString('hex'), left: rest.length };
}

const greeted = (...rest: Buffer[]): Buffer => Buffer.concat([bytes(5, 1, 0), ...rest]);

test.each<[what: string, sent: Buffer, host: string, port: number]>([
  ['a name', greeted(name('wiki.corp')), 'wiki.corp', 443],
  ['a name in other letters', greeted(name('Wiki.CORP.', 80)), 'wiki.corp', 80],
  ['one method of several', Buffer.concat([bytes(5, 3, 2, 1, 0), name('db.corp', 5432)]), 'db.corp', 5432],
  ['an IPv4 address', greeted(bytes(5, 1, 0, 1, 10, 1, 2, 3, 0, 80)), '10.1.2.3', 80],
  [
    'an IPv6 address',
    greeted(bytes(5, 1, 0, 4), Buffer.from('fd000000000000000000000000000001', 'hex'), bytes(1, 187)),
    '[fd00::1]',
    443,
  ],
])('%s is understood', async (_what, sent, host, port) => {
  const { request, answered } = await read(Buffer.concat([sent, Buffer.from('behind')]));
  expect(request).toEqual({ destination: { host, port } });
  expect(answered).toBe('0500');
});

test('what comes behind a request is left for the destination', async () => {
  expect((await read(Buffer.concat([greeted(name('wiki.corp')), Buffer.from('behind')]))).left).toBe(6);
});

const reply = (code: number): string => `05${Buffer.from([code]).toString('hex')}0001000000000000`;

test.each<[what: string, sent: Buffer, answered: string]>([
  ['no method', bytes(5, 0), '05ff'],
  ['only methods that are not offered', bytes(5, 2, 1, 2), '05ff'],
  ['BIND', greeted(bytes(5, 2, 0, 3, 1, 'a', 0, 80)), `0500${reply(7)}`],
  ['UDP', greeted(bytes(5, 3, 0, 1, 0, 0, 0, 0, 0, 0)), `0500${reply(7)}`],
  ['an unknown type of address', greeted(bytes(5, 1, 0, 2, 1)), `0500${reply(8)}`],
  ['another version in the request', greeted(bytes(4, 1, 0, 1)), `0500${reply(1)}`],
  ['an empty name', greeted(name('')), `0500${reply(2)}`],
  ['port 0', greeted(name('wiki.corp', 0)), `0500${reply(2)}`],
  ['a name that is none', greeted(name('a b\r\n/@')), `0500${reply(2)}`],
  ['a wildcard', greeted(name('*.corp')), `0500${reply(2)}`],
  ['SOCKS4', bytes(4, 1, 0, 80, 10, 1, 2, 3, 0), ''],
])('%s is refused in the words of SOCKS', async (_what, sent, answered) => {
  const got = await read(sent);
  expect(got.request).toHaveProperty('refused');
  expect(got.answered).toBe(answered);
});

test('a client that speaks HTTP is told so in HTTP', async () => {
  const { answered } = await read(Buffer.from('GET http://wiki.corp/ HTTP/1.1\r\n\r\n'));
  expect(Buffer.from(answered, 'hex').toString()).toMatch(/^HTTP\/1\.1 400 [\s\S]*SOCKS5/);
});

test('with a password nobody passes without it', async () => {
  const login = (password: string): Buffer => bytes(5, 2, 0, 2, 1, 1, 'x', password.length, password);
  expect((await read(Buffer.concat([login('right'), name('wiki.corp')]), LOCKED)).request).toHaveProperty(
    'destination',
  );
  for (const sent of [login('wrong'), login(''), bytes(5, 1, 0), bytes(5, 1, 2, 2, 1, 'x', 5, 'right')]) {
    const { request, answered } = await read(Buffer.concat([sent, name('wiki.corp')]), LOCKED);
    expect(request).toHaveProperty('refused');
    expect(answered).toMatch(/^05(?:ff|0201(?:01))$/);
  }
});

test('whatever bytes come, there is a host and port or a refusal, and never more than a password and a name is read', async () => {
  const part = fc.oneof(
    fc.constantFrom(
      bytes(5, 1, 0),
      bytes(5, 1, 2),
      bytes(5, 1, 0, 3),
      bytes(5, 1, 0, 1),
      bytes(1, 1, 'x', 5, 'right'),
      name('a.b'),
    ),
    fc.uint8Array({ maxLength: 300 }),
  );
  const sent = fc.array(part, { maxLength: 5 }).map((parts) => Buffer.concat(parts));
  // fast-check prints the seed of a failure.
  await fc.assert(
    fc.asyncProperty(sent, fc.boolean(), async (given, locked) => {
      const { request, left } = await read(given, locked ? LOCKED : OPEN);
      expect(given.length - left).toBeLessThanOrEqual(2 + 255 + 2 + 255 + 1 + 255 + 4 + 1 + 255 + 2);
      if (request === 'ended' || 'refused' in request) return;
      expect(request.destination.host).toMatch(/^[a-z0-9._-]+$|^\[[0-9a-f:.]+\]$/);
      expect(request.destination.port).toBeGreaterThan(0);
    }),
    { numRuns: 5_000 },
  );
});

const RESOURCES = [
  { name: 'wiki', kind: 'http', authority: 'wiki.corp' },
  { name: 'db', kind: 'tcp', authority: 'db.corp:5432' },
];
const servers: Server[] = [];
const said: string[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});

function ports(access: LocalAccess, over: Parameters<typeof fakeDevice>[0] = {}) {
  const device = fakeDevice({ resources: RESOURCES, ...over });
  const crossing = new Crossing(device, { proofFor: async () => undefined });
  return { access, crossing, say: (text: string) => void said.push(text) };
}

async function start(server: Server): Promise<number> {
  servers.push(server);
  return listening(server);
}

/** Sends bytes and gives all that comes back until `enough` bytes, or the end. */
function exchange(port: number, sent: Uint8Array, enough = Number.POSITIVE_INFINITY): Promise<Buffer> {
  return new Promise((resolve) => {
    let got = Buffer.alloc(0);
    const socket: Socket = connect(port, '127.0.0.1', () => socket.write(sent));
    const done = (): void => {
      socket.destroy();
      resolve(got);
    };
    socket.on('data', (data: Buffer) => {
      got = Buffer.concat([got, data]);
      if (got.length >= enough) done();
    });
    socket.on('end', done).on('error', done).on('close', done);
  });
}

test('SOCKS leads to TCP and to HTTP resources, and to nothing else', async () => {
  const port = await start(createSocksServer(ports(forwardAccess(undefined, () => 'same-user'))));
  const echoed = await exchange(port, Buffer.concat([greeted(name('db.corp', 5432)), Buffer.from('hello')]), 17);
  expect(echoed.toString('latin1')).toBe(`${Buffer.from(`0500${reply(0)}`, 'hex').toString('latin1')}hello`);
  const get = Buffer.from('GET / HTTP/1.1\r\nhost: wiki.corp\r\nconnection: close\r\n\r\n');
  expect(String(await exchange(port, Buffer.concat([greeted(name('wiki.corp', 80)), get])))).toContain('served');
  expect((await exchange(port, greeted(name('bank.example')))).toString('hex')).toBe(`0500${reply(2)}`);
  expect(said.at(-1)).toBe('bank.example:443 is no resource of yours');
  expect((await exchange(port, greeted(bytes(5, 1, 0, 1, 10, 1, 2, 3, 0, 80)))).toString('hex')).toBe(
    `0500${reply(2)}`,
  );
  expect(said.at(-1)).toContain('socks5h');
});

test('a gateway that cannot be reached has its own reply', async () => {
  const connectFails = async (): Promise<never> => {
    throw new DeviceError('OFFLINE', 'no gateway answers');
  };
  const port = await start(
    createSocksServer(
      ports(
        forwardAccess(undefined, () => 'same-user'),
        { connect: connectFails },
      ),
    ),
  );
  expect((await exchange(port, greeted(name('db.corp', 5432)))).toString('hex')).toBe(`0500${reply(3)}`);
});

test('other users of the machine get neither SOCKS nor a port that leads to a resource', async () => {
  const closed = ports(forwardAccess(undefined, () => 'other-user'));
  const socks = await start(createSocksServer(closed));
  expect(await exchange(socks, greeted(name('db.corp', 5432)))).toHaveLength(0);
  const forward = await start(createPortForward(closed, { host: 'db.corp', port: 5432 }));
  expect(await exchange(forward, Buffer.from('hello'))).toHaveLength(0);
  expect(said.at(-1)).toContain('belongs to another user');
});

test('a port of its own leads to one resource, and breaks off when there is none', async () => {
  const open = ports(forwardAccess(undefined, () => 'same-user'));
  const port = await start(createPortForward(open, { host: 'db.corp', port: 5432 }));
  expect(String(await exchange(port, Buffer.from('hello'), 5))).toBe('hello');
  const none = await start(createPortForward(open, { host: 'other.corp', port: 5432 }));
  expect(await exchange(none, Buffer.from('hello'))).toHaveLength(0);
  expect(said.at(-1)).toBe('other.corp:5432 is no resource of yours');
});

test('hostile bytes end their own connection only', async () => {
  const port = await start(createSocksServer(ports(forwardAccess(undefined, () => 'same-user'))));
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (given) => {
      const socket = connect(port, '127.0.0.1', () => socket.end(Buffer.concat([bytes(5, 1, 0), given])));
      await new Promise((resolve) =>
        socket
          .on('error', () => undefined)
          .on('close', resolve)
          .resume(),
      );
    }),
    { numRuns: 50 },
  );
  expect((await exchange(port, greeted(name('bank.example')))).toString('hex')).toBe(`0500${reply(2)}`);
});

test('a port and its resource are written in one way', () => {
  expect(parsePortForward('5432=DB.corp:5432')).toEqual({ port: 5432, destination: { host: 'db.corp', port: 5432 } });
  for (const text of [
    '5432',
    '5432:db.corp:5432',
    '0=db.corp:5432',
    '70000=db.corp:1',
    '5432=db.corp',
    '=db.corp:1',
    '1=a b:1',
  ])
    expect(() => parsePortForward(text)).toThrow('is no port and resource');
});
