import { issueCode, putUser } from '@sallyport/access';
import { DeviceEstablish, decodeHint, MESSAGE_TYPES } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { expect, test } from 'vitest';
import { assertionJwks, withAssertions } from '../src/assertions.ts';
import { Handshakes } from '../src/handshakes.ts';
import { siteMapSigner } from '../src/site-map.ts';
import { scene } from './scene.ts';

const crypto = nodeCrypto();

async function begun() {
  const made = await scene();
  const { keys } = made.context;
  const handshakes = new Handshakes(made.context, siteMapSigner(made.context));
  const device = new DeviceEstablish({
    crypto,
    suite: 2,
    role: 'enrol',
    kid: keys.newestKid,
    rs: keys.handshake.get(keys.newestKid)!.publicKey,
    deviceStatic: crypto.generateKeyPair(),
  });
  const hs1 = device.writeHs1();
  return { ...made, handshakes, device, hs1, answer: await handshakes.begin(hs1, '192.0.2.1') };
}

test('a handshake is taken out once: the same HS3 is never answered twice', async () => {
  const { handshakes, device, answer } = await begun();
  expect(handshakes.size).toBe(1);
  device.readHs2(answer.message);
  const hs3 = device.writeHs3({ code: 'x' }, undefined);
  await handshakes.finish(answer.handshake!, hs3);
  expect(handshakes.size).toBe(0);
  expect(decodeHint((await handshakes.finish(answer.handshake!, hs3)).message).code).toBe('HANDSHAKE_EXPIRED');
});

test('a handshake that waits too long is over', async () => {
  const { handshakes, device, answer, clock } = await begun();
  device.readHs2(answer.message);
  clock.now += 30_001;
  const late = await handshakes.finish(answer.handshake!, device.writeHs3({}, undefined));
  expect(decodeHint(late.message).code).toBe('HANDSHAKE_EXPIRED');
});

test('one address is slowed down, another is not', async () => {
  const { handshakes, hs1 } = await begun();
  for (let i = 0; i < 4; i++) expect((await handshakes.begin(hs1, '192.0.2.1')).message[0]).toBe(MESSAGE_TYPES.HS2);
  const slowed = decodeHint((await handshakes.begin(hs1, '192.0.2.1')).message);
  expect(slowed.code).toBe('RETRY_LATER');
  expect(slowed.retryAfterMs).toBeGreaterThan(0);
  expect((await handshakes.begin(hs1, '192.0.2.2')).message[0]).toBe(MESSAGE_TYPES.HS2);
});

test('a proof by a key that is not the one in the request fails without a reason, and the code stays good', async () => {
  const { handshakes, device, answer, context } = await begun();
  await putUser(context.access, 'ada', { password: 'long enough' }, { actor: 'olga', reason: 'test' });
  const { code, id } = await issueCode(context.access, 'ada', undefined, { actor: 'olga', reason: 'test' });
  device.readHs2(answer.message);
  const hk = { kty: 'EC', crv: 'P-256', x: 'AAAA', y: 'AAAA' };
  const app = {
    id: 'a',
    version: '1',
    build: '',
    signer: new Uint8Array(32),
    os: '',
    os_version: '',
    os_patch: '',
    model: '',
    posture: {},
    sdk: '',
  };
  const hs3 = device.writeHs3(
    { code, cred: { password: { user: 'ada', secret: 'long enough' } }, hk, proof: 'a.b.c', app },
    undefined,
  );
  expect(decodeHint((await handshakes.finish(answer.handshake!, hs3)).message).code).toBe('HANDSHAKE_FAILED');
  const row = await context.access.store.transaction(({ tables }) => tables.codes.find({ id }));
  expect(row).toMatchObject({ usedAt: null, triesLeft: 5 });
});

test('an identity assertion is for one backend, short-lived, and verifies with the published keys', async () => {
  const { context } = await scene();
  const resource = {
    name: 'wiki',
    kind: 'http' as const,
    authority: 'wiki.corp',
    backend: { url: 'http://x', networks: [] },
    rules: [],
  };
  const grant = await withAssertions(context, {
    realm: 'main',
    sid: 'a'.repeat(32),
    asOf: 0,
    expiresInMs: 1,
    refreshInMs: 1,
    sessionCreatedAt: 0,
    userId: 'u1',
    userName: 'ada',
    groups: ['staff'],
    installationId: 'i',
    context: {},
    resources: [{ ...resource, rules: [] }],
    limits: { openBurst: 1, openRate: 1 },
  });
  const keys = createLocalJWKSet(assertionJwks(context) as JSONWebKeySet);
  const options = {
    algorithms: ['ES256'],
    issuer: 'sallyport:main',
    audience: 'wiki.corp',
    typ: 'sallyport-assertion+jwt',
  };
  const { payload } = await jwtVerify(grant.resources[0]!.assertion!, keys, options);
  expect(payload).toMatchObject({ sub: 'u1', name: 'ada', groups: ['staff'] });
  expect(payload.exp! - payload.iat!).toBe(600);
  expect(JSON.stringify(assertionJwks(context))).not.toContain('"d"');
  await expect(
    jwtVerify(grant.resources[0]!.assertion!, keys, { ...options, audience: 'other.corp' }),
  ).rejects.toThrow();
});
