import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listAudit, listProxies, revokeProxy, sweepEnded } from '@sallyport/access';
import { PROXY_PATHS } from '@sallyport/security-api';
import { readSettings } from '@sallyport/settings';
import type { FastifyInstance } from 'fastify';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, expect, test } from 'vitest';
import { createProxyService } from '../../src/app.ts';
import { SETTINGS } from '../../src/config.ts';
import { ServiceAccounts } from '../../src/farm/service-accounts.ts';
import { siteMapSigner } from '../../src/sign-in/site-map.ts';
import { newRequest } from '../certificate-request.ts';
import { handshakesOf, scene } from '../scene.ts';

const folder = mkdtempSync(join(tmpdir(), 'pods-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'jwks.json');
const ISSUER = 'https://kubernetes.default.svc.cluster.local';
const UID = '1b4e28ba-2fa1-41d2-883f-0016d3cca427';
const DAY = 86_400_000;

type Key = Awaited<ReturnType<typeof generateKeyPair>>;
const [cluster, stranger, next] = await Promise.all(
  [1, 2, 3].map(() => generateKeyPair('RS256', { extractable: true })),
);

async function writeKeys(...keys: readonly [string, Key][]): Promise<void> {
  const jwks = keys.map(async ([kid, { publicKey }]) => ({ ...(await exportJWK(publicKey)), kid, alg: 'RS256' }));
  writeFileSync(file, JSON.stringify({ keys: await Promise.all(jwks) }));
}

interface Token {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Record<string, unknown>;
  readonly by?: Key;
  readonly pod?: unknown;
  readonly seconds?: number;
  readonly age?: number;
}

/** A token as a cluster makes it for a volume of a pod (projected, bound). */
function tokenOf({
  claims = {},
  header = {},
  by = cluster!,
  pod = { name: 'proxy-7d9f-x2k', uid: UID },
  seconds = 600,
  age = 0,
}: Token = {}) {
  const iat = Math.floor(Date.now() / 1_000) - age;
  const bound = { namespace: 'farm', serviceaccount: { name: 'proxy', uid: UID }, pod };
  const said = {
    iss: ISSUER,
    aud: ['sallyport'],
    sub: 'system:serviceaccount:farm:proxy',
    iat,
    nbf: iat,
    exp: iat + seconds,
  };
  return new SignJWT({ ...said, 'kubernetes.io': bound, ...claims })
    .setProtectedHeader({ alg: 'RS256', kid: 'one', ...header })
    .sign(by.privateKey);
}

async function farm() {
  await writeKeys(['one', cluster!]);
  const { context, clock, lines } = await scene();
  const config = readSettings(SETTINGS, {
    SALLYPORT_DATA: folder,
    SALLYPORT_JOIN_ACCOUNTS: 'farm/proxy=here,farm/edge=there',
    SALLYPORT_JOIN_ISSUER: ISSUER,
    SALLYPORT_JOIN_KEYS: file,
  });
  const serviceAccounts = ServiceAccounts.open(config, context.log)!;
  const certificate = await context.keys.ca.issueServer(['localhost'], Date.now());
  const parts = { ...context, serviceAccounts, handshakes: handshakesOf(context), siteMap: siteMapSigner(context) };
  const { service } = createProxyService(parts, certificate);
  return { context, clock, lines, service };
}

async function join_(service: FastifyInstance, token: string, csr: string) {
  const answer = await service.inject({ method: 'POST', url: PROXY_PATHS.joinPod, payload: { token, csr } });
  return { status: answer.statusCode, body: answer.json() as Record<string, string> };
}

test('a pod joins the one site of its service account, under a name that is its own', async () => {
  const { context, service } = await farm();
  const csr = await newRequest();
  const joined = await join_(service, await tokenOf(), csr);
  expect(joined.status, JSON.stringify(joined.body)).toBe(200);
  expect(joined.body).toMatchObject({ site: 'here', name: 'proxy-7d9f-x2k.1b4e28ba-2fa1' });
  // The answer was lost: the same key asks again.
  expect((await join_(service, await tokenOf(), csr)).status).toBe(200);
  expect(await listProxies(context.access)).toHaveLength(1);
  const events = await context.access.store.transaction((transaction) => listAudit(transaction, 9));
  expect(events.find(({ action }) => action === 'proxy.join')).toMatchObject({
    subject: 'proxy-7d9f-x2k.1b4e28ba-2fa1',
    reason: 'token of the service account farm/proxy',
    outcome: 'done',
  });
  const edge = {
    sub: 'system:serviceaccount:farm:edge',
    'kubernetes.io': { namespace: 'farm', serviceaccount: { name: 'edge' }, pod: { name: 'edge-0', uid: UID } },
  };
  expect((await join_(service, await tokenOf({ claims: edge }), await newRequest())).body).toMatchObject({
    site: 'there',
  });
});

test('a pod joins once: its token is good for no other key, and for none after it was revoked', async () => {
  const { context, service } = await farm();
  const csr = await newRequest();
  await join_(service, await tokenOf(), csr);
  const stolen = await join_(service, await tokenOf(), await newRequest());
  expect(stolen).toMatchObject({ status: 403, body: { code: 'ERR_SECURITY_JOIN' } });
  await revokeProxy(context.access, 'proxy-7d9f-x2k.1b4e28ba-2fa1', { actor: 'olga', reason: 'stolen' });
  expect((await join_(service, await tokenOf(), csr)).status).toBe(403);
  const pod = { name: 'proxy-7d9f-x2k', uid: '2c5f39cb-2fa1-41d2-883f-0016d3cca427' };
  expect((await join_(service, await tokenOf({ pod }), await newRequest())).status).toBe(200);
});

const REFUSED: readonly (readonly [why: string, token: Token])[] = [
  ['another issuer', { claims: { iss: 'https://other.example' } }],
  ['issuer with a slash', { claims: { iss: `${ISSUER}/` } }],
  ['for the API server', { claims: { aud: [ISSUER] } }],
  ['for several parties', { claims: { aud: ['sallyport', 'vault'] } }],
  ['for nobody', { claims: { aud: [] } }],
  [
    'another namespace',
    {
      claims: {
        sub: 'system:serviceaccount:other:proxy',
        'kubernetes.io': { namespace: 'other', serviceaccount: { name: 'proxy' }, pod: { name: 'p', uid: UID } },
      },
    },
  ],
  [
    'another account',
    {
      claims: {
        sub: 'system:serviceaccount:farm:default',
        'kubernetes.io': { namespace: 'farm', serviceaccount: { name: 'default' }, pod: { name: 'p', uid: UID } },
      },
    },
  ],
  ['a subject that says something else', { claims: { sub: 'system:serviceaccount:farm:edge' } }],
  ['of a user', { claims: { sub: 'system:admin' } }],
  ['bound to no pod', { pod: null }],
  ['a pod without an id', { pod: { name: 'p' } }],
  ['a pod whose name is none', { pod: { name: '../p', uid: UID } }],
  ['over', { age: 700 }],
  ['not yet', { age: -600 }],
  ['good for a year', { seconds: 31_536_000 }],
  ['without an end', { claims: { exp: undefined } }],
  ['signed by a stranger', { by: stranger! }],
  ['signed by an unknown key', { header: { kid: 'two' } }],
];

test.each(REFUSED)('refuses a token %s', async (_why, token) => {
  const { context, service } = await farm();
  const answer = await join_(service, await tokenOf(token).catch(() => 'a.b.c'), await newRequest());
  expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 403, body: { code: 'ERR_SECURITY_JOIN' } });
  expect(await listProxies(context.access)).toEqual([]);
});

