import { expect, test } from 'vitest';
import { createKeyring, kekOf, rewrapRealm } from '../../src/index.ts';
import { enrolled, keys, REQUEST, withAda } from '../ada.ts';

test('secrets are wrapped in place and wrapped anew by the next key', async () => {
  const { access } = await withAda();
  const installation = await enrolled(access);
  const row = await access.store.transaction(({ tables }) => tables.installations.find({ id: installation.id }));
  expect(kekOf(row!.currentKey!)).toBe(1);
  expect(() => access.keyring.unwrap(row!.currentKey!, 'another place')).toThrow(
    expect.objectContaining({ code: 'ERR_ACCESS_UNWRAP' }),
  );
  const both = new Map([
    [1, new Uint8Array(32).fill(1)],
    [2, new Uint8Array(32).fill(2)],
  ]);
  const renewed = { ...access, keyring: createKeyring(access.crypto, both, 2) };
  expect(await rewrapRealm(renewed)).toBeGreaterThan(0);
  expect(await rewrapRealm(renewed)).toBe(0);
  const onlyNew = { ...access, keyring: createKeyring(access.crypto, new Map([[2, new Uint8Array(32).fill(2)]]), 2) };
  expect((await keys(onlyNew, installation.id))[0]!.key).toEqual(REQUEST.sharedKey);
});
