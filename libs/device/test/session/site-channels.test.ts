import type { Route } from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Device, type DeviceOptions } from '../../src/device.ts';
import type { DeviceError } from '../../src/errors.ts';
import type { DeviceRecord, StoredSession } from '../../src/kept/record.ts';
import { memoryStorage } from '../../src/kept/record.ts';
import { CONTEXT } from '../context.ts';
import { FakeGateway } from '../gateway-of-sites.ts';

const SESSION: StoredSession = {
  sid: new Uint8Array(16).fill(7),
  secret: new Uint8Array(32).fill(8),
  reservedChanNo: 0,
};
const A = 'wss://a';
const B = 'wss://b';

/** Where the resource `name` is, by ranks. */
const at = (name: string, ...sites: string[][]): Route => ({ name, kind: 'http', authority: `${name}.test`, sites });

/** A device with a session, and the sites a and b; resources are named after their site. */
async function scene(
  routes: readonly Route[] | 'unsaid' = [at('a', ['a']), at('b', ['b'])],
  more: Partial<DeviceOptions> & { readonly origins?: readonly string[]; readonly record?: object } = {},
) {
  const { origins = [A, B], record = {}, ...options } = more;
  const gateway = new FakeGateway(SESSION, origins);
  gateway.routes = routes === 'unsaid' ? undefined : routes;
  const sites = [...new Set([...gateway.proxies.values()].map(({ site }) => site))].map((name) => ({
    name,
    origins: origins.filter((origin) => gateway.at(origin).site === name),
  }));
  const storage = memoryStorage();
  await storage.store({
    realm: 'main',
    iid: 'i',
    origins: [],
    sites,
    siteMapSeq: 1,
    session: SESSION,
    ...record,
  } as unknown as DeviceRecord);
  const device = await Device.open({
    storage,
    crypto: serverCrypto(),
    webSocket: gateway.webSocket,
    context: () => CONTEXT,
    patienceMs: 20_000,
    ...options,
  });
  onTestFinished(() => device.close());
  const get = async (name: string): Promise<string> =>
    (await device.request({ method: 'GET', scheme: 'https', authority: `${name}.test`, path: '/', fields: [] })).site;
  return { device, gateway, storage, get, a: gateway.at(A), b: gateway.at(B) };
}

test('a device goes to the site of a resource, opens its channel when it is first needed, and signs in nowhere', async () => {
  const { device, get, a, b, gateway } = await scene();
  await device.resume();
  expect([a.channels.size, b.channels.size]).toEqual([1, 0]);
  expect(device.resources.map(({ name }) => name)).toEqual(['a', 'b']);
  expect(await get('a')).toBe('a');
  expect(b.channels.size).toBe(0);
  expect(await get('b')).toBe('b');
  expect(await Promise.all([get('b'), get('a'), get('b')])).toEqual(['b', 'a', 'b']);
  expect([a.channels.size, b.channels.size]).toEqual([1, 1]);
  expect(gateway.lastChanNo).toBe(2);
  expect(device.sites).toMatchObject([
    { name: 'a', reach: 'connected', origin: A, resources: ['a'] },
    { name: 'b', reach: 'connected', origin: B, resources: ['b'] },
  ]);
});

test('in a realm of one site everything is there, and what there is its Proxies say', async () => {
  const { device, get, a } = await scene('unsaid', { origins: [A, 'wss://a-2'] });
  expect([await get('a'), await get('b')]).toEqual(['a', 'a']);
  expect(a.hellos).toBe(1);
  expect(device.resources).toEqual([{ name: 'a', kind: 'http', authority: 'a.test' }]);
});

test('a Proxy that keeps back where resources are, and calls them its own, is sent nothing for them', async () => {
  const { device, get, a, b, gateway } = await scene('unsaid');
  gateway.claimed = ['b'];
  const asked = get('b');
  await vi.waitFor(() => expect(a.channels.size).toBe(1), 90_000);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect([device.resources, a.requests]).toEqual([[], 0]);
  gateway.routes = [at('b', ['b'])];
  a.announce({ routes: gateway.sealed()! });
  expect(await asked).toBe('b');
  expect([a.requests, b.requests]).toEqual([0, 1]);
  expect(device.resources.map(({ name }) => name)).toEqual(['b']);
});

