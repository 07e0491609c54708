import { ed25519 } from '@noble/curves/ed25519.js';
import {
  encodeText,
  formatBase64Url,
  NEXT_ROOT_TYPE,
  nextRootPayload,
  type RootJwk,
  rootThumbprint,
} from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { expect, test } from 'vitest';
import type { DeviceRecord } from '../../src/kept/record.ts';
import { takeSiteMap, verifySiteMap } from '../../src/sites/site-map.ts';

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
const third = new Uint8Array(32).fill(7);

function jwkOf(key: Uint8Array): RootJwk {
  return { kty: 'OKP', crv: 'Ed25519', x: formatBase64Url(ed25519.getPublicKey(key)) };
}

/** By which one root key names the next one. */
function statement(from: Uint8Array, to: Uint8Array, { realm = 'main', by = from, typ = NEXT_ROOT_TYPE } = {}): string {
  const payload = JSON.parse(nextRootPayload(realm, rootThumbprint(crypto, jwkOf(to))));
  return sign(payload, { typ, jwk: jwkOf(from) }, Uint8Array.from(by));
}

test('a next root key is followed from the pinned one, over others, and is pinned from then on', () => {
  const roots = [statement(secret, other), statement(other, third)];
  const map = verifySiteMap(crypto, sign({ ...MAP, seq: 4 }, { jwk: jwkOf(third), roots }, third), {
    realm: 'main',
    root,
  });
  expect(map.root).toEqual(rootThumbprint(crypto, jwkOf(third)));
  const record = takeSiteMap({ realm: 'main', root: Uint8Array.from(root), siteMapSeq: 3 } as DeviceRecord, map);
  expect(record.root).toEqual(map.root);
  // The key of before signs nothing for this device any more, and statements of before are passed over.
  const pinned = { realm: 'main', root: record.root };
  expect(() => verifySiteMap(crypto, sign({ ...MAP, seq: 5 }), pinned)).toThrow('not signed by the root key');
  expect(verifySiteMap(crypto, sign({ ...MAP, seq: 5 }, { jwk: jwkOf(third), roots }, third), pinned).seq).toBe(5);
});

test.each([
  ['that nobody named', []],
  ['named by itself', [statement(third, third)]],
  ['named by another key in the name of the pinned one', [statement(secret, third, { by: third })]],
  ['named in another realm', [statement(secret, third, { realm: 'other' })]],
  ['named by what is no such statement', [statement(secret, third, { typ: 'sallyport-site-map+jwt' })]],
  ['with a gap in between', [statement(other, third)]],
  ['in the wrong order', [statement(other, third), statement(secret, other)]],
  ['behind too many others', [...Array.from({ length: 32 }, () => statement(other, third)), statement(secret, third)]],
])('refused: a root key %s', (_what, roots) => {
  const jws = sign(MAP, { jwk: jwkOf(third), roots }, third);
  expect(() => verifySiteMap(crypto, jws, { realm: 'main', root })).toThrow(
    expect.objectContaining({ code: 'SITE_MAP_INVALID' }),
  );
});

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