test('refuses tokens without a signature, by a shared key, with other letters, and too long ones', async () => {
  const { service } = await farm();
  const good = await tokenOf();
  const [, payload = '', signature = ''] = good.split('.');
  const head = (json: object): string => Buffer.from(JSON.stringify(json)).toString('base64url');
  const symmetric = await new SignJWT(JSON.parse(Buffer.from(payload, 'base64url').toString()))
    .setProtectedHeader({ alg: 'HS256', kid: 'one' })
    .sign(new TextEncoder().encode(JSON.stringify(await exportJWK(cluster!.publicKey))));
  const tokens = [
    `${head({ alg: 'none' })}.${payload}.`,
    `${head({ alg: 'none', kid: 'one' })}.${payload}.${signature}`,
    symmetric,
    `${good}=`,
    `${good}.`,
    ` ${good}`,
    good.slice(0, -8),
    '',
    'x'.repeat(16_000),
  ];
  for (const token of tokens) expect((await join_(service, token, await newRequest())).status, token).toBe(403);
  expect((await join_(service, 'x'.repeat(20_000), await newRequest())).status).toBe(400);
});

test('keys of the cluster are taken over as they change, and a file that cannot be read leaves those before', async () => {
  const { service, lines } = await farm();
  const later = { by: next!, header: { kid: 'two' } };
  expect((await join_(service, await tokenOf(later), await newRequest())).status).toBe(403);
  await writeKeys(['one', cluster!], ['two', next!]);
  expect((await join_(service, await tokenOf(later), await newRequest())).status).toBe(200);
  writeFileSync(file, '{"keys":[]}');
  const pod = { name: 'proxy-2', uid: UID };
  expect((await join_(service, await tokenOf({ ...later, pod }), await newRequest())).status).toBe(200);
  expect(lines.join()).toContain('those before stay');
});

