import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createLocalJWKSet, exportJWK, SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { type TokenDemands, verifyIdToken, verifyLogoutToken } from '../src/index.ts';

const EC = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const RSA = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const STRANGER = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const NOW = Math.floor(Date.now() / 1_000);
const keys = createLocalJWKSet({
  keys: [
    { ...(await exportJWK(EC.publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' },
    { ...(await exportJWK(RSA.publicKey)), kid: 'k2', alg: 'RS256', use: 'sig' },
  ],
});
const DEMANDS: TokenDemands = { issuer: 'https://idp.example', clientId: 'gateway', nonce: 'n', nowSeconds: NOW };
const CLAIMS = { iss: DEMANDS.issuer, aud: DEMANDS.clientId, sub: 'ada', nonce: 'n', iat: NOW, exp: NOW + 300 };

const encode = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** A token of these parts, signed with ES256 whatever the header says. */
function forge(header: object, claims: unknown = CLAIMS, key: KeyObject = EC.privateKey): string {
  const signed = `${encode(header)}.${encode(claims)}`;
  return `${signed}.${sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

const ES256 = { alg: 'ES256', kid: 'k1' };
const good = forge(ES256);
const [head = '', body = '', signature = ''] = good.split('.');
const pem = RSA.publicKey.export({ type: 'spki', format: 'pem' }) as string;

function hmac(secret: string): string {
  const signed = `${encode({ alg: 'HS256', kid: 'k2' })}.${body}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

/** Each attack of the third-party list: the token, and the check that refuses it. */
const ATTACKS: Readonly<Record<string, readonly [token: string, reason: string | RegExp]>> = {
  'alg none': [`${encode({ alg: 'none' })}.${body}.`, 'form'],
  'alg None': [`${encode({ alg: 'None' })}.${body}.`, 'form'],
  'alg nOnE + sig': [`${encode({ alg: 'nOnE', kid: 'k1' })}.${body}.${signature}`, 'alg'],
  'alg missing': [forge({ kid: 'k1' }), 'alg'],
  'alg empty': [forge({ alg: '', kid: 'k1' }), 'alg'],
  'alg array': [forge({ alg: ['ES256'], kid: 'k1' }), 'alg'],
  'HS256 with RSA public PEM (key confusion)': [hmac(pem), 'alg'],
  'HS256 with public PEM no newline': [hmac(pem.trim()), 'alg'],
  'HS256 with empty key': [hmac(''), 'alg'],
  'HS256 with JWK JSON': [hmac(JSON.stringify(await exportJWK(RSA.publicKey))), 'alg'],
  'embedded jwk header': [
    forge({ ...ES256, kid: 'x', jwk: await exportJWK(STRANGER.publicKey) }, CLAIMS, STRANGER.privateKey),
    'key',
  ],
  'jku header to attacker': [
    forge({ ...ES256, jku: 'https://evil.example/jwks' }, CLAIMS, STRANGER.privateKey),
    'signature',
  ],
  'x5u header': [forge({ ...ES256, x5u: 'https://evil.example/x5' }, CLAIMS, STRANGER.privateKey), 'signature'],
  'kid path traversal': [forge({ ...ES256, kid: '../../../../dev/null' }), 'key'],
  'kid SQLi': [forge({ ...ES256, kid: "x' union select 'k" }), 'key'],
  'kid of k1 but attacker key': [forge(ES256, CLAIMS, STRANGER.privateKey), 'signature'],
  'kid __proto__': [forge({ ...ES256, kid: '__proto__' }), 'key'],
  'no kid': [forge({ alg: 'ES256' }, CLAIMS, STRANGER.privateKey), 'signature'],
  'psychic signature r=s=0': [`${head}.${body}.${encode('\0'.repeat(64))}`, 'signature'],
  'empty sig': [`${head}.${body}.`, 'form'],
  'truncated sig': [good.slice(0, -10), 'signature'],
  'sig DER instead of P1363': [
    `${head}.${body}.${sign('sha256', Buffer.from(`${head}.${body}`), EC.privateKey).toString('base64url')}`,
    'signature',
  ],
  'extra segment': [`${good}.${signature}`, 'form'],
  'two segments': [`${head}.${body}`, 'form'],
  'payload swapped': [`${head}.${encode({ ...CLAIMS, sub: 'eve' })}.${signature}`, 'signature'],
  'crit unknown': [forge({ ...ES256, crit: ['x'], x: 1 }), 'crit'],
  'b64 false': [forge({ ...ES256, b64: false, crit: ['b64'] }), 'crit'],
  'alg RS256 on EC kid': [forge({ alg: 'RS256', kid: 'k1' }), /key|signature/],
  'ES512 alg': [forge({ alg: 'ES512', kid: 'k1' }), /key|signature/],
  'wrong iss': [forge(ES256, { ...CLAIMS, iss: 'https://idp.example.evil' }), 'issuer'],
  'wrong aud': [forge(ES256, { ...CLAIMS, aud: 'other' }), 'audience'],
  expired: [forge(ES256, { ...CLAIMS, exp: NOW - 120 }), 'expired'],
  'exp string': [forge(ES256, { ...CLAIMS, exp: String(NOW + 300) }), 'expired'],
  'no exp': [forge(ES256, { ...CLAIMS, exp: undefined }), 'expired'],
  'nbf future': [forge(ES256, { ...CLAIMS, nbf: NOW + 600 }), 'not before'],
  'iat future': [forge(ES256, { ...CLAIMS, iat: NOW + 600 }), 'issued'],
  'typ wrong (id token as access)': [forge({ ...ES256, typ: 'at+jwt' }), 'typ'],
  'base64 not url': [`${head}.${body}.${Buffer.from(signature, 'base64url').toString('base64')}`, /form|signature/],
  'whitespace in sig': [`${good.slice(0, -4)} ${good.slice(-4)}`, 'form'],
  'dup json keys payload': [
    forge(
      ES256,
      `{"iss":"${DEMANDS.issuer}","iss":"https://evil.example","aud":"gateway","sub":"ada","nonce":"n","iat":${NOW},"exp":${NOW + 300}}`,
    ),
    'issuer',
  ],
  'huge 1MB': [forge(ES256, { ...CLAIMS, filler: 'x'.repeat(1_000_000) }), 'form'],
  'JWE instead of JWS': [`${encode({ alg: 'RSA-OAEP', enc: 'A256GCM' })}.a.b.c.d`, 'form'],
  null: ['null', 'form'],
  'alg ES256K': [forge({ alg: 'ES256K', kid: 'k1' }), 'alg'],
};

test('a good token is taken, by every key that the provider publishes', async () => {
  expect(await verifyIdToken(good, keys, DEMANDS)).toMatchObject({ sub: 'ada' });
  const rsa = await new SignJWT(CLAIMS)
    .setProtectedHeader({ alg: 'RS256', kid: 'k2', typ: 'JWT' })
    .sign(RSA.privateKey);
  expect(await verifyIdToken(rsa, keys, DEMANDS)).toMatchObject({ sub: 'ada' });
});

test.each(Object.entries(ATTACKS))('%s is refused by name', async (_name, [token, reason]) => {
  const refused = await verifyIdToken(token, keys, DEMANDS).then(
    () => 'taken',
    (error: { code: string; reason: string }) => `${error.code} ${error.reason}`,
  );
  expect(refused).toMatch(typeof reason === 'string' ? new RegExp(`^ERR_DIRECTORY_REFUSED ${reason}$`) : reason);
});

test('every attack of the third-party list is among them', () => {
  const list = new URL('../../../../shared/corpora/jwt/attack-names.json', import.meta.url);
  if (!existsSync(list))
    return console.log(`the folder of third-party data is missing: ${list.pathname} is not compared`);
  const names = JSON.parse(readFileSync(list, 'utf8')) as string[];
  expect(names.filter((name) => !(name in ATTACKS))).toEqual([]);
});

const DEMANDED: readonly (readonly [string, object, object, string | undefined])[] = [
  ['another nonce', { nonce: 'm' }, {}, 'nonce'],
  ['no nonce', { nonce: undefined }, {}, 'nonce'],
  ['several audiences without a word to whom', { aud: ['gateway', 'other'] }, {}, 'audience'],
  ['several audiences, given to us', { aud: ['gateway', 'other'], azp: 'gateway' }, {}, undefined],
  ['given to somebody else', { azp: 'other' }, {}, 'audience'],
  ['issued long ago', { iat: NOW - 3_600 }, {}, 'age'],
  ['no time of issue', { iat: undefined }, {}, 'issued'],
  ['no subject', { sub: '' }, {}, 'subject'],
  ['of another tenant', { tid: 'b' }, { tenant: 'a' }, 'tenant'],
  ['of the tenant', { tid: 'a' }, { tenant: 'a' }, undefined],
  ['not strong enough', { acr: 'low' }, { acr: ['high'] }, 'acr'],
  ['strong enough', { acr: 'high' }, { acr: ['higher', 'high'] }, undefined],
  ['without the second factor', { amr: ['pwd'] }, { amr: ['mfa'] }, 'amr'],
  ['methods as a text', { amr: 'mfa' }, { amr: ['mfa'] }, 'amr'],
  ['with the second factor', { amr: ['pwd', 'mfa'] }, { amr: ['mfa'] }, undefined],
];

test.each(DEMANDED)('%s', async (_name, claims, demands, reason) => {
  const token = forge(ES256, { ...CLAIMS, ...claims });
  const refused = await verifyIdToken(token, keys, { ...DEMANDS, ...demands }).then(
    () => undefined,
    (error: { reason: string }) => error.reason,
  );
  expect(refused).toBe(reason);
});

const EVENT = { 'http://schemas.openid.net/event/backchannel-logout': {} };
const LOGOUT = { iss: DEMANDS.issuer, aud: DEMANDS.clientId, iat: NOW, jti: 'j', sid: 's', events: EVENT };

test.each([
  ['a logout token', LOGOUT, ES256, undefined],
  ['with its own type', LOGOUT, { ...ES256, typ: 'logout+jwt' }, undefined],
  ['an id token instead', CLAIMS, ES256, 'event'],
  ['with a nonce', { ...LOGOUT, nonce: 'n' }, ES256, 'nonce'],
  ['for nobody', { ...LOGOUT, sid: undefined }, ES256, 'subject'],
  ['without an id', { ...LOGOUT, jti: undefined }, ES256, 'id'],
  ['of another issuer', { ...LOGOUT, iss: 'https://evil.example' }, ES256, 'issuer'],
  ['for another client', { ...LOGOUT, aud: 'other' }, ES256, 'audience'],
  ['too old', { ...LOGOUT, iat: NOW - 3_600 }, ES256, 'age'],
  [
    'the event as a text',
    { ...LOGOUT, events: { ...EVENT, 'http://schemas.openid.net/event/backchannel-logout': 'x' } },
    ES256,
    'event',
  ],
])('logout: %s', async (_name, claims, header, reason) => {
  const refused = await verifyLogoutToken(forge(header, claims), keys, DEMANDS).then(
    () => undefined,
    (error: { reason: string }) => error.reason,
  );
  expect(refused).toBe(reason);
});

test('a logout token is no id token', async () => {
  await expect(
    verifyIdToken(forge({ ...ES256, typ: 'logout+jwt' }, { ...CLAIMS, ...LOGOUT }), keys, DEMANDS),
  ).rejects.toMatchObject({ reason: 'typ' });
});
