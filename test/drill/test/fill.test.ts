import { randomBytes } from 'node:crypto';
import { createKeyring, ensureRealm, keyCandidates, sealedStore, verifyAudit } from '@sallyport/access';
import { MemoryStore } from '@sallyport/access/store';
import { publicKeyOf } from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import { expect, test } from 'vitest';
import { fillRealm } from '../src/fill.ts';
import { filledDevice, filledInstallation, filledKeys, filledUser, sharedKeyOf } from '../src/filled.ts';

const crypto = serverCrypto();
const passwords = { hash: async () => '', verify: async () => false };
const FILL = { installations: 1_100, seed: 7, real: 3 };

async function filledStore() {
  const forged: unknown[] = [];
  const keyring = createKeyring(crypto, new Map([[1, randomBytes(32)]]), 1);
  const store = sealedStore(new MemoryStore().in('main'), keyring, (row) => forged.push(row));
  await ensureRealm({ store, keyring, crypto, passwords }, 15_000);
  await fillRealm(store, keyring, FILL);
  return { store, keyring, forged };
}

test('a fill leaves rows that Security takes for its own, and an audit chain that fits', async () => {
  const { store, keyring, forged } = await filledStore();
  await store.transaction(async (transaction) => {
    const { users, members, installations } = transaction.tables;
    expect(await users.list()).toHaveLength(FILL.installations);
    expect(await members.list()).toHaveLength(FILL.installations);
    expect(await installations.list()).toHaveLength(FILL.installations);
    expect(await verifyAudit(transaction, crypto)).toBeGreaterThanOrEqual(FILL.installations);
    const last = await installations.find({ id: filledInstallation(FILL.seed, FILL.installations - 1) });
    const [candidate] = keyCandidates('main', keyring, last!);
    expect(candidate!.key).toEqual(sharedKeyOf(FILL.seed, FILL.installations - 1));
  });
  expect(forged).toEqual([]);
});

test('the same seed fills with the same users and keys, another one with others', async () => {
  const { store } = await filledStore();
  const row = await store.transaction(({ tables }) => tables.installations.find({ id: filledInstallation(7, 2) }));
  expect(row).toMatchObject({ userId: filledUser(7, 2).id, deviceStatic: filledKeys(7, 2).deviceStatic });
  const link = {
    origins: [],
    realm: 'main',
    kid: 1,
    rs: publicKeyOf(new Uint8Array(32)),
    root: new Uint8Array(32),
    code: '',
    seq: 0,
  };
  expect(filledDevice(7, 2, link)).toMatchObject({ iid: row!.id, signingKey: { publicJwk: row!.signingKey } });
  expect(filledInstallation(8, 2)).not.toBe(filledInstallation(7, 2));
  expect(filledKeys(8, 2).deviceStatic).not.toEqual(row!.deviceStatic);
});