test('where no Proxy ever says where resources are, requests fail and certainly did not run', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const { get, a, b } = await scene('unsaid');
  const failed = get('a').catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await failed).toMatchObject({ code: 'UNAVAILABLE', mayHaveRun: false });
  expect([a.requests, b.requests]).toEqual([0, 0]);
});

test('what is at no site is asked for nowhere; where Security could not say all, it may be at any', async () => {
  const { get, gateway, a } = await scene([at('b', ['b'])]);
  await expect(get('payroll')).rejects.toMatchObject({ code: 'RESOURCE_UNKNOWN', mayHaveRun: false });
  expect(a.requests).toBe(0);
  gateway.asOf = 2;
  gateway.more = true;
  a.announce({ routes: gateway.sealed()! });
  expect([await get('payroll'), await get('b')]).toEqual(['a', 'b']);
});

test('routes that were older for one process are so for the next', async () => {
  const first = await scene([at('b', ['b'])]);
  first.gateway.asOf = 7;
  expect(await first.get('b')).toBe('b');
  const kept = async () => (await first.storage.load())!.session!;
  await vi.waitFor(async () => expect((await kept()).routes).toMatchObject({ asOf: 7 }), 90_000);
  first.device.close();
  const next = await scene([at('b', ['a'])], { record: { session: await kept() } });
  next.gateway.asOf = 6;
  next.gateway.lastChanNo = 64;
  const asked = next.get('b');
  await vi.waitFor(() => expect(next.a.channels.size).toBe(1), 90_000);
  next.gateway.asOf = 8;
  next.gateway.routes = [at('b', ['b'])];
  next.a.announce({ routes: next.gateway.sealed()! });
  expect(await asked).toBe('b');
  expect(next.a.requests).toBe(0);
});

test('routes of before a restore do not come back', async () => {
  const { get, gateway, a } = await scene([at('b', ['b'])]);
  expect(await get('b')).toBe('b');
  const before = gateway.sealed()!;
  gateway.epoch = '1'.repeat(32);
  gateway.routes = [at('b', ['a'])];
  a.announce({ routes: gateway.sealed()! });
  a.announce({ routes: before });
  await vi.waitFor(async () => expect(await get('b')).toBe('a'), 90_000);
  a.announce({ routes: before });
  expect(await get('b')).toBe('a');
});

test('numbers of channels are shared: HELLOs to two sites at once, in whichever order they come, open both', async () => {
  const { device, get, gateway } = await scene([at('a', ['a']), at('b', ['b']), at('c', ['c'])], {
    origins: [A, B, 'wss://c'],
  });
  await device.resume();
  gateway.at(B).connectMs = 30;
  gateway.at('wss://c').connectMs = 5;
  expect(await Promise.all([get('b'), get('c'), get('a')])).toEqual(['b', 'c', 'a']);
});

test('the preferred site is taken, whichever channel stands; one that is down is left for the next, and is taken again', async () => {
  const { device, get, a, b } = await scene([at('b', ['b'], ['a'])]);
  await device.resume();
  expect(await get('b')).toBe('b');
  b.kill();
  expect(await get('b')).toBe('a');
  expect(a.channels.size).toBe(1);
  b.mood = 'up';
  await vi.waitFor(async () => expect(await get('b')).toBe('b'), { timeout: 90_000, interval: 50 });
});

test('a site that says nothing at all holds nobody up: the next one that serves the resource is tried beside it', async () => {
  const { get, b } = await scene([at('b', ['b'], ['a'])]);
  b.mood = 'mute';
  expect(await get('b')).toBe('a');
});

test.each(['down', 'mute', 'UNAVAILABLE'] as const)(
  'a site that is %s and the only one of a resource is named in the error, while others go on; it certainly did not run',
  async (mood) => {
    const { device, get, b } = await scene();
    await device.resume();
    b.mood = mood;
    const error = await get('b').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'SITE_UNAVAILABLE', site: 'b', mayHaveRun: false });
    expect(await get('a')).toBe('a');
    expect(device.state).toBe('connected');
    if (mood === 'mute') return;
    b.mood = 'up';
    await vi.waitFor(async () => expect(await get('b')).toBe('b'), { timeout: 90_000, interval: 50 });
  },
);

