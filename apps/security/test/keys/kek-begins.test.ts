import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeCrypto } from '@sallyport/channel/node';
import { afterAll, expect, test } from 'vitest';
import { beginKeks, createKeks, openKeks } from '../../src/keys/kek.ts';

const crypto = nodeCrypto();
const folder = mkdtempSync(join(tmpdir(), 'kek-begins-'));
afterAll(() => rmSync(folder, { recursive: true }));
const given = join(folder, 'mounted.json');
createKeks(crypto, given);

test('a node without keys begins with those that were handed to it, and can open what was wrapped by them', () => {
  const file = join(folder, 'first', 'kek.json');
  beginKeks(file, given);
  const mac = openKeks(crypto, file, true).keyring.mac(Uint8Array.of(1));
  expect(openKeks(crypto, given, true).keyring.verifyMac(mac, Uint8Array.of(1))).toBe(true);
});

test('a node that has keys keeps them: after a turn of the key the mounted file is old', () => {
  const file = join(folder, 'second', 'kek.json');
  beginKeks(file, given);
  openKeks(crypto, file, true).shelf.change(({ keys }) => ({
    ...{ current: 2, keys: new Map([[2, crypto.randomBytes(32)]]), retired: keys },
  }));
  const turned = readFileSync(file, 'utf8');
  beginKeks(file, given);
  expect(readFileSync(file, 'utf8')).toBe(turned);
});

test('what is missing or holds no keys is refused, and no file is made of it', () => {
  const file = join(folder, 'third', 'kek.json');
  expect(() => beginKeks(file, join(folder, 'none'))).toThrow(/ENOENT/);
  for (const text of ['{"current":1,"keys":{}}', '{"current":1,"keys":{"1":"AAAA"}}']) {
    writeFileSync(join(folder, 'wrong.json'), text);
    expect(() => beginKeks(file, join(folder, 'wrong.json'))).toThrow(/no key-encryption keys/);
  }
  expect(existsSync(file)).toBe(false);
});

test('a first key never takes the place of a file', () => {
  const before = readFileSync(given, 'utf8');
  expect(() => createKeks(crypto, given)).toThrow(/is there already/);
  expect(readFileSync(given, 'utf8')).toBe(before);
});
