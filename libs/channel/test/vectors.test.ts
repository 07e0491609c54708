import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseHex } from '../src/bytes.ts';
import { keyOf, type SessionSecret } from '../src/crypto.ts';
import { SecurityEstablish } from '../src/establish.ts';
import { decodeHello } from '../src/messages.ts';
import { CipherState } from '../src/noise.ts';
import { deriveChannelKey, verifyHelloMac } from '../src/schedule.ts';
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
