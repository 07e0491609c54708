import { expect, test } from 'vitest';
import {
  applyAccounts,
  changeMembers,
  explainRights,
  placeAccounts,
  putDirectory,
  putDirectoryGroups,
  putUser,
  removeAccounts,
  removeDirectory,
  setAccountGroups,
} from '../../src/index.ts';
import { account, directory, userOf, users } from '../corp.ts';
import { BY } from '../scene.ts';

test('an account becomes a user once, and the user keeps the id through every change', async () => {
  const { access } = await directory();
  expect(await applyAccounts(access, 'corp', [account('s1', { login: 'Ada' })], BY)).toMatchObject({
    created: 1,
    changed: 0,
  });
  const before = await userOf(access, 'ada');
  const renamed = account('s1', { login: 'Byron', displayName: 'Ada B', version: '2' });
  expect(await applyAccounts(access, 'corp', [renamed], BY)).toMatchObject({ created: 0, changed: 1 });
  expect(await userOf(access, 'byron')).toMatchObject({ id: before!.id, displayName: 'Ada B' });
  expect(await users(access)).toHaveLength(1);
});

test('names are taken from whoever has them by nobody: not by a new account, not by a renamed one', async () => {
  const { access } = await directory();
  await putUser(access, 'root', { password: 'x' }, BY);
  const outcome = await applyAccounts(
    access,
    'corp',
    [account('s1', { login: 'root' }), account('s2', { login: 'bob' }), account('s3', { login: 'BOB' })],
    BY,
  );
  expect(outcome.created).toBe(1);
  expect(outcome.conflicts.map(({ subject }) => subject)).toEqual(['s1', 's3']);
  const renamed = await applyAccounts(access, 'corp', [account('s2', { login: 'root', version: '2' })], BY);
  expect(renamed.conflicts[0]!.why).toContain('cannot be renamed');
  expect((await userOf(access, 'root'))!.directory).toBe('');
  expect(await userOf(access, 'bob')).toMatchObject({ directory: 'corp' });
});

test('who is not active is out with a log entry of their own; who comes back is let in, unless an operator said no', async () => {
  const { access } = await directory();
  await applyAccounts(access, 'corp', [account('s1'), account('s2')], BY);
  const away = [account('s1', { active: false }), account('s2', { active: false })];
  const { disabled, index } = await applyAccounts(access, 'corp', away, BY);
  expect({ disabled, index }).toEqual({ disabled: 2, index: 2 });
  const kinds = await access.store.transaction(({ tables }) => tables.revocations.list());
  expect(kinds.map(({ kind }) => kind)).toEqual(['user', 'user']);
  await access.store.transaction(({ tables }) =>
    tables.users.update({ where: { name: 's2' } }, { outByOperator: true, enabled: false }),
  );
  expect(await applyAccounts(access, 'corp', [account('s1'), account('s2')], BY)).toMatchObject({ enabled: 1 });
  expect((await userOf(access, 's1'))!.enabled).toBe(true);
  expect((await userOf(access, 's2'))!.enabled).toBe(false);
});

test('an account that is over when it comes makes no user', async () => {
  const { access, clock } = await directory();
  await applyAccounts(access, 'corp', [account('s1', { expiresAt: clock.now }), account('s2', { active: false })], BY);
  expect(await users(access)).toEqual([]);
});

test('staged accounts are nobody, with groups; activated they are somebody in them', async () => {
  const { access } = await directory('scim', 'staged');
  await applyAccounts(access, 'corp', [account('s1'), account('s2', { active: false })], BY);
  await putDirectoryGroups(access, 'corp', [{ subject: 'g1', externalId: '', name: 'crew', version: '1' }], BY);
  await changeMembers(access, 'corp', [{ subject: 'g1', change: { add: ['s1', 's2'], remove: [] } }], BY);
  expect(await users(access)).toEqual([]);
  await putDirectory(access, 'corp', { kind: 'scim', stage: 'active', settings: {} }, BY);
  expect(await placeAccounts(access, 'corp', BY)).toEqual([]);
  expect((await users(access)).map(({ name }) => name)).toEqual(['s1']);
  expect((await explainRights(access, 's1')).groups).toEqual([{ group: 'crew@corp', by: 'corp: crew' }]);
});

test('a removed account takes its memberships along, and the directory can go when nobody is left', async () => {
  const { access } = await directory();
  await applyAccounts(access, 'corp', [account('s1')], BY);
  await setAccountGroups(
    access,
    { directory: 'corp', subject: 's1' },
    [{ subject: 'g1', externalId: '', name: 'crew', version: '' }],
    BY,
  );
  await expect(removeDirectory(access, 'corp', BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  expect(await removeAccounts(access, 'corp', ['s1', 'unknown'], BY)).toMatchObject({ removed: 1 });
  const asks = { id: 'b1', directory: 'corp', userId: 'u', subject: 's9', login: 'x', email: '' } as const;
  await access.store.transaction(({ tables }) => tables.bindings.insert({ ...asks, state: 'waits', createdAt: 1 }));
  await removeDirectory(access, 'corp', BY);
  const left = await access.store.transaction(async ({ tables }) => [
    await tables.members.count(),
    await tables.identities.count(),
    await tables.accountGroups.count(),
    await tables.directoryGroups.count(),
    await tables.bindings.count(),
  ]);
  expect(left).toEqual([0, 0, 0, 0, 0]);
  expect((await userOf(access, 's1'))!.enabled).toBe(false);
});
