import { nodeCrypto } from '@sallyport/channel/node';
import { expect, test } from 'vitest';
import { createKeyring, type DatabaseWitness, openWitness, sealWitness } from '../../src/index.ts';

const crypto = nodeCrypto();
const keyringOf = (byte: number) => createKeyring(crypto, new Map([[1, new Uint8Array(32).fill(byte)]]), 1);
const main = { keyring: keyringOf(1), store: { realm: 'main' } };
const WITNESS: DatabaseWitness = {
  epoch: '1'.repeat(32),
  supersedes: ['0'.repeat(32)],
  system: '7',
  walBytes: 1_000,
  head: 5,
  headHash: 'f'.repeat(64),
  journaled: 3,
  audit: { seq: 9, hash: 'a'.repeat(64) },
  at: 1_800_000_000_000,
};

test('what a server of a realm has sealed opens for its servers', () => {
  expect(openWitness(main, sealWitness(main, WITNESS))).toEqual(WITNESS);
});

test('of many epochs the newest are named, so that a Proxy can always carry it', () => {
  const supersedes = Array.from({ length: 1_000 }, (_, i) => String(i).padStart(32, '0'));
  const text = sealWitness(main, { ...WITNESS, supersedes });
  expect(text.length).toBeLessThan(8_192);
  expect(openWitness(main, text)?.supersedes).toEqual(supersedes.slice(-64));
});

test('what somebody else has made, or changed, proves nothing', () => {
  const text = sealWitness(main, WITNESS);
  const [content, mac] = text.split('.') as [string, string];
  const more = Buffer.from(JSON.stringify({ ...WITNESS, head: 6 })).toString('base64url');
  const forged = [
    `${more}.${mac}`,
    `${content}.${mac.slice(0, -2)}AA`,
    content,
    `${text}.`,
    '',
    'x'.repeat(100_000),
    sealWitness({ ...main, keyring: keyringOf(2) }, WITNESS),
    sealWitness({ ...main, store: { realm: 'other' } }, WITNESS),
  ];
  for (const one of forged) expect(openWitness(main, one)).toBeUndefined();
});
