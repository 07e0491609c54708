import { isOurCode, issueCode, listAudit, putUser } from '@sallyport/access';
import {
  type CborInput,
  type CodeKey,
  contextToCbor,
  DeviceEstablish,
  decodeHint,
  deriveCodeKey,
  encodeText,
  formatBase64Url,
  formatHex,
  MESSAGE_TYPES,
  parseActivationCode,
} from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { CompactSign, createLocalJWKSet, exportJWK, generateKeyPair, type JSONWebKeySet, jwtVerify } from 'jose';
import { expect, test } from 'vitest';
import { assertionJwks, withAssertions } from '../../src/keys/assertions.ts';
import { handshakesOf, type SceneParts, scene } from '../scene.ts';
import { APP } from './device.ts';

const crypto = nodeCrypto();
const BY = { actor: 'olga', reason: 'test' };
const NO_CODE = new Uint8Array(32) as CodeKey;

async function codeOfAda({ access }: SceneParts): Promise<string> {
  await putUser(access, 'ada', { password: 'long enough' }, BY);
  return (await issueCode(access, 'ada', undefined, BY)).code;
}

async function begun(codeOf?: (context: SceneParts) => Promise<string>) {
  const made = await scene();
  const { keys } = made.context;
  const code = parseActivationCode((await codeOf?.(made.context)) ?? 'abc-def')!;
  const handshakes = handshakesOf(made.context);
  const device = new DeviceEstablish({
    crypto,
    suite: 2,
    role: 'enrol',
    realm: 'main',
    codeId: code.id,
    kid: keys.newestKid,
    rs: keys.handshake.get(keys.newestKid)!.publicKey,
    deviceStatic: crypto.generateKeyPair(),
  });
  const hs1 = device.writeHs1();
  const key = deriveCodeKey(crypto, code);
  return { ...made, handshakes, device, hs1, key, answer: await handshakes.begin(hs1, '192.0.2.1') };
}

test('a handshake is taken out once: the same HS3 is never answered twice', async () => {
  const { handshakes, device, answer } = await begun();
  expect(handshakes.size).toBe(1);
  device.readHs2(answer.message);
  const hs3 = device.writeHs3({}, NO_CODE);
  await handshakes.finish(answer.handshake!, hs3);
  expect(handshakes.size).toBe(0);
  expect(decodeHint((await handshakes.finish(answer.handshake!, hs3)).message).code).toBe('HANDSHAKE_EXPIRED');
});