test('pods that are gone are forgotten once their last certificate is over, and are not missed before', async () => {
  const { context, clock, service } = await farm();
  await join_(service, await tokenOf(), await newRequest());
  clock.now += 7 * DAY;
  await sweepEnded(context.access);
  expect(await listProxies(context.access)).toHaveLength(1);
  clock.now += 2 * DAY;
  await sweepEnded(context.access);
  expect(await listProxies(context.access)).toEqual([]);
});

test('a pod that was revoked stays out for ever, however long it lives', async () => {
  const { context, clock, service } = await farm();
  await join_(service, await tokenOf(), await newRequest());
  await revokeProxy(context.access, 'proxy-7d9f-x2k.1b4e28ba-2fa1', { actor: 'olga', reason: 'broken into' });
  clock.now += 9 * DAY;
  await sweepEnded(context.access);
  expect((await join_(service, await tokenOf(), await newRequest())).status).toBe(403);
});

test('who names accounts names who vouches for them, and no account joins two sites', () => {
  const base = { SALLYPORT_DATA: folder, SALLYPORT_JOIN_ACCOUNTS: 'farm/proxy=here' };
  const open = (environment: Record<string, string>) =>
    ServiceAccounts.open(readSettings(SETTINGS, environment), console as never);
  expect(() => open(base)).toThrow(/SALLYPORT_JOIN_ISSUER and SALLYPORT_JOIN_KEYS/);
  expect(() => open({ ...base, SALLYPORT_JOIN_ACCOUNTS: 'farm/proxy=here,farm/proxy=there' })).toThrow(/twice/);
  expect(() => open({ ...base, SALLYPORT_JOIN_ACCOUNTS: 'proxy' })).toThrow(/namespace\/account=site/);
  expect(() => open({ ...base, SALLYPORT_JOIN_ISSUER: ISSUER, SALLYPORT_JOIN_KEYS: join(folder, 'none') })).toThrow(
    /ENOENT/,
  );
  const secret = join(folder, 'secret.json');
  writeFileSync(secret, JSON.stringify({ keys: [{ kty: 'oct', k: 'AAAA' }] }));
  expect(() => open({ ...base, SALLYPORT_JOIN_ISSUER: ISSUER, SALLYPORT_JOIN_KEYS: secret })).toThrow(/public keys/);
});