test('a site of which no Proxy is known is named, and a newer site map looked for', async () => {
  const { get, a } = await scene([at('a', ['a']), at('c', ['c'])]);
  await expect(get('c')).rejects.toMatchObject({ code: 'SITE_UNAVAILABLE', site: 'c', mayHaveRun: false });
  expect(await get('a')).toBe('a');
  expect(a.requests).toBe(1);
});

test('when nobody answers it is the network and no site: the device is offline', async () => {
  const { device, get, a, b } = await scene(undefined, { patienceMs: 2_500 });
  await device.resume();
  a.kill();
  b.kill();
  await expect(get('b')).rejects.toMatchObject({ code: 'OFFLINE', mayHaveRun: false });
});

test('a Proxy that lost its lease serves nothing: what another site may serve goes there, and back when it serves again', async () => {
  const { device, get, b } = await scene([at('b', ['b'], ['a']), at('a', ['a'])]);
  await device.resume();
  expect(await get('b')).toBe('b');
  b.announce({ code: 'LEASE_LOST' });
  await vi.waitFor(() => expect(device.sites[1]).toMatchObject({ name: 'b', reach: 'suspended' }), 90_000);
  expect(device.state).toBe('connected');
  expect(await get('b')).toBe('a');
  b.announce({ code: 'RESUMED' });
  await vi.waitFor(async () => expect(await get('b')).toBe('b'), 90_000);
});

test('a site that falls silent under a request is given up when another one answers: what may run twice goes there', async () => {
  const { device, get, a, b } = await scene([at('b', ['b'], ['a']), at('a', ['a'])]);
  expect(await get('b')).toBe('b');
  for (const channel of b.channels) channel.hears = false;
  b.mood = 'mute';
  const head = { scheme: 'https', authority: 'b.test', path: '/', fields: [] };
  const post = device.request({ ...head, method: 'POST' }).catch((error: unknown) => error);
  expect(await get('b')).toBe('a');
  expect(await post).toMatchObject({ code: 'CONNECTION_LOST', mayHaveRun: true });
  expect(a.requests).toBe(1);
});

test('silence of all sites is no word about one of them: a slow answer is waited for', async () => {
  const { get, a, b } = await scene([at('b', ['b'], ['a']), at('a', ['a'])]);
  expect([await get('a'), await get('b')]).toEqual(['a', 'b']);
  const all = [...a.channels, ...b.channels];
  for (const channel of all) channel.hears = false;
  for (const proxy of [a, b]) proxy.mood = 'mute';
  const slow = get('b');
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  expect(all.map((channel) => [...a.channels, ...b.channels].includes(channel))).toEqual([true, true]);
  for (const proxy of [a, b]) proxy.mood = 'up';
  for (const channel of all) channel.cut();
  expect(await slow).toMatch(/^[ab]$/);
});

test('connections that lead nowhere any more are left when Proxies take new ones: what may run twice goes on by those', async () => {
  const { device, get, a, b } = await scene([at('b', ['b'], ['a']), at('a', ['a'])]);
  const ended = vi.fn();
  device.on('ended', ended);
  expect([await get('a'), await get('b')]).toEqual(['a', 'b']);
  const stranded = [...a.channels, ...b.channels];
  for (const channel of stranded) channel.hears = false;
  // The device is in another network, and nobody told it.
  expect([await get('a'), await get('b')]).toEqual(['a', 'b']);
  expect(stranded.filter((channel) => a.channels.has(channel) || b.channels.has(channel))).toEqual([]);
  expect(ended).not.toHaveBeenCalled();
});

test('rights that change are heard from any channel, and older words of them change nothing', async () => {
  const { device, get, gateway, a, b } = await scene();
  await device.resume();
  gateway.asOf = 5;
  gateway.routes = [at('a', ['a']), at('b', ['a'])];
  a.announce({ routes: gateway.sealed()! });
  await vi.waitFor(async () => expect(await get('b')).toBe('a'), 90_000);
  const before = b.requests;
  gateway.asOf = 4;
  gateway.routes = [at('a', ['a']), at('b', ['b'])];
  a.announce({ routes: gateway.sealed()! });
  const ignored = vi.fn();
  device.on('ignored', ignored);
  a.announce({ routes: new Uint8Array(400) });
  await vi.waitFor(() => expect(ignored).toHaveBeenCalledWith(expect.objectContaining({ what: 'routes' })), 90_000);
  expect(await get('b')).toBe('a');
  expect(b.requests).toBe(before);
});

