import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { DeviceOpening, encodeText, formatHex, keyOf, openRoutes, type SessionSecret } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { memoryStorage } from '@sallyport/device';
import { AppProcess } from '@sallyport/local-cluster';
import * as api from '@sallyport/security-api/admin';
import { join, NodeList, newProxyKey, type ProxyIdentity, renew, SecurityClient } from '@sallyport/security-client';
import { AcmeServer, freePort, scratchFolder, TestAuthority } from '@sallyport/support';
import { Agent, request } from 'undici';
import { afterAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { startBackend } from '../src/backend.ts';
import { CONTEXT, Gateway } from '../src/gateway.ts';

const crypto = nodeCrypto();

/** What a cluster signs the tokens of its pods with, and who it is. */
const cluster = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const ISSUER = 'https://kubernetes.default.svc.cluster.local';
const podFolder = scratchFolder();
const keysFile = joinPath(podFolder, 'jwks.json');
const publicKey = { ...cluster.publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'RS256' };
writeFileSync(keysFile, JSON.stringify({ keys: [publicKey] }));

const gateway = await Gateway.start({
  environment: {
    SALLYPORT_JOIN_ACCOUNTS: 'farm/proxy=here',
    SALLYPORT_JOIN_ISSUER: ISSUER,
    SALLYPORT_JOIN_KEYS: keysFile,
  },
});
afterAll(async () => {
  await gateway.stop();
  rmSync(podFolder, { recursive: true });
});

async function invite(name: string, more: object = {}): Promise<string> {
  const { token } = await gateway.operator.call(api.proxies.invite, { body: { name, site: 'here', ...more } });
  return token as string;
}

/** What Security answers to whoever shows this certificate. */
async function statusFor({ urls, ca, certificate, key }: ProxyIdentity): Promise<number> {
  const dispatcher = new Agent({ connect: { ca, cert: certificate, key } });
  const { statusCode, body } = await request(`${urls[0]}/v1/site-map`, { dispatcher });
  await body.dump();
  await dispatcher.close();
  return statusCode;
}

/** Beats once with a certificate; gives what came of it. */
async function beat({ urls, ca, certificate, key }: ProxyIdentity): Promise<string> {
  const socket = new WebSocket(`${urls[0]!.replace('https', 'wss')}/v1/control`, { ca, cert: certificate, key });
  const said = await new Promise<string>((resolve) => {
    const fresh = { type: 'beat', id: 1, instance: '1'.repeat(32), seen: 0, hash: '', done: 0, channels: 0 };
    socket.on('open', () => socket.send(JSON.stringify(fresh)));
    socket.on('message', (data) => resolve(JSON.parse(String(data)).type));
    socket.on('close', (_code, reason) => resolve(String(reason)));
    socket.on('error', () => resolve('refused'));
  });
  socket.terminate();
  return said;
}

const refused = (promise: Promise<unknown>) => expect(promise).rejects.toMatchObject({ code: 'ERR_SECURITY_REFUSED' });

/** A token as a cluster makes it for a volume of a pod. */
function podToken(name: string): string {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  const iat = Math.floor(Date.now() / 1_000);
  const said = {
    ...{ iss: ISSUER, aud: ['sallyport'], sub: 'system:serviceaccount:farm:proxy', iat, nbf: iat, exp: iat + 600 },
    'kubernetes.io': { namespace: 'farm', serviceaccount: { name: 'proxy' }, pod: { name, uid: randomUUID() } },
  };
  const head = `${encode({ alg: 'RS256', kid: 'one' })}.${encode(said)}`;
  return `${head}.${sign('sha256', Buffer.from(head), cluster.privateKey).toString('base64url')}`;
}

test('a pod joins by the token of its service account and serves devices; its token is good for nobody else', async () => {
  const [token, ca] = ['token', 'ca.pem'].map((name) => joinPath(podFolder, name)) as [string, string];
  writeFileSync(token, podToken('proxy-7d9f'));
  writeFileSync(ca, gateway.security.ready['ca']!);
  const port = await freePort();
  const pod = (data: string, SALLYPORT_HEALTH_LISTEN: string) =>
    AppProcess.start('proxy', {
      environment: {
        SALLYPORT_DATA: joinPath(podFolder, data),
        SALLYPORT_JOIN_ACCOUNT_TOKEN: token,
        SALLYPORT_SECURITY_URLS: `https://${gateway.securityEnvironment['SALLYPORT_PROXY_LISTEN']}`,
        SALLYPORT_SECURITY_CA: ca,
        SALLYPORT_LISTEN: `127.0.0.1:${port}`,
        SALLYPORT_HEALTH_LISTEN,
      },
    });
  const health = `127.0.0.1:${await freePort()}`;
  const first = await pod('pod', health);
  const site = { params: { name: 'here' } };
  await gateway.operator.call(api.sites.put, { ...site, body: { origins: [`ws://127.0.0.1:${port}`] } });
  const backend = await startBackend();
  await gateway.addResource('pods', 'pods.corp', backend.url);
  await gateway.addUser('pat');
  const device = await gateway.device('pat');
  expect((await device.fetch('http://pods.corp/headers')).status).toBe(200);
  // Whoever took the token has another key.
  await expect(pod('thief', health)).rejects.toThrow(/did not start/);
  await first.end();
  rmSync(token);
  // The container of a pod that starts again has what it kept.
  const second = await pod('pod', health);
  expect((await device.fetch('http://pods.corp/headers')).status).toBe(200);
  device.close();
  await second.end();
  await backend.close();
  await gateway.operator.call(api.resources.remove, { params: { name: 'pods' } });
  await gateway.operator.call(api.sites.put, { ...site, body: { origins: gateway.origins } });
});

const joinNew = async (token: string) => join(token, await newProxyKey());

test('whoever joined by a token and lost the answer asks again with its key, and nobody else does', async () => {
  const [token, key] = [await invite('p6'), await newProxyKey()];
  await join(token, key);
  const again = await join(token, key);
  expect(await statusFor(again)).toBe(200);
  await refused(joinNew(token));
  expect(await beat(again)).toBe('lease');
});

test('a stolen certificate stays dead when a Proxy of its name joins anew', async () => {
  const stolen = await joinNew(await invite('p7'));
  expect(await statusFor(stolen)).toBe(200);
  await gateway.operator.call(api.proxies.revoke, { params: { name: 'p7' } });
  const anew = await joinNew(await invite('p7'));
  expect(await statusFor(anew)).toBe(200);
  expect(await statusFor(stolen)).toBe(403);
  await refused(renew(stolen));
  expect(await beat(stolen)).toBe('refused');
  expect(await beat(anew)).toBe('lease');
});

test('a renewed key takes over with its first beat, and the one before renews nothing', async () => {
  const before = await joinNew(await invite('p8'));
  const lost = await renew(before);
  const after = await renew(before);
  for (const identity of [before, after]) expect(await statusFor(identity)).toBe(200);
  expect(await beat(after)).toBe('lease');
  for (const identity of [before, lost]) {
    await expect.poll(() => statusFor(identity)).toBe(403);
    await refused(renew(identity));
  }
  expect(await statusFor(after)).toBe(200);
});

test('a join for a live name has to say so, and no token moves a site silently', async () => {
  const first = await joinNew(await invite('p9'));
  const raw = (more: object) =>
    gateway.operator.raw('POST', '/v1/join-tokens', { name: 'p9', site: 'here', ...more }).then(({ status }) => status);
  expect(await raw({})).toBe(409);
  expect(await raw({ replace: true, site: 'there' })).toBe(409);
  const second = await joinNew(await invite('p9', { replace: true, site: 'there', moveSite: true }));
  expect(second.site).toBe('there');
  await expect.poll(() => statusFor(first)).toBe(403);
  expect(await statusFor(second)).toBe(200);
});

/** A HELLO of a session, as its device would make it for a site. */
function helloFor(
  { sid, secret }: { readonly sid: Uint8Array; readonly secret: Uint8Array },
  to: { readonly site: string; readonly chanNo: number },
): Uint8Array {
  const audience = encodeText(`main/${to.site}`);
  const hello = { suite: 1, sid, chanNo: to.chanNo, nonce: crypto.randomBytes(16), audience } as const;
  return new DeviceOpening({ crypto, secret: keyOf<SessionSecret>(secret), hello, context: CONTEXT }).writeHello();
}

const payloadOf = (jws: string) => JSON.parse(Buffer.from(jws.split('.')[1]!, 'base64url').toString());

test('a hostile Proxy of one site gets nothing of another one, and what it tries is on record', async () => {
  await gateway.addUser('ada');
  await gateway.addResource('wiki', 'wiki.corp', 'http://127.0.0.1:1');
  const origins = ['ws://127.0.0.1:1'];
  await gateway.operator.call(api.sites.put, { params: { name: 'b' }, body: { origins } });
  const backend = { url: 'http://127.0.0.1:1', networks: ['127.0.0.0/8'] };
  const plant = { kind: 'http' as const, authority: 'plant.corp', backend, sites: ['b'] };
  await gateway.operator.call(api.resources.put, { params: { name: 'plant' }, body: plant });
  const policy = { groups: ['staff'], resources: ['plant'], context: {} };
  await gateway.operator.call(api.policies.put, { params: { name: 'open-plant' }, body: policy });
  const storage = memoryStorage();
  const device = await gateway.device('ada', storage);
  await device.fetch('http://wiki.corp/').catch(() => undefined);
  device.close();
  const session = (await storage.load())!.session!;
  const sid = formatHex(session.sid);

  const evil = await joinNew(await invite('evil', { site: 'b' }));
  expect(await beat(evil)).toBe('lease');
  const { proxies } = (await gateway.operator.call(api.status.get)) as {
    proxies: { name: string; instances: { instance: string }[] }[];
  };
  const honest = proxies.find(({ name }) => name === 'p1')!.instances[0]!.instance;
  const client = new SecurityClient(evil, new NodeList(evil));
  client.useInstance(() => '1'.repeat(32));
  // A HELLO that a device has made for a Proxy of the other site, one made with the session's id alone, and its rights.
  expect(await client.authorise(helloFor(session, { site: 'here', chanNo: 2 ** 40 }), '10.0.0.1')).toMatchObject({
    hint: 'DENIED',
  });
  const guessed = { sid: session.sid, secret: new Uint8Array(32) };
  expect(await client.authorise(helloFor(guessed, { site: 'b', chanNo: 2 ** 40 }), '10.0.0.1')).toMatchObject({
    hint: 'SESSION_UNKNOWN',
  });
  expect(await client.reauthorise(sid)).toBe('no channel');
  // As if it were the process that has the channel.
  client.useInstance(() => honest);
  expect(await client.reauthorise(sid)).toBe('no channel');
  client.useInstance(() => '1'.repeat(32));
  const recorded = async () => {
    const query = { outcome: 'refused', limit: '100' } as const;
    const events = await gateway.operator.call(api.audit.list, { query });
    return events.filter(({ subject }) => subject === 'evil').map(({ action, reason }) => `${action}: ${reason}`);
  };
  await expect
    .poll(recorded)
    .toEqual(
      expect.arrayContaining([
        'proxy.authorise: it brought a HELLO of a live session for another site',
        'proxy.authorise: it brought a HELLO of a live session with a wrong mac',
        'proxy.rights: it asked for the rights of a session that opened no channel with it at its site',
      ]),
    );

  // A device that comes to its site gives it what that site serves, and no more.
  const hello = helloFor(session, { site: 'b', chanNo: 2 ** 41 });
  const granted = await client.authorise(hello, '10.0.0.1');
  if ('hint' in granted) throw new Error(granted.hint);
  const again = await client.reauthorise(sid);
  if (typeof again === 'string') throw new Error(again);
  for (const { grant, routes } of [granted, again]) {
    expect(grant.resources.map(({ name }) => name)).toEqual(['plant']);
    expect(payloadOf(grant.resources[0]!.assertion!).aud).toBe('plant.corp');
    expect(JSON.stringify(grant)).not.toContain('wiki');
    expect(Buffer.from(routes!).includes('wiki')).toBe(false);
    const own = { secret: keyOf<SessionSecret>(session.secret), sid: session.sid };
    expect(openRoutes(crypto, own, routes!).routes.map(({ name, sites }) => [name, sites])).toEqual([
      ['plant', [['b']]],
      ['wiki', [['here']]],
    ]);
    // What it has of the session, the channel's key, opens no routes.
    const key = { ...own, secret: keyOf<SessionSecret>(Uint8Array.from(granted.channelKey)) };
    expect(() => openRoutes(crypto, key, routes!)).toThrow();
  }
  expect(await client.authorise(hello, '10.0.0.1')).toMatchObject({ hint: 'CHAN_REPLAY' });
  const map = payloadOf((await client.siteMap()).siteMap);
  expect(map.sites).toEqual([
    { name: 'b', origins },
    { name: 'here', origins: gateway.origins },
  ]);
  expect(JSON.stringify(map)).not.toMatch(/wiki|plant/);
  await client.close();
});

test('the running Proxy goes on with its identity after all this', async () => {
  const file = joinPath(gateway.folder, 'p1', 'identity.json');
  expect(await statusFor(JSON.parse(readFileSync(file, 'utf8')))).toBe(200);
  await gateway.live(1);
});

test('a Proxy has its certificate for devices from an authority, by itself, and the registry says so', async () => {
  const authority = await TestAuthority.create('Corp ACME');
  const challengePort = await freePort();
  const acme = await AcmeServer.start({
    ...{ authority, challengePorts: [challengePort], lifeMs: 7_776_000_000, now: Date.now },
  });
  const ca = joinPath(gateway.folder, 'acme.pem');
  writeFileSync(ca, authority.certificate);
  const proxy = await gateway.addProxy({
    SALLYPORT_ACME_DIRECTORY: acme.url,
    SALLYPORT_ACME_NAMES: 'gate.example',
    SALLYPORT_ACME_LISTEN: `127.0.0.1:${challengePort}`,
    SALLYPORT_ACME_CA: ca,
  });
  const { protocol, port } = new URL(proxy.ready['url']!);
  expect(protocol).toBe('wss:');
  const dispatcher = new Agent({ connect: { ca: authority.certificate, servername: 'gate.example' } });
  const answer = await request(`https://127.0.0.1:${port}/sallyport/v1/site-map`, { dispatcher });
  expect(answer.statusCode).toBe(200);
  await answer.body.dump();
  const listed = async () =>
    (await gateway.operator.call(api.certificates.list)).find(({ id }) => id === 'proxy/p2/public');
  await expect.poll(listed).toMatchObject({ renewedBy: 'itself', names: ['gate.example'], trouble: null });
  await dispatcher.close();
  acme.close();
});
