import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { concat, encodeText, formatHex, parseHex } from '../src/bytes.ts';
import { encodeCbor } from '../src/cbor.ts';
import { decodeContext, encodeContext } from '../src/context.ts';
import { nobleCrypto } from '../src/crypto-noble.ts';
import { type Evidence, encodeEvidence, evidenceBinding, evidenceHash, findEvidence } from '../src/evidence.ts';
import { providers } from './providers.ts';
import { CONTEXT } from './sample-context.ts';

const file = new URL('../vectors/evidence.json', import.meta.url);
const SUBJECT = {
  realm: 'main',
  challenge: Uint8Array.from({ length: 44 }, (_, i) => i),
  iid: '0123456789abcdef0123456789abcdef',
  // The key of RFC 7515, appendix A.3.
  signingKey: { x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU', y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0' },
};
const STATEMENT = encodeText('a statement of some platform');

function vector() {
  const crypto = nobleCrypto();
  const hash = evidenceHash(crypto, SUBJECT);
  const connector = 'software';
  const evidence = { challenge: SUBJECT.challenge, connector, statement: STATEMENT, proof: 'a.b.c' };
  return {
    realm: SUBJECT.realm,
    challenge: formatHex(SUBJECT.challenge),
    iid: SUBJECT.iid,
    hk: { kty: 'EC', crv: 'P-256', ...SUBJECT.signingKey },
    hash: formatHex(hash),
    connector,
    statement: formatHex(STATEMENT),
    b: formatHex(evidenceBinding(crypto, { hash, connector, statement: STATEMENT })),
    proof: 'a.b.c',
    context: formatHex(encodeEvidence(CONTEXT, evidence)),
    notice: formatHex(encodeCbor({ attest: { challenge: SUBJECT.challenge } })),
  };
}

test('the code still gives the published vector, with every provider', () => {
  if (process.env['WRITE_VECTORS']) writeFileSync(file, `${JSON.stringify(vector(), null, 1)}\n`);
  const published = JSON.parse(readFileSync(file, 'utf8'));
  expect(vector()).toEqual(published);
  for (const crypto of providers) expect(formatHex(evidenceHash(crypto, SUBJECT))).toBe(published.hash);
});

test('the hash of the vector is what the specification says, by other means than made it', () => {
  const { x, y } = SUBJECT.signingKey;
  const thumbprint = createHash('sha256').update(`{"crv":"P-256","kty":"EC","x":"${x}","y":"${y}"}`).digest();
  const lp8 = (bytes: Uint8Array): Uint8Array => concat(Uint8Array.of(bytes.length), bytes);
  const hash = createHash('sha256')
    .update('sallyport/1 evidence')
    .update(lp8(encodeText('main')))
    .update(lp8(SUBJECT.challenge))
    .update(lp8(encodeText(SUBJECT.iid)))
    .update(thumbprint)
    .digest();
  expect(hash.toString('hex')).toBe(vector().hash);
  const b = createHash('sha256')
    .update('sallyport/1 evidence proof')
    .update(hash)
    .update(lp8(encodeText('software')))
    .update(createHash('sha256').update(STATEMENT).digest());
  expect(b.digest('hex')).toBe(vector().b);
});

test('another realm, challenge, installation or key has another hash', () => {
  const crypto = nobleCrypto();
  const others = [
    { ...SUBJECT, realm: 'other' },
    { ...SUBJECT, challenge: new Uint8Array(44) },
    { ...SUBJECT, iid: 'f'.repeat(32) },
    { ...SUBJECT, signingKey: { ...SUBJECT.signingKey, y: 'AAAA' } },
  ];
  const hashes = [SUBJECT, ...others].map((subject) => formatHex(evidenceHash(crypto, subject)));
  expect(new Set(hashes).size).toBe(hashes.length);
});

test('a CONTEXT with evidence is an app context, too, and gives both as they were', () => {
  const evidence: Evidence = { challenge: SUBJECT.challenge, connector: 'software', statement: STATEMENT, proof: 'p' };
  const cbor = encodeEvidence(CONTEXT, evidence);
  expect(decodeContext(cbor)).toEqual(CONTEXT);
  expect(findEvidence(cbor)).toEqual(evidence);
  expect(findEvidence(encodeContext(CONTEXT))).toBeUndefined();
  expect(findEvidence(parseHex(vector().context))).toMatchObject({ connector: 'software' });
});

test('evidence beyond its limits is malformed', () => {
  const good: Evidence = {
    challenge: new Uint8Array(64),
    connector: 'c',
    statement: new Uint8Array(49_152),
    proof: 'p',
  };
  expect(findEvidence(encodeEvidence(CONTEXT, good))).toEqual(good);
  const bad: readonly Partial<Evidence>[] = [
    { challenge: new Uint8Array(65) },
    { statement: new Uint8Array(49_153) },
    { connector: 'c'.repeat(33) },
    { connector: 'a\nb' },
    { proof: 'p'.repeat(2_049) },
  ];
  for (const over of bad)
    expect(() => findEvidence(encodeEvidence(CONTEXT, { ...good, ...over }))).toThrow(
      expect.objectContaining({ code: 'ERR_CHANNEL_CBOR' }),
    );
});