test('a session that is over ends at every site, and is told once', async () => {
  const { device, get, gateway, a, b } = await scene();
  const ended = vi.fn();
  device.on('ended', ended);
  await get('a');
  await get('b');
  gateway.standing = 'installation';
  for (const channel of [...a.channels, ...b.channels]) channel.goaway('REVOKED');
  await vi.waitFor(() => expect(ended).toHaveBeenCalledTimes(1), 90_000);
  expect(ended).toHaveBeenCalledWith({ code: 'REVOKED', cause: 'installation' });
  expect(device.state).toBe('signed-out');
  await expect(get('b')).rejects.toMatchObject({ code: 'SIGNED_OUT' });
});

test.each([
  ['REVOKED', 'live'],
  ['REVOKED', undefined],
  ['SESSION_EXPIRED', 'live'],
  ['REENROLL_REQUIRED', 'live'],
  ['CONTEXT_DENIED', 'live'],
  ['APP_UPDATE_REQUIRED', undefined],
] as const)('no Proxy ends a session, not even the only one: it says %s, and Security %s', async (code, standing) => {
  const { device, get, gateway, b } = await scene('unsaid', { origins: [B] });
  const ended = vi.fn();
  device.on('ended', ended);
  await get('b');
  gateway.standing = standing;
  for (const channel of b.channels) channel.goaway(code);
  await vi.waitFor(async () => expect(await get('b').catch(String)).toBe('b'), 90_000);
  expect([device.hasSession, ended.mock.calls.length]).toEqual([true, 0]);
  // In Security's own word it is over.
  gateway.standing = 'user';
  for (const channel of b.channels) channel.goaway('SESSION_EXPIRED');
  await vi.waitFor(() => expect(ended).toHaveBeenCalledWith({ code: 'REVOKED', cause: 'user' }), 90_000);
  expect(device.state).toBe('signed-out');
});

test('a Proxy that calls a session over which goes on is left for another one of its site', async () => {
  const { device, get, gateway, b } = await scene('unsaid', { origins: [B, 'wss://b-2'] });
  await get('b');
  gateway.standing = 'live';
  b.refuses = 'REVOKED';
  for (const channel of b.channels) channel.goaway('REVOKED');
  await vi.waitFor(async () => expect(await get('b').catch(String)).toBe('b'), 90_000);
  expect([gateway.at('wss://b-2').requests, b.requests, b.hellos]).toEqual([1, 1, 1]);
  expect(device.state).toBe('connected');
});

test.each([
  ['live', { code: 'CONNECTION_LOST', mayHaveRun: true }],
  [undefined, { code: 'CONNECTION_LOST', mayHaveRun: true }],
  ['user', { code: 'REVOKED', mayHaveRun: true }],
  ['expired', { code: 'SESSION_EXPIRED', mayHaveRun: true }],
] as const)('what is open when a Proxy calls the session over ends as Security says: %s', async (standing, end) => {
  const { device, get, gateway, b } = await scene('unsaid', { origins: [B, 'wss://b-2'] });
  await get('b');
  gateway.standing = standing;
  b.answers = false;
  b.refuses = 'REVOKED';
  const posted = device.fetch('http://b.test/', { method: 'POST', body: 'once' }).catch((error: unknown) => error);
  const got = get('b').catch((error: unknown) => error);
  await vi.waitFor(() => expect(b.requests).toBe(3), 90_000);
  for (const channel of b.channels) channel.goaway('REVOKED');
  expect(await posted).toMatchObject(end);
  // What may run twice is not lost by what a Proxy says.
  if (end.code === 'CONNECTION_LOST') expect(await got).toBe('b');
  else expect(await got).toMatchObject({ code: end.code });
});

test.each(['REVOKED', 'REENROLL_REQUIRED', 'SESSION_EXPIRED'] as const)(
  'a request that a Proxy ends with %s is one that was lost, and goes on where it may run twice',
  async (code) => {
    const { device, get, b } = await scene('unsaid', { origins: [B] });
    await get('b');
    b.answers = false;
    const posted = device.fetch('http://b.test/', { method: 'POST', body: 'once' }).catch((error: unknown) => error);
    const got = get('b');
    await vi.waitFor(() => expect(b.requests).toBe(3), 90_000);
    b.answers = true;
    for (const channel of b.channels) channel.resetAll(code);
    expect(await posted).toMatchObject({ code: 'CONNECTION_LOST', mayHaveRun: true });
    expect([await got, device.hasSession, b.hellos]).toEqual(['b', true, 1]);
  },
);

