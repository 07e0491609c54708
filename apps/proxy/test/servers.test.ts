import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeChunkPrefix, encodeMessageEnd, encodeRequestHead, encodeText } from '@sallyport/channel';
import type { Backend } from '@sallyport/security-api';
import { afterEach, expect, test } from 'vitest';
import { testStream } from '../../../libs/channel/test/lone-stream.ts';
import { resolveBackend } from '../src/backend/address.ts';
import { Backends } from '../src/backend/backends.ts';
import type { BackendError } from '../src/backend/errors.ts';
import { ServerHealth } from '../src/backend/server-health.ts';
import { Tenant } from '../src/backend/tenant.ts';
import { tryBackend } from '../src/backend/try.ts';
import { HttpExchange } from '../src/streams/http.ts';
import { TcpExchange } from '../src/streams/tcp.ts';
import { TestHost } from './stream-place.ts';

const NETWORKS = ['127.0.0.0/8'];
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A server that says what it was asked for; `answer` may do something else. */
async function server(answer?: (request: IncomingMessage, destroy: () => void) => boolean, port = 0) {
  const asked: IncomingMessage[] = [];
  const made: Server = createServer((request, response) => {
    asked.push(request);
    if (answer?.(request, () => request.socket.destroy())) return;
    request.resume();
    response.end('ok');
  });
  await new Promise<void>((resolve) => made.listen(port, '127.0.0.1', resolve));
  const close = (): void => {
    made.closeAllConnections();
    made.close();
  };
  closing.push(close);
  return { url: `http://127.0.0.1:${(made.address() as AddressInfo).port}`, asked, close };
}

/** A URL where nothing listens. */
async function nowhere(): Promise<string> {
  const { url, close } = await server();
  close();
  return url;
}

function kept(): Backends {
  const backends = new Backends();
  closing.push(() => backends.close());
  return backends;
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 9_000 && !condition(); i++) await sleep(10);
  expect(condition()).toBe(true);
}

/** One request; gives how it ended. */
async function ask(
  backend: Backend,
  { backends = kept(), user = 'ada', method = 'GET', content = '' } = {},
): Promise<{ host: TestHost; outcome: string }> {
  const host = new TestHost(backend, 'http', { backends, user });
  const { stream } = testStream(1);
  const sink = new HttpExchange({ host, stream });
  stream.sink = sink;
  sink.data(encodeRequestHead({ method, scheme: 'https', authority: 'wiki.corp', path: '/a?b', fields: [] }));
  if (content) sink.data(Buffer.concat([encodeChunkPrefix(content.length), encodeText(content)]));
  sink.data(encodeMessageEnd());
  await until(() => host.outcomes.length > 0);
  return { host, outcome: host.outcomes[0]! };
}

test('a backend is told the prefix, the Host and the credentials of its resource, whatever the device says', async () => {
  const { url, asked } = await server();
  const basic = { user: 'gate', password: 'pässword' };
  const backend: Backend = { url, networks: NETWORKS, prefix: '/app', host: 'inner.corp', basic, xForwarded: true };
  const host = new TestHost(backend, 'http', { backends: kept() });
  const { stream } = testStream(1);
  const sink = new HttpExchange({ host, stream });
  const fields = [['authorization', 'Bearer of-the-device']] as const;
  sink.data(encodeRequestHead({ method: 'GET', scheme: 'https', authority: 'wiki.corp', path: '/a?b', fields }));
  sink.data(encodeMessageEnd());
  await until(() => host.outcomes.length > 0);
  expect(asked[0]!.url).toBe('/app/a?b');
  expect(asked[0]!.headers).toMatchObject({
    host: 'inner.corp',
    forwarded: 'for=192.0.2.1;host=wiki.corp;proto=https',
    'x-forwarded-host': 'wiki.corp',
    'x-forwarded-proto': 'https',
    authorization: `Basic ${Buffer.from('gate:pässword').toString('base64')}`,
  });
});

test('requests go to servers in turns by weight, and to one on standby only when no other is well', async () => {
  const [a, b, c] = [await server(), await server(), await server()];
  const servers = [{ url: b.url }, { url: c.url, standby: true }];
  const backend: Backend = { url: a.url, weight: 3, servers, networks: NETWORKS };
  const backends = kept();
  for (let i = 0; i < 8; i++) expect((await ask(backend, { backends })).outcome).toBe('done');
  expect([a, b, c].map(({ asked }) => asked.length)).toEqual([6, 2, 0]);
  a.close();
  b.close();
  // Until the ends of kept connections have come: a request on one of them may have run.
  for (let i = 0; i < 20; i++) await sleep(5);
  for (let i = 0; i < 4; i++) expect((await ask(backend, { backends })).outcome).toBe('done');
  expect(c.asked).toHaveLength(4);
  expect(backends.resting).toBe(2);
});

