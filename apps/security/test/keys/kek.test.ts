import { existsSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureRealm, kekOfRealm, listKeks, sealedStore } from '@sallyport/access';
import { MemoryStore } from '@sallyport/access/store';
import { nodeCrypto } from '@sallyport/channel/node';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openKeks, openKeksOfExports, openKeksOfRestored, wrapRestored } from '../../src/keys/kek.ts';
import { createPasswordHasher } from '../../src/keys/passwords.ts';

const crypto = nodeCrypto();
let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kek-'));
  file = join(folder, 'kek.json');
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A file whose first key was turned to a second one. */
function turned() {
  const first = openKeks(crypto, file, false);
  const before = first.keyring.mac(Uint8Array.of(1));
  first.shelf.change(({ keys }) => ({ current: 2, keys: new Map([[2, crypto.randomBytes(32)]]), retired: keys }));
  return before;
}

test('exports of before a turn are read with the retired key, which vouches for nothing else', () => {
  const before = turned();
  const text = readFileSync(file, 'utf8');
  expect(openKeks(crypto, file, true).keyring.verifyMac(before, Uint8Array.of(1))).toBe(false);
  const keyring = openKeksOfExports(crypto, file);
  expect(keyring.verifyMac(before, Uint8Array.of(1))).toBe(true);
  expect(keyring.current).toBe(2);
  expect(readFileSync(file, 'utf8')).toBe(text);
});

test('a database from before the turn takes the retired key into use again, until the nodes have wrapped everything', async () => {
  const store = new MemoryStore().in('main');
  const old = openKeks(crypto, file, false);
  const rules = (keyring: typeof old.keyring) => ({
    ...{ crypto, keyring, passwords: createPasswordHasher() },
    store: sealedStore(store, keyring, () => undefined),
  });
  await ensureRealm(rules(old.keyring));
  expect(await kekOfRealm(store)).toBe(1);
  expect(await wrapRestored(rules(old.keyring), { actor: 'a', reason: 'r' })).toBe(false);
  old.shelf.change(({ keys }) => ({ current: 2, keys: new Map([[2, crypto.randomBytes(32)]]), retired: keys }));
  const { keyring, shelf } = await openKeksOfRestored(crypto, file, store);
  expect([...shelf.read().keys.keys()].sort()).toEqual([1, 2]);
  expect(keyring.current).toBe(2);
  const access = rules(keyring);
  expect(await wrapRestored(access, { actor: 'olga', reason: 'restored' })).toBe(true);
  expect((await listKeks(access)).turn).toMatchObject({ kek: 2, state: 'spreading', from: [1, 2] });
});

test('drafts of processes that were killed are removed, those of others at work are not', () => {
  openKeks(crypto, file, false);
  const [stale, fresh] = [`${file}.a.new`, `${file}.b.new`];
  for (const draft of [stale, fresh]) writeFileSync(draft, '{}');
  utimesSync(stale, 1, 1);
  openKeks(crypto, file, true);
  expect([existsSync(stale), existsSync(fresh)]).toEqual([false, true]);
});

test('what is no key file is named, and nothing of what it holds is told', () => {
  const canary = 'Y2FuYXJ5';
  const key = `${canary}${'A'.repeat(35)}`;
  for (const text of [
    `{"current": 1, "keys": {"1": ${key}"}}`,
    `{"current": 2, "keys": {"1": "${key}"}}`,
    `{"current": 1, "keys": {"1": "${canary}!"}}`,
    `{"current": 1, "keys": {"1": "${canary}"}}`,
    `{"current": 1, "keys": {"1": "${'A'.repeat(43)}", "2": "${canary}!"}}`,
    `{"current": 1, "keys": {"1": "${'A'.repeat(43)}"}, "retired": {"2": "${canary}"}}`,
    `# AGE-${canary}`,
    'null',
    '{}',
  ]) {
    writeFileSync(file, text);
    for (const open of [() => openKeks(crypto, file, true), () => openKeksOfExports(crypto, file)]) {
      expect(open, text).toThrow(file);
      expect(open, text).not.toThrow(canary);
    }
  }
});

test('a realm whose key file is gone gets no new key', () => {
  expect(() => openKeks(crypto, file, true)).toThrow('copy kek.json of another node');
  expect(existsSync(file)).toBe(false);
});