test('what is open when a Proxy calls the session over ends at once when the device is closed', async () => {
  const { device, get, gateway, b } = await scene('unsaid', { origins: [B] });
  await get('b');
  b.answers = false;
  const posted = device.fetch('http://b.test/', { method: 'POST', body: 'once' }).catch((error: unknown) => error);
  await vi.waitFor(() => expect(b.requests).toBe(2), 90_000);
  gateway.at(B).mood = 'mute';
  for (const channel of b.channels) channel.goaway('REVOKED');
  await new Promise((resolve) => setTimeout(resolve, 20));
  device.close();
  expect(await posted).toMatchObject({ code: 'CONNECTION_LOST', mayHaveRun: true });
});

test('what a Proxy says of a session leaves what stands at another site alone', async () => {
  const { device, get, gateway, b } = await scene();
  const ended = vi.fn();
  device.on('ended', ended);
  await get('a');
  await get('b');
  gateway.standing = 'live';
  b.refuses = 'REVOKED';
  for (const channel of b.channels) channel.goaway('REVOKED');
  await vi.waitFor(() => expect(device.sites[1]).toMatchObject({ name: 'b', reach: 'offline' }), 90_000);
  expect(await get('a')).toBe('a');
  expect([device.state, ended.mock.calls.length]).toEqual(['connected', 0]);
});

test.each(['SESSION_UNKNOWN', 'HANDSHAKE_FAILED', 'DENIED'] as const)(
  'a site whose Proxies say %s keeps nobody from another one that serves the same',
  async (hint) => {
    const { get, gateway, b } = await scene([at('b', ['b'], ['a']), at('a', ['a'])]);
    gateway.standing = 'live';
    await get('a');
    b.mood = hint;
    expect(await get('b')).toBe('a');
  },
);

test('where every Proxy refuses the app, it is told why, keeps its session, and does not ask on and on', async () => {
  const { device, get, gateway, b } = await scene('unsaid', { origins: [B] });
  gateway.standing = 'live';
  b.refuses = 'CONTEXT_DENIED';
  for (let i = 0; i < 50; i++)
    await expect(get('b')).rejects.toMatchObject({ code: 'CONTEXT_DENIED', mayHaveRun: false });
  expect([device.hasSession, b.requests]).toEqual([true, 0]);
  expect(b.hellos).toBeLessThan(10);
  b.refuses = undefined;
  device.contextChanged();
  await vi.waitFor(async () => expect(await get('b').catch(String)).toBe('b'), 90_000);
});

test('channels that nobody uses are closed, but for the one that was used last', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const { get, a, b } = await scene();
  await get('a');
  await get('b');
  await vi.advanceTimersByTimeAsync(55_000);
  expect([a.channels.size, b.channels.size]).toEqual([1, 1]);
  expect(await get('b')).toBe('b');
  await vi.advanceTimersByTimeAsync(30_000);
  expect([a.channels.size, b.channels.size]).toEqual([0, 1]);
  await vi.advanceTimersByTimeAsync(200_000);
  expect(b.channels.size).toBe(1);
  expect(await get('a')).toBe('a');
});

test.each([
  [{ site: 'b' }, 'b'],
  [{ origin: B }, 'b'],
])('a device that is pinned to %o goes by it for everything, and dials nothing else', async (pin, site) => {
  const routes = [at('a', ['a']), at('b', ['a'], ['b'])];
  const byOption = await scene(routes, { pin });
  const byLink = await scene(routes, { record: { pin } });
  for (const { get, a, b } of [byOption, byLink]) {
    expect(await get('b')).toBe(site);
    // What is not there is sent to nobody.
    await expect(get('a')).rejects.toMatchObject({ code: 'SITE_UNAVAILABLE', site: 'a', mayHaveRun: false });
    expect([a.dialled, b.requests]).toEqual([0, 1]);
  }
});

/** So many requests at once that are not repeated, each open until its Proxy ends it; what came of them. */
function openMany(device: Device, count: number): Promise<unknown[]> {
  const head = { method: 'POST', scheme: 'https', authority: 'a.test', path: '/', fields: [] };
  const send = (): Promise<unknown> => device.request(head).catch((error: DeviceError) => error.code);
  return Promise.all(Array.from({ length: count }, send));
}

