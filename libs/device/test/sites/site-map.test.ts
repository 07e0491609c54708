import { ed25519 } from '@noble/curves/ed25519.js';
import { encodeText, formatBase64Url } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { expect, test } from 'vitest';
import { verifySiteMap } from '../../src/sites/site-map.ts';

const crypto = nodeCrypto();
const secret = new Uint8Array(32).fill(5);
const x = formatBase64Url(ed25519.getPublicKey(secret));
const root = crypto.sha256(encodeText(JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x })));
const MAP = {
  realm: 'main',
  seq: 3,
  sites: [{ name: 'here', origins: ['wss://a'] }],
  keys: [{ kid: 1, rs: formatBase64Url(new Uint8Array(32)) }],
};

function sign(map: object, header: object = {}, key = secret): string {
  const all = { alg: 'EdDSA', typ: 'sallyport-site-map+jwt', jwk: { kty: 'OKP', crv: 'Ed25519', x }, ...header };
  const input = `${formatBase64Url(encodeText(JSON.stringify(all)))}.${formatBase64Url(encodeText(JSON.stringify(map)))}`;
  return `${input}.${formatBase64Url(ed25519.sign(encodeText(input), key))}`;
}

test('a site map of the pinned root key is read', () => {
  expect(verifySiteMap(crypto, sign(MAP), { realm: 'main', root })).toMatchObject({
    seq: 3,
    sites: [{ name: 'here', origins: ['wss://a'] }],
  });
});

const other = new Uint8Array(32).fill(6);
test.each([
  [
    'another key in the header',
    sign(MAP, { jwk: { kty: 'OKP', crv: 'Ed25519', x: formatBase64Url(ed25519.getPublicKey(other)) } }, other),
  ],
  ['a signature of another key', sign(MAP, {}, other)],
  ['another algorithm', sign(MAP, { alg: 'none' })],
  ['another type', sign(MAP, { typ: 'JWT' })],
  ['another realm', sign({ ...MAP, realm: 'other' })],
  ['a sequence that is no number', sign({ ...MAP, seq: 'x' })],
  [
    'a changed payload',
    sign(MAP).replace(/\.[^.]+\./, `.${formatBase64Url(encodeText(JSON.stringify({ ...MAP, seq: 4 })))}.`),
  ],
  ['one more part', `${sign(MAP)}.x`],
  ['no site map at all', 'x'],
])('refused: %s', (_what, jws) => {
  expect(() => verifySiteMap(crypto, jws, { realm: 'main', root })).toThrow(
    expect.objectContaining({ code: 'SITE_MAP_INVALID' }),
  );
});
