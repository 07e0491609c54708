import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { deriveCodeKey, parseActivationCode } from '../src/activation-code.ts';
import { encodeText, formatBase64Url, formatHex, parseBase64Url, parseHex } from '../src/bytes.ts';
import { CborFields, decodeCborMap } from '../src/cbor.ts';
import { keyOf, publicKeyOf, type SessionSecret } from '../src/crypto.ts';
import { SecurityEstablish } from '../src/establish.ts';
import { decodeFrames } from '../src/frame.ts';
import { checkRequest } from '../src/http-rules.ts';
import { parseLink } from '../src/link.ts';
import { decodeHello, decodeHs1, decodePadded, verifyMac1 } from '../src/messages.ts';
import { CipherState } from '../src/noise.ts';
import { deriveChannelKey, type Role, verifyHelloMac } from '../src/schedule.ts';
import { providers } from './providers.ts';
import { makeVectors } from './vectors.ts';

const folder = new URL('../vectors/', import.meta.url);
const made = makeVectors();

test.each(Object.keys(made))('the code still gives the published vectors: %s', (name) => {
  const file = new URL(name, folder);
  // After an intended change of the protocol: WRITE_VECTORS=1 npx vitest run --dir libs/channel vectors
  if (process.env['WRITE_VECTORS']) writeFileSync(file, `${JSON.stringify(made[name], null, 1)}\n`);
  expect(JSON.parse(JSON.stringify(made[name]))).toEqual(JSON.parse(readFileSync(file, 'utf8')));
});

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as T;
}

test('every provider opens the vectors that the portable one made', () => {
  const establishes = read<{ rs_secret: string; hs1: string; code_id: string | null }[]>('establish.json');
  const channels = read<{ hello: string; session_secret: string; channel_key: string }[]>('channel.json');
  const rekeys = read<{ suite: 1 | 2; key: string; record_0: string }[]>('rekey.json');
  for (const crypto of providers) {
    for (const vector of establishes) {
      const rs = crypto.keyPairOf(parseHex(vector.rs_secret));
      const security = new SecurityEstablish({ crypto, realm: 'main', rs, hs1: parseHex(vector.hs1) });
      expect(security.codeId ?? null).toBe(vector.code_id);
    }
    for (const vector of channels) {
      const hello = decodeHello(parseHex(vector.hello));
      const secret = keyOf<SessionSecret>(parseHex(vector.session_secret));
      expect(verifyHelloMac(crypto, secret, hello)).toBe(true);
      expect(Buffer.from(deriveChannelKey(crypto, secret, hello)).toString('hex')).toBe(vector.channel_key);
    }
    for (const { suite, key, record_0 } of rekeys) {
      const opened = new CipherState(crypto, suite, parseHex(key)).open(new Uint8Array(0), parseHex(record_0));
      expect(Buffer.from(opened).toString()).toBe('record');
    }
  }
});

interface Transcript {
  readonly role: Role;
  readonly salt: string;
  readonly hs1: string;
  readonly hs3: string;
  readonly binding: string;
  readonly request_cbor: string;
}

interface LoginVector {
  readonly realm: string;
  readonly rs_secret: string;
  readonly root: string;
  readonly code: string;
  readonly code_id: string;
  readonly link: string;
  readonly site_map: string;
  readonly enrolment: Transcript & { readonly enrolled_key: string };
  readonly login: Transcript;
}

test('the complete enrolment and login of the vectors are what they say, by other means than made them', async () => {
  const vector = read<LoginVector>('login.json');
  const link = parseLink(vector.link);
  expect(link).toMatchObject({ realm: 'main', kid: 7, code: vector.code, seq: 12, user: 'ada' });
  expect(formatHex(link.root)).toBe(vector.root);
  const code = parseActivationCode(vector.code)!;
  expect(code.id).toBe(vector.code_id);
  expect(formatHex(deriveCodeKey(providers[0]!, code))).toBe(vector.enrolment.salt);
  expect(vector.login.salt).toBe(vector.enrolment.enrolled_key);
  for (const { request_cbor, binding, role } of [vector.enrolment, vector.login]) {
    const fields = CborFields.decode(parseHex(request_cbor));
    const proof = fields.text('proof', 2_048);
    const hk = JSON.parse(JSON.stringify(jwkOf(CborFields.decode(parseHex(vector.enrolment.request_cbor)).map('hk'))));
    const key = await crypto.subtle.importKey('jwk', hk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['verify']);
    const [header, payload, signature] = proof.split('.');
    const input = encodeText(`${header}.${payload}`) as Uint8Array<ArrayBuffer>;
    const good = parseBase64Url(signature!) as Uint8Array<ArrayBuffer>;
    expect(await crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, key, good, input)).toBe(true);
    const claims = JSON.parse(Buffer.from(payload!, 'base64url').toString());
    expect(claims).toEqual({
      b: formatBase64Url(parseHex(binding)),
      iid: role === 'enrol' ? '' : fields.text('iid'),
    });
  }
  const [header, payload, signature] = vector.site_map.split('.');
  const { jwk } = JSON.parse(Buffer.from(header!, 'base64url').toString());
  const root = await crypto.subtle.importKey('jwk', jwk, 'Ed25519', false, ['verify']);
  const input = encodeText(`${header}.${payload}`) as Uint8Array<ArrayBuffer>;
  expect(
    await crypto.subtle.verify('Ed25519', root, parseBase64Url(signature!) as Uint8Array<ArrayBuffer>, input),
  ).toBe(true);
});