test('streams beyond what one channel takes go by a second one to the same site, and by no third', async () => {
  const { device, get, a } = await scene('unsaid', { origins: [A] });
  await device.resume();
  a.answers = false;
  const many = openMany(device, 100);
  await vi.waitFor(() => expect(a.requests).toBe(100), 90_000);
  expect([a.channels.size, a.hellos]).toEqual([2, 2]);
  const more = openMany(device, 60);
  await vi.waitFor(() => expect(a.requests).toBe(128), 90_000);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect([a.requests, a.hellos]).toEqual([128, 2]);
  a.answers = true;
  for (const channel of a.channels) channel.resetAll('BACKEND_TIMEOUT');
  expect(await many).toEqual(Array(100).fill('BACKEND_TIMEOUT'));
  await more;
  expect(await get('a')).toBe('a');
});

test('many short requests are no reason for a second channel', async () => {
  const { get, a } = await scene('unsaid', { origins: [A] });
  expect(await Promise.all(Array.from({ length: 150 }, () => get('a')))).toEqual(Array(150).fill('a'));
  expect(a.hellos).toBe(1);
});

test('a Proxy that ends a channel for too much of something is asked for no second one', async () => {
  const { device, a } = await scene('unsaid', { origins: [A] });
  a.answers = false;
  const first = openMany(device, 65);
  await vi.waitFor(() => expect(a.requests).toBe(65), 90_000);
  // The oldest goes, as where a session may have one.
  const [oldest] = a.channels;
  oldest!.goaway('CALM_DOWN');
  await vi.waitFor(() => expect(a.channels.has(oldest!)).toBe(false), 90_000);
  for (const channel of a.channels) channel.cut();
  await first;
  const hellos = a.hellos;
  const again = openMany(device, 65);
  await vi.waitFor(() => expect(a.requests).toBe(65 + 64), 90_000);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect([a.requests, a.channels.size]).toEqual([65 + 64, 1]);
  expect(a.hellos - hellos).toBeLessThanOrEqual(1);
  a.answers = true;
  for (const channel of a.channels) channel.resetAll('BACKEND_TIMEOUT');
  await again;
});

test('a second channel that nobody uses is closed, and one that is lost is not looked for', async () => {
  const { device, a } = await scene('unsaid', { origins: [A] });
  a.answers = false;
  const many = openMany(device, 65);
  await vi.waitFor(() => expect(a.requests).toBe(65), 90_000);
  const [, second] = a.channels;
  second!.cut();
  for (const channel of a.channels) channel.resetAll('BACKEND_TIMEOUT');
  await many;
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect([a.channels.size, a.hellos]).toEqual([1, 2]);
});

test('a pinned origin that no site map names is tried as a Proxy of each site, until it belongs to one', async () => {
  const { get, gateway, a, b } = await scene(undefined, { pin: { origin: 'wss://b-behind.nat' } });
  expect(await get('b')).toBe('b');
  await expect(get('a')).rejects.toMatchObject({ code: 'SITE_UNAVAILABLE', site: 'a' });
  expect(gateway.at('wss://b-behind.nat').hellos).toBe(2);
  expect([a.dialled, b.dialled]).toEqual([0, 0]);
});

test('of equal sites the one that was measured as nearer is taken, in each network its own', async () => {
  let network = 'office';
  const options = { networkId: () => network, origins: [A, B] };
  const { device, get, storage, a, b } = await scene([at('x', ['a', 'b'])], options);
  a.connectMs = 300;
  await device.resume();
  // Nobody calls near what was not measured.
  expect(device.sites[1]).not.toHaveProperty('connectMs');
  await vi.waitFor(() => expect(device.sites[1]!.connectMs).toBeLessThan(device.sites[0]!.connectMs!), 90_000);
  expect(await get('x')).toBe('b');
  expect([a.hellos, b.hellos]).toEqual([1, 1]);
  await vi.waitFor(async () => expect((await storage.load())?.networks?.[0]?.origins).toHaveLength(2), 90_000);
  expect((await storage.load())?.networks?.map(({ id }) => id)).toEqual(['office']);
  network = 'home';
  device.networkChanged();
  expect(device.sites.filter((site) => site.connectMs !== undefined)).toEqual([]);
});
