import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKeyring, ensureRealm, loadRealmKeys } from '@sallyport/access';
import { MemoryStore } from '@sallyport/access/store';
import { decodeText } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import type { JWK } from 'jose';
import { afterAll, expect, test } from 'vitest';
import { openRealmKeys } from '../../src/keys/keys.ts';
import { createPasswordHasher } from '../../src/keys/passwords.ts';
import { readRootKey, settleRootKey } from '../../src/keys/root-key.ts';

const folder = mkdtempSync(join(tmpdir(), 'root-key-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'root-key.json');

async function newRealm() {
  const crypto = nodeCrypto();
  const keyring = createKeyring(crypto, new Map([[1, crypto.randomBytes(32)]]), 1);
  const access = { store: new MemoryStore().in('main'), crypto, keyring, passwords: createPasswordHasher() };
  await ensureRealm(access);
  return access;
}

test('a realm that is built anew takes the root key that devices know, once, and leaves it in no file', async () => {
  const old = await newRealm();
  const before = await openRealmKeys(old);
  const [root] = await loadRealmKeys(old, 'root');
  writeFileSync(file, decodeText(root!.secret));
  const anew = await newRealm();
  const given = readRootKey(file);
  const keys = await openRealmKeys(anew, given);
  expect(keys.rootThumbprint).toEqual(before.rootThumbprint);
  expect(JSON.stringify((await loadRealmKeys(anew, 'root'))[0]!.publicPart)).not.toContain(given!.d);
  settleRootKey(file, given, keys.root.publicJwk);
  expect(readdirSync(folder)).toEqual([]);
  expect(readRootKey(file)).toBeUndefined();
});

test('a realm that has a root key keeps it, and says that the file is for another one', async () => {
  const other = await newRealm();
  await openRealmKeys(other);
  const [foreign] = await loadRealmKeys(other, 'root');
  const own = await newRealm();
  const before = await openRealmKeys(own);
  const given = JSON.parse(decodeText(foreign!.secret)) as JWK;
  const keys = await openRealmKeys(own, given);
  expect(keys.rootThumbprint).toEqual(before.rootThumbprint);
  expect(() => settleRootKey(file, given, keys.root.publicJwk)).toThrow('the realm has another root key');
});

test('a file that holds no root key is refused', () => {
  for (const text of [
    '',
    '{}',
    '{"kty":"EC","crv":"P-256","x":"a","d":"b"}',
    '{"kty":"OKP","crv":"Ed25519","x":"a"}',
  ]) {
    writeFileSync(file, text);
    expect(() => readRootKey(file)).toThrow('holds no root key');
  }
  rmSync(file);
});
