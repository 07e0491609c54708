import { nodeCrypto } from '@sallyport/channel/node';
import { expect, test } from 'vitest';
import { createKeyring, kekOf, sealedStore } from '../../src/index.ts';
import { enrolled, keys, REQUEST, withAda } from '../ada.ts';
import { kekOfBytes, keyringOf, renewAll } from '../keys/renewed.ts';

test('secrets are wrapped in place and wrapped anew by the next key', async () => {
  const { access, store } = await withAda();
  const installation = await enrolled(access);
  const row = await access.store.transaction(({ tables }) => tables.installations.find({ id: installation.id }));
  expect(kekOf(row!.currentKey!)).toBe(1);
  expect(() => access.keyring.unwrap(row!.currentKey!, 'another place')).toThrow(
    expect.objectContaining({ code: 'ERR_ACCESS_UNWRAP' }),
  );
  const both = keyringOf(access.crypto, [1, 2], 2);
  expect((await renewAll(store.in('main'), both)).renewed).toBeGreaterThan(0);
  expect(await renewAll(store.in('main'), both)).toEqual({ renewed: 0, left: [] });
  const keyring = keyringOf(access.crypto, [2], 2);
  const onlyNew = { ...access, keyring, store: sealedStore(store.in('main'), keyring, () => undefined) };
  expect((await keys(onlyNew, installation.id))[0]!.key).toEqual(REQUEST.sharedKey);
});

test('a retired key knows what was made with it, and opens and vouches for nothing', () => {
  const crypto = nodeCrypto();
  const before = keyringOf(crypto, [1], 1);
  const after = createKeyring(crypto, new Map([[2, kekOfBytes(2)]]), 2, new Map([[1, kekOfBytes(1)]]));
  const bytes = Uint8Array.of(1, 2, 3);
  expect(after.verifyMac(before.mac(bytes), bytes)).toBe(false);
  expect(after.verifyMark(before.mac(bytes), bytes)).toBe(true);
  expect(after.marks(bytes)).toEqual([after.mac(bytes).subarray(4), before.mac(bytes).subarray(4)]);
  expect(() => after.unwrap(before.wrap(bytes, 'here'), 'here')).toThrow('missing');
  expect(after.unwrapKept(before.wrap(bytes, 'here'), 'here')).toEqual(bytes);
  expect(() => after.unwrapKept(before.wrap(bytes, 'here'), 'there')).toThrow('does not open');
  expect(() => after.macBy(1, bytes)).toThrow(TypeError);
  expect(after.derive(1, 'exports')).toEqual(before.derive(1, 'exports'));
  expect(after.derive(1, 'exports')).not.toEqual(after.derive(1, 'others'));
  expect(after.derive(3, 'exports')).toBeUndefined();
});