test('a handshake that waits too long is over', async () => {
  const { handshakes, device, answer, clock } = await begun();
  device.readHs2(answer.message);
  clock.now += 30_001;
  const late = await handshakes.finish(answer.handshake!, device.writeHs3({}, NO_CODE));
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

test('a flood of handshakes from everywhere keeps nobody out', async () => {
  const { context, hs1, device } = await begun(codeOfAda);
  const handshakes = handshakesOf(context, 100);
  const begin = (address: string) => handshakes.begin(hs1, address);
  for (let i = 0; i < 300; i++) expect((await begin(`198.51.${i >> 8}.${i & 255}`)).handshake).toBeDefined();
  const own = await begin('192.0.2.9');
  for (let i = 0; i < 50; i++) await begin(`203.0.113.${i}`);
  expect(handshakes.size).toBe(100);
  device.readHs2(own.message);
  const answer = await handshakes.finish(own.handshake!, device.writeHs3({}, NO_CODE));
  expect(decodeHint(answer.message).code).toBe('HANDSHAKE_FAILED');
});

test('enrolments with made-up codes have few places, and who has a code waits for none of them', async () => {
  const { context, handshakes, hs1, clock } = await begun(codeOfAda);
  const { keys } = context;
  const madeUpId = (): string => {
    const id = formatHex(crypto.randomBytes(4));
    return isOurCode(context.access, id) ? madeUpId() : id;
  };
  const madeUp = (): Uint8Array =>
    new DeviceEstablish({
      crypto,
      suite: 2,
      role: 'enrol',
      realm: 'main',
      codeId: madeUpId(),
      kid: keys.newestKid,
      rs: keys.handshake.get(keys.newestKid)!.publicKey,
      deviceStatic: crypto.generateKeyPair(),
    }).writeHs1();
  const flood = await Promise.all(Array.from({ length: 250 }, (_, i) => handshakes.begin(madeUp(), `10.1.${i}.1`)));
  const busy = flood.filter(({ handshake }) => !handshake).map(({ message }) => decodeHint(message));
  expect(busy).toHaveLength(200);
  expect(new Set(busy.map(({ code }) => code))).toEqual(new Set(['BUSY']));
  expect(busy[0]!.retryAfterMs).toBeGreaterThan(0);
  for (let i = 0; i < 100; i++) expect((await handshakes.begin(hs1, `10.2.${i}.1`)).handshake).toBeDefined();
  // A code of before ids had marks, or one that was mistyped, has its turn.
  clock.now += 1_000;
  expect((await handshakes.begin(madeUp(), '10.3.0.1')).handshake).toBeDefined();
});

test('a proof by a key that is not the one in the request fails without a reason, and the code stays good', async () => {
  const issued: { id?: string } = {};
  const { handshakes, device, answer, context, key } = await begun(async ({ access }) => {
    await putUser(access, 'ada', { password: 'long enough' }, BY);
    const { code, id } = await issueCode(access, 'ada', undefined, BY);
    issued.id = id;
    return code;
  });
  device.readHs2(answer.message);
  const hk = { kty: 'EC', crv: 'P-256', x: 'AAAA', y: 'AAAA' };
  const hs3 = device.writeHs3(
    { cred: { password: { user: 'ada', secret: 'long enough' } }, hk, proof: 'a.b.c', app: contextToCbor(APP) },
    key,
  );
  expect(decodeHint((await handshakes.finish(answer.handshake!, hs3)).message).code).toBe('HANDSHAKE_FAILED');
  const row = await context.access.store.transaction(({ tables }) => tables.codes.find({ id: issued.id! }));
  expect(row).toMatchObject({ usedAt: null, triesLeft: 5 });
});

test('wrong secrets of a code never take it from its user, and do not fill the audit log', async () => {
  const issued: { code?: string } = {};
  const { handshakes, context, clock } = await begun(async ({ access }) => {
    await putUser(access, 'ada', { password: 'long enough' }, BY);
    const { code } = await issueCode(access, 'ada', undefined, BY);
    issued.code = code;
    return code;
  });
  const { id, secret } = parseActivationCode(issued.code!)!;
  const enrol = async (code: { id: string; secret: string }): Promise<string> => {
    clock.now += 60_000;
    const { keys } = context;
    const device = new DeviceEstablish({
      crypto,
      suite: 2,
      role: 'enrol',
      realm: 'main',
      codeId: code.id,
      kid: keys.newestKid,
      rs: keys.handshake.get(keys.newestKid)!.publicKey,
      deviceStatic: crypto.generateKeyPair(),
    });
    const hs2 = await handshakes.begin(device.writeHs1(), '192.0.2.1');
    const { binding } = device.readHs2(hs2.message);
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    const claims = JSON.stringify({ b: formatBase64Url(binding), iid: '' });
    const proof = await new CompactSign(encodeText(claims))
      .setProtectedHeader({ alg: 'ES256', typ: 'sallyport-proof' })
      .sign(privateKey);
    const { kty, crv, x, y } = await exportJWK(publicKey);
    const cred = { password: { user: 'ada', secret: 'long enough' } };
    const request = { cred, hk: { kty, crv, x, y } as CborInput, proof, app: contextToCbor(APP) };
    const { message } = await handshakes.finish(hs2.handshake!, device.writeHs3(request, deriveCodeKey(crypto, code)));
    return message[0] === MESSAGE_TYPES.HINT ? decodeHint(message).code : device.readHs4(message).text('status');
  };
  const refusals = async () =>
    (await context.access.store.transaction((transaction) => listAudit(transaction, 999))).filter(
      ({ action, outcome }) => action === 'enrol' && outcome === 'refused',
    );
  for (let i = 0; i < 40; i++) expect(await enrol({ id, secret: `wrong${i}` })).toBe('HANDSHAKE_FAILED');
  // An id that nobody has looks the same.
  for (let i = 0; i < 5; i++) expect(await enrol({ id: `none${i}`, secret })).toBe('HANDSHAKE_FAILED');
  await context.refusals.stop();
  const known = await refusals();
  expect(known.length).toBeGreaterThan(0);
  expect(known.length).toBeLessThan(20);
  expect(JSON.stringify(known)).not.toContain('none');
  expect(await enrol({ id, secret })).toBe('ok');
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
  const grant = withAssertions(context, {
    realm: 'main',
    sid: 'a'.repeat(32),
    epoch: 'e'.repeat(32),
    app: 'app@1',
    generation: 0,
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
    verdict: { connector: 'app-attest', level: 'hardware', ageMs: 60_000, facts: {} },
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
  expect(payload['attested']).toEqual({ level: 'hardware', by: 'app-attest', at: payload.iat! - 60 });
  await expect(
    jwtVerify(grant.resources[0]!.assertion!, keys, { ...options, issuer: 'sallyport:other' }),
  ).rejects.toThrow();
  expect(JSON.stringify(assertionJwks(context))).not.toContain('"d"');
  await expect(
    jwtVerify(grant.resources[0]!.assertion!, keys, { ...options, audience: 'other.corp' }),
  ).rejects.toThrow();
});