test('a sticky backend keeps a user at one server at every Proxy, and users spread', async () => {
  const [a, b] = [await server(), await server()];
  const backend: Backend = { url: a.url, servers: [{ url: b.url }], sticky: true, networks: NETWORKS };
  const users = Array.from({ length: 24 }, (_, i) => `user-${i}`);
  const places = async (): Promise<boolean[]> => {
    const backends = kept();
    const found: boolean[] = [];
    for (const user of users) {
      const before = a.asked.length;
      await ask(backend, { backends, user });
      found.push(a.asked.length > before);
    }
    return found;
  };
  const first = await places();
  expect(await places()).toEqual(first);
  expect(new Set(first).size).toBe(2);
});

test('a request of which nothing was sent goes to another server, with its content', async () => {
  const well = await server();
  const backend: Backend = { url: await nowhere(), servers: [{ url: well.url }], networks: NETWORKS };
  const { host, outcome } = await ask(backend, { method: 'POST', content: 'once' });
  expect(outcome).toBe('done');
  expect(well.asked).toHaveLength(1);
  expect(host.failures.map(({ code }) => code)).toEqual(['ERR_BACKEND_UNREACHABLE']);
});

test.each(['GET', 'POST'])('a %s that may have run is never sent to another server', async (method) => {
  const breaks = await server((_request, destroy) => {
    destroy();
    return true;
  });
  const well = await server();
  const backend: Backend = { url: breaks.url, weight: 100, servers: [{ url: well.url }], networks: NETWORKS };
  const { outcome } = await ask(backend, { method });
  expect(outcome).toBe('BACKEND_FAILED');
  expect([breaks.asked.length, well.asked.length]).toEqual([1, 0]);
});

test('when no server can be reached the device is told so, after a few tries', async () => {
  const urls = await Promise.all([nowhere(), nowhere(), nowhere(), nowhere(), nowhere()]);
  const servers = urls.slice(1).map((url) => ({ url }));
  const { host, outcome } = await ask({ url: urls[0]!, servers, networks: NETWORKS });
  expect(outcome).toBe('BACKEND_UNREACHABLE');
  expect(host.failures).toHaveLength(3);
});

test('a server that was gone gets requests again when it is back', async () => {
  const [a, b] = [await server(), await server()];
  const backend: Backend = { url: a.url, servers: [{ url: b.url }], networks: NETWORKS };
  const backends = kept();
  a.close();
  for (let i = 0; i < 3; i++) await ask(backend, { backends });
  expect(backends.resting).toBe(1);
  const back = await server(undefined, Number(new URL(a.url).port));
  await until(() => backends.resting === 0);
  for (let i = 0; i < 2; i++) await ask(backend, { backends });
  expect(back.asked).toHaveLength(1);
});

test('a server that says it is not well gets nothing until it says that it is', async () => {
  let well = false;
  const b = await server();
  const sick = await server((request) => {
    if (request.url !== '/health' || well) return false;
    request.socket.end('HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n');
    return true;
  });
  const backend: Backend = {
    url: sick.url,
    servers: [{ url: b.url }],
    health: { path: '/health', everyMs: 1_000 },
    networks: NETWORKS,
  };
  const backends = kept();
  await ask(backend, { backends });
  await until(() => backends.resting === 1);
  const asked = (): number => sick.asked.filter(({ url }) => url !== '/health').length;
  const before = asked();
  for (let i = 0; i < 4; i++) await ask(backend, { backends });
  expect(asked()).toBe(before);
  well = true;
  await until(() => backends.resting === 0);
  for (let i = 0; i < 2; i++) await ask(backend, { backends });
  expect(asked()).toBe(before + 1);
});

test('a server rests at once when it is not there, after three bad answers else, and longer each time', () => {
  const seen: boolean[] = [];
  const health = new ServerHealth(
    (well) => void seen.push(well),
    () => 0.5,
  );
  health.failed('ERR_BACKEND_ABORTED', 0);
  health.failed('ERR_BACKEND_CLOSED', 0);
  health.failed('ERR_BACKEND_CLOSED', 0);
  health.answered();
  health.failed('ERR_BACKEND_CLOSED', 0);
  expect(health.usable(0)).toBe(true);
  health.failed('ERR_BACKEND_UNREACHABLE', 0);
  expect([health.usable(999), health.lookDue(999), health.lookDue(1_000)]).toEqual([false, false, true]);
  health.checked(false, 1_000);
  expect([health.lookDue(2_999), health.lookDue(3_000)]).toEqual([false, true]);
  for (let i = 0; i < 20; i++) health.checked(false, 3_000);
  expect([health.lookDue(62_999), health.lookDue(63_000)]).toEqual([false, true]);
  // When nobody looks, because nobody asks, the next request does.
  expect(health.usable(68_000)).toBe(true);
  health.checked(true, 63_000);
  expect(health.usable(63_000)).toBe(true);
  health.checked(false, 63_000);
  expect(health.usable(63_000)).toBe(true);
  health.checked(false, 63_000);
  expect([health.usable(63_000), seen]).toEqual([false, [false, true, false]]);
});

