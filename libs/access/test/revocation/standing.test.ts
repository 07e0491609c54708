import { expect, test } from 'vitest';
import {
  type AccessContext,
  type Account,
  applyAccounts,
  change,
  changeMembers,
  disableUser,
  enableUser,
  findUser,
  issueFactor,
  NEVER,
  putDirectory,
  putDirectoryGroups,
  putGroup,
  putUser,
  removeAccounts,
  revoke,
  type UserRow,
} from '../../src/index.ts';
import { BY, directoryOf, scene } from '../scene.ts';

const ID = '0000000000000001';

async function directory(kind: 'ldap' | 'scim' = 'scim'): Promise<AccessContext> {
  const { access } = await scene();
  await putDirectory(access, 'corp', directoryOf(kind), BY);
  return access;
}

function account(subject: string, over: Partial<Account> = {}): Account {
  const named = { externalId: '', login: subject, displayName: subject };
  const rest = { active: true, expiresAt: NEVER, dn: '', version: '1', attributes: {} };
  return { subject, ...named, ...rest, ...over };
}

const apply = (access: AccessContext, ...accounts: Account[]) => applyAccounts(access, 'corp', accounts, BY);
const userOf = async (access: AccessContext, name: string): Promise<UserRow | undefined> =>
  (await findUser(access, name))?.user;

test('operator and directory each say for themselves who is out; in is whom nobody says to be out', async () => {
  const access = await directory();
  const out = account('ada', { active: false });
  const steps: readonly (readonly [string, () => Promise<unknown>, Partial<UserRow>])[] = [
    ['comes', () => apply(access, account('ada')), { enabled: true }],
    ['operator out', () => disableUser(access, 'ada', ID, BY), { enabled: false, outByOperator: true }],
    ['directory out', () => apply(access, out), { enabled: false, outByOperator: true, outByDirectory: true }],
    [
      'directory in',
      () => apply(access, account('ada')),
      { enabled: false, outByOperator: true, outByDirectory: false },
    ],
    ['operator in', () => enableUser(access, 'ada', BY), { enabled: true, outByOperator: false }],
    ['directory out again', () => apply(access, out), { enabled: false, outByDirectory: true }],
    [
      'operator out, too',
      () => disableUser(access, 'ada', `${ID}2`, BY),
      { outByOperator: true, outByDirectory: true },
    ],
    ['gone', () => removeAccounts(access, 'corp', ['ada'], BY), { enabled: false, outByDirectory: true }],
  ];
  for (const [words, step, wanted] of steps) {
    await step();
    expect(await userOf(access, 'ada'), words).toMatchObject(wanted);
  }
  await expect(enableUser(access, 'ada', BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
});

test.each(['removed', 'deactivated'])(
  'no operator lets in whose account was %s while the operator had them out',
  async (how) => {
    const access = await directory();
    await apply(access, account('ada'));
    await disableUser(access, 'ada', ID, BY);
    if (how === 'removed') await removeAccounts(access, 'corp', ['ada'], BY);
    else await apply(access, account('ada', { active: false }));
    await expect(enableUser(access, 'ada', BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
    expect(await userOf(access, 'ada')).toMatchObject({ enabled: false });
  },
);

test('a request id is good for one change of one user', async () => {
  const { access } = await scene();
  for (const name of ['ada', 'bob']) await putUser(access, name, {}, BY);
  const { index } = await disableUser(access, 'ada', ID, BY);
  expect(await disableUser(access, 'ada', ID, BY)).toMatchObject({ index });
  await expect(disableUser(access, 'bob', ID, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  const { id } = (await userOf(access, 'bob'))!;
  const app = { requestId: ID, kind: 'app', subject: 'a@1' } as const;
  await expect(revoke(access, app, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  await expect(revoke(access, { ...app, kind: 'user', subject: id }, BY)).rejects.toThrow();
  expect(await userOf(access, 'bob')).toMatchObject({ enabled: true });
});

test('a change that says nothing of itself is no change', async () => {
  const { access } = await scene();
  const silent = change(access, BY, async ({ tables }) => tables.groups.insert({ name: 'x', createdAt: 1 }));
  await expect(silent).rejects.toThrow(TypeError);
  expect(await access.store.transaction(({ tables }) => tables.groups.count())).toBe(0);
});

test.each([
  ['by login', account('s2', { login: 'ada', externalId: 'e2' }), 'ada'],
  ['by externalId, under another name', account('s2', { login: 'ada.king', externalId: 'e1' }), 'ada.king'],
])('who comes back %s is the same user, with nothing of before', async (_, again, name) => {
  const access = await directory('ldap');
  await apply(access, account('s1', { login: 'ada', externalId: 'e1' }));
  const { id } = (await userOf(access, 'ada'))!;
  await putGroup(access, 'admins', BY);
  await putUser(access, 'ada', { groups: ['admins'] }, BY);
  await issueFactor(access, 'ada', {}, BY);
  await putDirectoryGroups(access, 'corp', [{ subject: 'g', externalId: '', name: 'crew', version: '' }], BY);
  await changeMembers(access, 'corp', [{ subject: 'g', change: { add: ['s1'], remove: [] } }], BY);
  await removeAccounts(access, 'corp', ['s1'], BY);
  expect(await apply(access, again)).toMatchObject({ created: 1, conflicts: [] });
  expect(await findUser(access, name)).toMatchObject({ user: { id, enabled: true, pastAccount: '' }, groups: [] });
  const left = await access.store.transaction(({ tables }) => tables.factors.count());
  expect(left).toBe(0);
});

test('who comes back stays out when an operator says so, and nobody comes back as somebody else', async () => {
  const access = await directory();
  await putUser(access, 'root', {}, BY);
  await disableUser(access, 'root', ID, BY);
  await apply(access, account('s1', { login: 'ada' }), account('s2', { login: 'bob' }));
  await disableUser(access, 'ada', `${ID}2`, BY);
  await removeAccounts(access, 'corp', ['s1'], BY);
  // A local user, and one whose account is there, are nobody who comes back.
  const outcome = await apply(access, account('s3', { login: 'ada' }), account('s4', { login: 'root' }));
  expect(outcome.conflicts.map(({ subject }) => subject)).toEqual(['s4']);
  expect(await userOf(access, 'ada')).toMatchObject({ enabled: false, outByOperator: true, outByDirectory: false });
  await apply(access, account('s2', { login: 'bob', active: false }));
  expect((await apply(access, account('s5', { login: 'Bob' })).catch((error) => error)).code).toBe(
    'ERR_STORE_CONFLICT',
  );
});

test('names that are swapped or handed on between two looks at a directory follow their accounts', async () => {
  const access = await directory('ldap');
  await apply(access, account('s1', { login: 'a' }), account('s2', { login: 'b' }), account('s3', { login: 'c' }));
  const ids = Object.fromEntries(
    await Promise.all(['a', 'b', 'c'].map(async (name) => [name, (await userOf(access, name))!.id] as const)),
  );
  const swapped = await apply(
    access,
    account('s1', { login: 'b', version: '2' }),
    account('s2', { login: 'a', version: '2' }),
    account('s3', { login: 'd', version: '2' }),
    account('s4', { login: 'c' }),
  );
  expect(swapped).toMatchObject({ created: 1, conflicts: [] });
  const now = await Promise.all(['a', 'b', 'd'].map(async (name) => (await userOf(access, name))!.id));
  expect(now).toEqual([ids['b'], ids['a'], ids['c']]);
  expect((await userOf(access, 'c'))!.id).not.toBe(ids['c']);
});
