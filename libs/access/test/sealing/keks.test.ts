import { nodeCrypto } from '@sallyport/channel/node';
import { expect, test } from 'vitest';
import { checkKeks, createKeyring } from '../../src/index.ts';
import { nextKekId } from '../../src/sealing/keks.ts';
import { MemoryStore } from '../../src/store.ts';

const crypto = nodeCrypto();
const keyringOf = (keys: Readonly<Record<number, number>>, current: number) =>
  createKeyring(
    crypto,
    new Map(Object.entries(keys).map(([id, fill]) => [Number(id), new Uint8Array(32).fill(fill)])),
    current,
  );

test('a realm knows its key-encryption keys by number and refuses another one of that number', async () => {
  const store = new MemoryStore().in('main');
  const own = keyringOf({ 1: 1 }, 1);
  expect(await checkKeks(store, own)).toEqual([]);
  expect(await checkKeks(store, own)).toEqual([]);
  await expect(checkKeks(store, keyringOf({ 1: 9 }, 1))).rejects.toMatchObject({ code: 'ERR_ACCESS_KEK' });
});

test('of two nodes that make a key of one number only one may use it, and each hears which keys it lacks', async () => {
  const store = new MemoryStore().in('main');
  const own = keyringOf({ 1: 1 }, 1);
  await checkKeks(store, own);
  expect(await store.transaction((transaction) => nextKekId(transaction, own))).toBe(2);
  await checkKeks(store, keyringOf({ 1: 1, 2: 2 }, 2));
  await expect(checkKeks(store, keyringOf({ 1: 1, 2: 3 }, 2))).rejects.toMatchObject({ code: 'ERR_ACCESS_KEK' });
  expect(await checkKeks(store, own)).toEqual([2]);
  expect(await store.transaction((transaction) => nextKekId(transaction, own))).toBe(3);
});
