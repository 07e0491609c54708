import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import {
  concat,
  DeviceEstablish,
  DeviceOpening,
  encodeText,
  keyOf,
  parseLink,
  publicKeyOf,
  type SessionSecret,
} from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { type Attest, attestInSoftware, type Device, type DeviceRecord, memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import type { ResourceTrial } from '@sallyport/security-api';
import * as api from '@sallyport/security-api/admin';
import { countriesFile, scratchFolder } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { FORBIDDEN_HOSTS, HOSTILE_PATHS } from '../../../libs/channel/test/hostile.ts';
import { startBackend } from '../src/backend.ts';
import { CONTEXT, Gateway, PASSWORD } from '../src/gateway.ts';
import { RawSocket } from '../src/raw-socket.ts';
import { startTlsBackend } from '../src/tls-backend.ts';

const crypto = nodeCrypto();
const backend = await startBackend();
// This machine lies in Germany.
const countries = join(scratchFolder(), 'countries.mmdb');
writeFileSync(countries, countriesFile([{ network: '127.0.0.0/8', record: { country: { iso_code: 'DE' } } }]));
const gateway = await Gateway.start({ proxyEnvironment: { SALLYPORT_COUNTRIES: countries } });
await gateway.addResource('wiki', 'wiki.corp', backend.url);
await gateway.addUser('ada');
const origin = gateway.origins[0]!;
afterAll(async () => {
  await gateway.stop();
  await backend.close();
});

async function ask(message: Uint8Array): Promise<string | undefined> {
  const socket = await RawSocket.open(origin);
  try {
    return await socket.hint(message);
  } finally {
    socket.end();
  }
}

/** A signed-in device, its stored record, and the head of a HELLO of its own. */
async function signedIn() {
  const storage = memoryStorage();
  const device = await gateway.device('ada', storage);
  const record = (await storage.load()) as DeviceRecord;
  const hello = (over: { chanNo?: number; sid?: Uint8Array; secret?: Uint8Array; audience?: string }): Uint8Array =>
    new DeviceOpening({
      crypto,
      secret: keyOf<SessionSecret>(over.secret ?? record.session!.secret),
      hello: {
        suite: 1,
        sid: over.sid ?? record.session!.sid,
        chanNo: over.chanNo ?? 1_000_000,
        nonce: crypto.randomBytes(16),
        audience: encodeText(over.audience ?? 'main/here'),
      },
      context: CONTEXT,
    }).writeHello();
  return { device, record, hello };
}

async function freshHs1(): Promise<Uint8Array> {
  const { kid, rs } = parseLink(await gateway.link('ada'));
  return new DeviceEstablish({
    crypto,
    suite: 1,
    role: 'session',
    realm: 'main',
    kid,
    rs,
    deviceStatic: crypto.generateKeyPair(),
  }).writeHs1();
}

test('malformed messages get a named hint or a closed socket, and the Proxy lives on', async () => {
  const hs1 = await freshHs1();
  const changed = (at: number, value: number): Uint8Array => Object.assign(hs1.slice(), { [at]: value });
  expect(await ask(Uint8Array.of(0x77))).toBe('BAD_MESSAGE');
  expect(await ask(new Uint8Array(0))).toBe('BAD_MESSAGE');
  expect(await ask(Uint8Array.of(1, 1))).toBe('SUITE');
  expect(await ask(changed(1, 9))).toBe('VERSION');
  expect(await ask(changed(2, 9))).toBe('SUITE');
  expect(await ask(changed(7, hs1[7]! ^ 1))).toBe('UNKNOWN_KID');
  expect(await ask(changed(10, hs1[10]! ^ 1))).toBe('BAD_MESSAGE');
  expect(await ask(changed(40, hs1[40]! ^ 1))).toBe('BAD_MESSAGE');
  expect(await ask(hs1.slice(0, 500))).toBe('BAD_MESSAGE');
  expect(await ask(concat(Uint8Array.of(3), new Uint8Array(400)))).toBe('HANDSHAKE_EXPIRED');
  expect(await ask(concat(Uint8Array.of(0x10, 1, 1, 1), new Uint8Array(200)))).toBe('SESSION_UNKNOWN');
  expect(await ask(new Uint8Array(65_601))).toBeUndefined();
});

test('a message for a key of somebody else fails without a reason', async () => {
  const { kid } = parseLink(await gateway.link('ada'));
  const stranger = crypto.generateKeyPair();
  const hs1 = new DeviceEstablish({
    crypto,
    suite: 1,
    role: 'session',
    realm: 'main',
    kid,
    rs: publicKeyOf(stranger.publicKey),
    deviceStatic: crypto.generateKeyPair(),
  }).writeHs1();
  expect(await ask(hs1)).toBe('BAD_MESSAGE');
});

test('a replayed HELLO opens nothing, a stolen session id neither, nor one for another site', async () => {
  const { device, hello } = await signedIn();
  const once = hello({ chanNo: 500_000 });
  const first = await RawSocket.open(origin);
  first.socket.send(once);
  expect((await first.next())![0]).toBe(0x11);
  expect(await ask(once)).toBe('CHAN_REPLAY');
  expect(await ask(hello({ chanNo: 499_999 }))).toBe('CHAN_REPLAY');
  expect(await ask(hello({ chanNo: 600_000, secret: new Uint8Array(32) }))).toBe('SESSION_UNKNOWN');
  expect(await ask(hello({ chanNo: 600_000, sid: new Uint8Array(16) }))).toBe('SESSION_UNKNOWN');
  expect(await ask(hello({ chanNo: 600_000, audience: 'main/elsewhere' }))).toBe('DENIED');
  expect(await ask(hello({ chanNo: 600_000, audience: 'other/here' }))).toBe('DENIED');
  first.end();
  device.close();
});

test('codes: used, wrong, of another user; passwords: wrong; and nothing is lost by it', async () => {
  const link = await gateway.link('ada');
  await gateway.addUser('eve');
  const fresh = () => openDevice(memoryStorage(), () => CONTEXT);
  await expect((await fresh()).enroll(link, { user: 'eve', password: PASSWORD })).rejects.toMatchObject({
    code: 'CREDENTIALS_INVALID',
  });
  await expect((await fresh()).enroll(link, { user: 'ada', password: 'wrong' })).rejects.toMatchObject({
    code: 'CREDENTIALS_INVALID',
  });
  const device = await fresh();
  await device.enroll(link, { user: 'ada', password: PASSWORD });
  await expect((await fresh()).enroll(link, { user: 'ada', password: PASSWORD })).rejects.toMatchObject({
    code: 'CODE_INVALID',
  });
  await expect(device.enroll(link, { user: 'ada', password: PASSWORD })).rejects.toMatchObject({
    code: 'ALREADY_ENROLLED',
  });
  await expect((await fresh()).enroll('https://x/#garbage', { user: 'ada', password: PASSWORD })).rejects.toMatchObject(
    { code: 'ERR_CHANNEL_LINK' },
  );
  await expect((await fresh()).login()).rejects.toMatchObject({ code: 'NOT_ENROLLED' });
  await device.login({ user: 'ada', password: PASSWORD });
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  device.close();
});

test('too many wrong passwords lock that user at that address, and say for how long', async () => {
  await gateway.addUser('locked');
  const device = await gateway.device('locked');
  for (let i = 0; i < 5; i++) {
    await expect(device.login({ user: 'locked', password: 'wrong' })).rejects.toMatchObject({
      code: 'CREDENTIALS_INVALID',
    });
  }
  const refused = await device.login({ user: 'locked', password: PASSWORD }).catch((error) => error);
  expect(refused).toMatchObject({ code: 'LOCKED' });
  expect(refused.retryAfterMs).toBeGreaterThan(1_000);
  const other = await gateway.device('ada');
  expect(other.state).toBe('connected');
  other.close();
});

test('a disabled user is out at once and cannot come back', async () => {
  await gateway.addUser('gone');
  const device = await gateway.device('gone');
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  const ended = new Promise((resolve) => device.on('ended', resolve));
  const view = await gateway.operator.call(api.users.disable, { params: { name: 'gone' } });
  expect(view['inForce']).toBe(true);
  expect(await ended).toEqual({ code: 'REVOKED', cause: 'user' });
  expect(device.state).toBe('signed-out');
  await expect(device.fetch('http://wiki.corp/echo')).rejects.toMatchObject({ code: 'SIGNED_OUT' });
  await expect(device.login({ user: 'gone', password: PASSWORD })).rejects.toMatchObject({ code: 'HANDSHAKE_FAILED' });
  await gateway.operator.call(api.users.enable, { params: { name: 'gone' } });
  await expect(device.login({ user: 'gone', password: PASSWORD })).rejects.toMatchObject({ code: 'HANDSHAKE_FAILED' });
});

test('unknown resources, refused methods and unreachable backends are named, and say whether anything ran', async () => {
  await gateway.addResource('dead', 'dead.corp', 'http://127.0.0.1:1');
  await gateway.operator.call(api.resources.put, {
    params: { name: 'local' },
    body: {
      kind: 'http',
      authority: 'local.corp',
      backend: { url: backend.url, networks: [] },
    },
  });
  await gateway.operator.call(api.policies.put, {
    params: { name: 'local' },
    body: { groups: ['staff'], resources: ['local'], context: {} },
  });
  await gateway.operator.call(api.resources.put, {
    params: { name: 'readonly' },
    body: {
      kind: 'http',
      authority: 'readonly.corp',
      backend: { url: backend.url, networks: ['127.0.0.0/8'] },
    },
  });
  await gateway.operator.call(api.policies.put, {
    params: { name: 'readonly' },
    body: {
      groups: ['staff'],
      resources: ['readonly'],
      context: {},
      methods: ['GET'],
      paths: ['/echo'],
    },
  });
  await gateway.operator.call(api.resources.put, {
    params: { name: 'strict' },
    body: {
      kind: 'http',
      authority: 'strict.corp',
      backend: { url: backend.url, networks: ['127.0.0.0/8'] },
    },
  });
  await gateway.operator.call(api.policies.put, {
    params: { name: 'strict' },
    body: {
      groups: ['staff'],
      resources: ['strict'],
      context: { posture: { encrypted: true } },
    },
  });
  const device = await gateway.device('ada');
  const refused = async (url: string, init?: RequestInit) =>
    device.fetch(url, init).then(
      () => 'passed',
      ({ code, mayHaveRun }) => `${code} ${mayHaveRun}`,
    );
  expect(await refused('http://nowhere.corp/')).toBe('RESOURCE_UNKNOWN false');
  expect(await refused('http://dead.corp/')).toBe('BACKEND_UNREACHABLE false');
  expect(await refused('http://local.corp/')).toBe('BACKEND_UNREACHABLE false');
  expect(await refused('http://readonly.corp/echo')).toBe('passed');
  expect(await refused('http://readonly.corp/echo', { method: 'POST', body: 'x' })).toBe('REQUEST_REFUSED false');
  expect(await refused('http://readonly.corp/echoes')).toBe('REQUEST_REFUSED false');
  expect(await refused('http://strict.corp/echo')).toBe('CONTEXT_DENIED false');
  expect(await refused('http://wiki.corp/drop')).toBe('BACKEND_FAILED true');
  const why = (url: string) => device.fetch(url).then(String, ({ message }: Error) => message);
  expect(await why('http://dead.corp/')).toContain('it takes no connections');
  expect(await why('http://local.corp/')).toContain('it lies in no network that is allowed for it');
  expect(await why('http://readonly.corp/echoes')).toContain('no policy opens this method and path');
  device.close();
});

test('a resource that demands evidence opens for a device that proves what it is, and for no other', async () => {
  const context = { attested: { withinMs: 60_000, level: 'software' } } as const;
  await gateway.addResource('vault', 'vault.corp', backend.url);
  const rule = { groups: ['staff'], resources: ['vault'], context };
  await gateway.operator.call(api.policies.put, { params: { name: 'open-vault' }, body: rule });
  const asked = async (device: Device, url = 'http://vault.corp/echo') =>
    device.fetch(url).then(
      ({ status }) => String(status),
      ({ code, mayHaveRun }) => `${code} ${mayHaveRun}`,
    );
  const signIn = async (attest?: Attest): Promise<Device> => {
    const device = await openDevice(memoryStorage(), () => CONTEXT, attest);
    await device.enroll(await gateway.link('ada'), { user: 'ada', password: PASSWORD });
    await device.login({ user: 'ada', password: PASSWORD });
    return device;
  };
  let attested = 0;
  const proving = await signIn((hash) => {
    attested += 1;
    return attestInSoftware(hash);
  });
  expect(await Promise.all([asked(proving), asked(proving), asked(proving, 'http://wiki.corp/echo')])).toEqual([
    ...['200', '200', '200'],
  ]);
  expect(await asked(proving)).toBe('200');
  expect(attested).toBe(1);
  const silent = await signIn();
  expect(await asked(silent, 'http://wiki.corp/echo')).toBe('200');
  expect(await asked(silent)).toBe('ATTESTATION_REJECTED false');
  // A platform that was not set up, and evidence for another challenge.
  const lying = await signIn(async () => ({ connector: 'android-key', statement: new Uint8Array(9) }));
  expect(await asked(lying)).toBe('ATTESTATION_REJECTED false');
  // In production the app's own word counts no more, at once.
  await gateway.operator.call(api.realm.change, { body: { production: true } });
  expect(await asked(proving)).toMatch(/^ATTESTATION_(REQUIRED|REJECTED) false$/);
  expect(await asked(proving, 'http://wiki.corp/echo')).toBe('200');
  await gateway.operator.call(api.realm.change, { body: { production: false } });
  const events = await gateway.operator.call(api.audit.list, { query: { action: 'attest' } });
  const reasons = events.map(({ reason }) => reason).join('\n');
  expect(reasons).toContain('connector-unknown');
  for (const device of [proving, silent, lying]) device.close();
});

test('rules by network and country of the address hold as soon as a change of them is acknowledged', async () => {
  await gateway.addResource('atlas', 'atlas.corp', backend.url);
  const device = await gateway.device('ada', memoryStorage());
  const asked = (): Promise<string> =>
    device.fetch('http://atlas.corp/echo').then(
      ({ status }) => String(status),
      ({ code, message, mayHaveRun }) => `${code} ${mayHaveRun} ${message}`,
    );
  const under = async (place: object): Promise<string> => {
    const all = { networks: null, notNetworks: null, countries: null, notCountries: null, ...place };
    await gateway.operator.call(api.policies.change, { params: { name: 'open-atlas' }, body: all });
    return asked();
  };
  expect(await under({ countries: ['AT', 'DE'] })).toBe('200');
  expect(await under({ notCountries: ['DE'] })).toMatch(/^CONTEXT_DENIED false .*not from this country/);
  expect(await under({ countries: ['AT'] })).toMatch(/^CONTEXT_DENIED false .*not from this country/);
  expect(await under({ networks: ['127.0.0.0/8'], countries: ['DE'] })).toBe('200');
  expect(await under({ networks: ['10.0.0.0/8'], countries: ['DE'] })).toMatch(
    /^CONTEXT_DENIED .*not from this network/,
  );
  expect(await under({ notNetworks: ['127.0.0.0/8'] })).toMatch(/^CONTEXT_DENIED false .*not from this network/);
  expect(await under({})).toBe('200');
  device.close();
});

test('the operator is told what is wrong with a backend: by a trial, and in the status while devices meet it', async () => {
  const tls = await startTlsBackend('elsewhere.corp');
  await gateway.addResource('tls', 'tls.corp', `https://localhost:${tls.port}`);
  const trial = async (name: string): Promise<ResourceTrial['tries'][number]> => {
    const { tries } = await gateway.operator.call(api.resources.test, { params: { name } });
    return tries[0]!;
  };
  expect(await trial('wiki')).toMatchObject({ ok: true });
  expect(await trial('dead')).toMatchObject({ ok: false, reason: 'port' });
  expect(await trial('local')).toMatchObject({ ok: false, reason: 'network' });
  expect(await trial('tls')).toMatchObject({ ok: false, reason: 'certificate' });
  await expect(trial('nowhere')).rejects.toThrow('there is no resource nowhere');
  tls.close();
  const device = await gateway.device('ada');
  await expect(device.fetch('http://dead.corp/')).rejects.toMatchObject({ code: 'BACKEND_UNREACHABLE' });
  const degraded = async (): Promise<string> => (await gateway.operator.call(api.status.get)).degraded.join('\n');
  await expect.poll(degraded).toMatch(/the backend of dead fails at Proxy \S+: it takes no connections/);
  device.close();
});

const corpora = new URL('../../../../shared/corpora/', import.meta.url);

test('hostile paths never reach a backend, whoever sends them', async () => {
  const read = (file: string): string => (existsSync(corpora) ? readFileSync(new URL(file, corpora), 'utf8') : '[]');
  const own = [...HOSTILE_PATHS, ...(JSON.parse(read('paths/own-paths.json')) as string[])];
  const more = existsSync(corpora) ? read('paths/traversal-unique.txt').split('\n') : [];
  const traversals = more.filter(Boolean).slice(0, 400);
  const before = backend.requests.length;
  const device = await gateway.device('ada');
  const send = (path: string) =>
    device.request({ method: 'GET', scheme: 'http', authority: 'wiki.corp', path, fields: [] }).then(
      () => true,
      () => false,
    );
  const results = [];
  for (const path of [...own, ...traversals.map((part) => `/app/${part}`)]) results.push((await send(path)) && path);
  const passed = results.filter((path) => path !== false);
  // What passed is plain text to every reader: no dots, slashes or escapes beyond the prefix once it is resolved.
  for (const path of passed) expect(new URL(path as string, 'http://h').pathname.startsWith('/app')).toBe(true);
  for (const request of backend.requests.slice(before))
    expect(new URL(request.split(' ')[1]!, 'http://h').pathname.startsWith('/app')).toBe(true);
  device.close();
});

test('forbidden hosts are refused as backends unless their network is named', async () => {
  const list = new URL('ssrf/forbidden-hosts.json', corpora);
  const more = existsSync(list) ? (JSON.parse(readFileSync(list, 'utf8')) as { hosts: string[] }).hosts : [];
  // Each is a change of rights: of our own some of each kind are enough here, the unit test has all.
  const hosts = [...FORBIDDEN_HOSTS.filter((_, i) => i % 5 === 0), ...more];
  const device = await gateway.device('ada');
  for (const [index, host] of hosts.entries()) {
    const put = await gateway.operator.raw('PUT', '/v1/resources/evil', {
      kind: 'http',
      authority: `evil${index}.corp`,
      backend: { url: `http://${host}:${new URL(backend.url).port}`, networks: [] },
    });
    if (put.status !== 200) continue;
    await gateway.operator.call(api.policies.put, {
      params: { name: 'evil' },
      body: { groups: ['staff'], resources: ['evil'], context: {} },
    });
    let outcome = '';
    const asked = async (): Promise<string> => {
      outcome = await device.fetch(`http://evil${index}.corp/echo`).then(
        () => 'passed',
        ({ code }) => code,
      );
      return outcome;
    };
    // The change of rights reaches the open channel a moment later.
    await expect.poll(asked).not.toBe('RESOURCE_UNKNOWN');
    expect(outcome, host).toBe('BACKEND_UNREACHABLE');
  }
  device.close();
});

test('slow and silent sockets are closed, ten thousand half-open ones do no harm', async () => {
  const sockets = await Promise.all(
    Array.from({ length: 10_000 }, async (_, i) => {
      await new Promise((resolve) => setTimeout(resolve, i / 10));
      return connect({ host: '127.0.0.1', port: Number(new URL(origin).port) }).on('error', () => undefined);
    }),
  );
  const silent = await RawSocket.open(origin);
  const device = await gateway.device('ada');
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  expect(await silent.next()).toBeUndefined();
  for (const socket of sockets) socket.destroy();
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  expect(gateway.proxies[0]!.running).toBe(true);
  device.close();
});

test('the admin API denies by default, wants a reason and names what is wrong', async () => {
  const raw = gateway.operator.raw.bind(gateway.operator);
  expect((await raw('GET', '/v1/users', undefined, { authorization: 'Bearer spo_wrong' })).status).toBe(401);
  expect((await raw('PUT', '/v1/users/x', { password: 'long enough' }, { 'sallyport-reason': '' })).json['code']).toBe(
    'ERR_SECURITY_REASON',
  );
  expect((await raw('PUT', '/v1/users/x', { password: 'short' })).status).toBe(400);
  expect((await raw('PUT', '/v1/users/x', { unknown: 1 })).status).toBe(400);
  expect((await raw('PUT', '/v1/users/UPPER', {})).status).toBe(400);
  expect(
    (await raw('PUT', '/v1/revocations/12345678', { kind: 'session', subject: 'none', reason: 'test' })).json['code'],
  ).toBe('ERR_ACCESS_NOT_FOUND');
  expect((await raw('POST', '/v1/operators/login', { token: 'sp1_wrong', name: 'eve' })).status).toBe(403);
  expect((await raw('POST', '/v1/codes', { user: 'nobody' })).json['code']).toBe('ERR_ACCESS_NOT_FOUND');
  expect((await raw('GET', '/nowhere')).status).toBe(404);
});

test('a Proxy without a certificate of ours gets nothing, and a join token works once', async () => {
  const url = gateway.security.ready['proxyUrl']!;
  const { Agent, request } = await import('undici');
  const dispatcher = new Agent({ connect: { ca: gateway.security.ready['ca']! } });
  const post = async (path: string, body: object) => {
    const headers = { 'content-type': 'application/json' };
    return (await request(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body), dispatcher }))
      .statusCode;
  };
  expect(await post('/v1/authorizations', { hello: '', address: '' })).toBe(403);
  expect(await post('/v1/handshakes', { message: '', address: '' })).toBe(403);
  expect(await post('/v1/certificates', { csr: '' })).toBe(403);
  expect(await post('/v1/join', { token: 'a.b', csr: 'x' })).toBe(403);
  await dispatcher.close();
});

test('a Proxy that is revoked serves nothing any more when the answer says so', async () => {
  const device = await gateway.device('ada');
  const revoked = await gateway.operator.call(api.proxies.revoke, { params: { name: 'p1' } });
  expect(revoked).toMatchObject({ done: true, inForce: true, waitingFor: [] });
  const late = device.fetch('http://wiki.corp/echo', { signal: AbortSignal.timeout(1_000) });
  await expect(late).rejects.toMatchObject({ name: 'DeviceError' });
  device.close();
});
