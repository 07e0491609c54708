import { expect, test } from 'vitest';
import { admitAtProvider, applyAccounts, type RealmStore, StoreError } from '../../src/index.ts';
import { account, directory, users } from '../corp.ts';
import { sampleSession } from '../sample-session.ts';
import { BY } from '../scene.ts';

test('what the groups of a sign-in put into the log is said also when the sign-in then fails', async () => {
  const { access } = await directory('oidc');
  await applyAccounts(access, 'corp', [account('s1')], BY);
  const [user] = await users(access);
  await access.store.transaction(({ tables, now }) =>
    tables.sessions.insert(sampleSession('1', { userId: user!.id, createdAt: now(), expiresAt: now() + 1_000_000 })),
  );
  const heads = () => access.store.transaction(({ tables }) => tables.revocations.count());
  const before = await heads();
  let entered = 0;
  const transaction: RealmStore['transaction'] = async (work, urgency) => {
    // The groups are there; who is to become an operator by them is not looked at any more.
    if (entered > 0) throw new StoreError('ERR_STORE_UNAVAILABLE', 'the database does not answer');
    return access.store.transaction(work, urgency);
  };
  const failing = { ...access, store: { realm: access.store.realm, transaction } };
  const groups = [{ subject: 'g1', externalId: '', name: 'Staff', version: '1' }];
  const signIn = { provider: 'corp', subject: 's1', groups };
  const told = (): void => {
    entered += 1;
  };
  await expect(admitAtProvider(failing, signIn, told)).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' });
  expect(await heads()).toBeGreaterThan(before);
  expect(entered).toBe(1);
});