test('a host that a device chooses lies in a named network, or is not reached at all', async () => {
  const chosen = { networks: ['10.0.0.0/8'], chosen: true };
  await expect(resolveBackend('localhost', chosen)).rejects.toMatchObject({ code: 'ERR_BACKEND_ADDRESS' });
  await expect(resolveBackend('93.184.216.34', chosen)).rejects.toMatchObject({ code: 'ERR_BACKEND_ADDRESS' });
  expect(await resolveBackend('93.184.216.34', { networks: ['10.0.0.0/8'] })).toHaveLength(1);
  const found = await resolveBackend('localhost', { networks: ['127.0.0.0/8', '::1/128'], chosen: true });
  expect(found.length).toBeGreaterThan(0);
});

test('a server with an address that is not allowed is passed over', async () => {
  const backends = kept();
  const { url } = await server();
  const servers = [{ url: await nowhere() }, { url }];
  const backend: Backend = { url: 'http://10.255.0.1:9', servers, networks: NETWORKS };
  for (let i = 0; i < 3; i++) expect((await ask(backend, { backends })).outcome).toBe('done');
});

test('a connection that finds a server gone and the next one not allowed ends with words, not the process', async () => {
  const backends = kept();
  const gone = await nowhere();
  const backend: Backend = { url: gone, servers: [{ url: 'http://10.255.0.1:9', standby: true }], networks: NETWORKS };
  const asker = { authority: 'db.corp', under: 'db.corp', tenant: new Tenant({ session: 's', user: 'ada' }) };
  const failure = await new Promise<BackendError>((resolve, reject) => {
    backends.dial(backend, asker, { connected: reject, failed: resolve });
  });
  expect(failure.code).toBe('ERR_BACKEND_ADDRESS');
});

test('a connection that was made to a server that is none of the resource any more carries nothing', async () => {
  const [old, other] = [(await server()).url, (await server()).url].map((url) => url.replace('http:', 'tcp:')) as [
    string,
    string,
  ];
  const gone = (await nowhere()).replace('http:', 'tcp:');
  const backend: Backend = { url: gone, servers: [{ url: old }], networks: NETWORKS };
  const host = new TestHost(backend, 'tcp', { backends: kept() });
  const { stream } = testStream(3);
  const sink = new TcpExchange({ host, stream });
  stream.sink = sink;
  const name = encodeText('wiki.corp');
  sink.data(Buffer.concat([Buffer.of(name.length), name, encodeText('GET / HTTP/1.0\r\n\r\n')]));
  host.state.backend = { ...backend, servers: [{ url: other }] };
  host.state.rights += 1;
  await until(() => host.outcomes.length > 0);
  expect(host.outcomes).toEqual(['NOT_PROCESSED']);
});

test('each name under a wildcard is a host of its own, and a user holds only so many', async () => {
  const backend: Backend = { url: 'http://*.internal:81', networks: NETWORKS };
  const backends = kept();
  const tenant = new Tenant({ session: 's', user: 'ada' });
  const pool = (authority: string) => backends.pool(backend, { authority, under: '*.corp', tenant });
  expect(pool('a.corp').server).toMatchObject({ url: 'http://a.internal:81', chosen: true });
  expect(pool('a.corp')).toBe(pool('a.corp'));
  expect(pool('a.b.corp').server.url).toBe('http://a.b.internal:81');
  expect(() => pool('corp')).toThrow('not under the wildcard');
  // Left again when nothing is under way there.
  for (let i = 0; i < 300; i++) tenant.share(pool(`n${i}.corp`));
  // Held by other channels of the user.
  const others = Array.from({ length: 4 }, (_, i) => new Tenant({ session: `s${i}`, user: 'bob' }));
  const hold = (i: number) =>
    others[i % 4]!.share(backends.pool(backend, { authority: `m${i}.corp`, under: '*.corp', tenant: others[i % 4]! }));
  for (let i = 0; i < 256; i++) hold(i).claim.held = 1;
  expect(() => hold(256)).toThrow(expect.objectContaining({ code: 'ERR_BACKEND_BUSY' }));
  expect(pool('other.corp').server.url).toBe('http://other.internal:81');
});

test('an operator who tries a backend hears of each server', async () => {
  const well = await server();
  const gone = await nowhere();
  const tried = await tryBackend(
    {
      url: well.url,
      servers: [{ url: gone }],
      networks: NETWORKS,
      prefix: '/app',
      basic: { user: 'a', password: 'b' },
    },
    'wiki.corp',
  );
  expect(tried).toMatchObject({ ok: false, reason: 'port' });
  expect(tried.detail).toContain(`${well.url} answers 200; ${gone} it takes no connections`);
  expect(tried.detail).not.toContain('a:b');
  expect([well.asked[0]!.url, well.asked[0]!.headers.authorization]).toEqual(['/app/', 'Basic YTpi']);
});