function jwkOf(fields: CborFields): object {
  return Object.fromEntries(['kty', 'crv', 'x', 'y'].map((name) => [name, fields.text(name)]));
}

interface NegativeVector {
  readonly rs_secret: string;
  readonly realm: string;
  readonly kid: number;
  readonly hs1: readonly { readonly why: string; readonly bytes: string; readonly hint: number }[];
  readonly cbor: readonly { readonly why: string; readonly bytes: string }[];
  readonly points: readonly { readonly bytes: string }[];
  readonly frames: readonly { readonly why: string; readonly bytes: string }[];
  readonly authorities: readonly { readonly authority: string }[];
  readonly paths: readonly { readonly path: string }[];
  readonly fields: readonly { readonly name: string; readonly value: string }[];
  readonly padding: readonly { readonly why: string; readonly bytes: string }[];
  readonly links: readonly { readonly why: string; readonly fragment: string }[];
}

// As made: that the file says the same is tested above.
const negative = JSON.parse(JSON.stringify(made['negative.json'])) as NegativeVector;
const HINTS = { ERR_CHANNEL_MESSAGE: 1, ERR_CHANNEL_VERSION: 2, ERR_CHANNEL_SUITE: 3, ERR_CHANNEL_HANDSHAKE: 6 };

test.each(negative.hs1)('refused as SPEC says: HS1 with $why', ({ bytes, hint }) => {
  for (const crypto of providers) {
    const rs = crypto.keyPairOf(parseHex(negative.rs_secret));
    const hs1 = parseHex(bytes);
    let said: number | undefined;
    try {
      if (decodeHs1(hs1).kid !== negative.kid) said = 4;
      else if (!verifyMac1(crypto, rs.publicKey, hs1)) said = 1;
      else new SecurityEstablish({ crypto, realm: negative.realm, rs, hs1 }).writeHs2(0);
    } catch (error) {
      said = HINTS[(error as { code: keyof typeof HINTS }).code];
    }
    expect(said).toBe(hint);
  }
});

test.each(negative.cbor)('refused as SPEC says: CBOR with $why', ({ bytes }) => {
  expect(() => decodeCborMap(parseHex(bytes))).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_CBOR' }));
});

test.each(negative.points)('refused as SPEC says: the point $bytes', ({ bytes }) => {
  for (const crypto of providers) {
    const { secretKey } = crypto.generateKeyPair();
    expect(() => crypto.dh(secretKey, publicKeyOf(parseHex(bytes)))).toThrow(
      expect.objectContaining({ code: 'ERR_CHANNEL_HANDSHAKE' }),
    );
  }
});

test.each(negative.frames)('refused as SPEC says: $why', ({ bytes }) => {
  expect(() => decodeFrames(parseHex(bytes))).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_FRAME' }));
});

const REQUEST = { method: 'GET', scheme: 'http', authority: 'wiki.corp', path: '/', fields: [] };

test.each(negative.authorities)('refused as SPEC says: the authority $authority', ({ authority }) => {
  expect(() => checkRequest({ ...REQUEST, authority })).toThrow(
    expect.objectContaining({ code: 'ERR_CHANNEL_HTTP_REFUSED' }),
  );
});

test.each(negative.paths)('refused as SPEC says: the path $path', ({ path }) => {
  expect(() => checkRequest({ ...REQUEST, path })).toThrow(
    expect.objectContaining({ code: 'ERR_CHANNEL_HTTP_REFUSED' }),
  );
});

test.each(negative.fields)('refused as SPEC says: the field $name: $value', ({ name, value }) => {
  expect(() => checkRequest({ ...REQUEST, fields: [[name, value]] })).toThrow(
    expect.objectContaining({ code: 'ERR_CHANNEL_HTTP_REFUSED' }),
  );
});

test.each(negative.padding)('refused as SPEC says: padding with $why', ({ bytes }) => {
  expect(() => decodePadded(parseHex(bytes))).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_MESSAGE' }));
});

test.each(negative.links)('refused as SPEC says: a link with $why', ({ fragment }) => {
  expect(() => parseLink(`https://x/#${fragment}`)).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_LINK' }));
});
