import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nameFrom } from '../src/directory/names.ts';
import {
  type AccessContext,
  type Account,
  applyAccounts,
  bindIdentity,
  changeMembers,
  claimSync,
  endSync,
  explainRights,
  findDirectoryByToken,
  issueDirectoryToken,
  keepClaim,
  mapDirectoryGroup,
  NEVER,
  placeAccounts,
  putDirectory,
  putDirectoryGroups,
  putGroup,
  putPolicy,
  putResource,
  putUser,
  removeAccounts,
  removeDirectory,
  secretsOf,
  setAccountGroups,
} from '../src/index.ts';
import type { Json } from '../src/store/shape.ts';
import { BY, scene } from './scene.ts';

const account = (subject: string, over: Partial<Account> = {}): Account => ({
  subject,
  externalId: '',
  login: subject,
  displayName: subject,
  active: true,
  expiresAt: NEVER,
  dn: '',
  version: '1',
  attributes: {},
  ...over,
});

async function directory(kind: 'ldap' | 'scim' | 'oidc' = 'ldap', stage: 'staged' | 'active' = 'active') {
  const made = await scene();
  await putDirectory(made.access, 'corp', { kind, stage, settings: {}, secrets: { bindPassword: 'canary' } }, BY);
  return made;
}

const users = (access: AccessContext) => access.store.transaction(({ tables }) => tables.users.list());
const userOf = async (access: AccessContext, name: string) => (await users(access)).find((user) => user.name === name);

test('secrets of a directory are wrapped in its row, and stay when they are not given again', async () => {
  const { access } = await directory();
  const row = await putDirectory(access, 'corp', { kind: 'ldap', stage: 'active', settings: { a: 1 } }, BY);
  expect(Buffer.from(row.secret!).includes('canary')).toBe(false);
  expect(secretsOf(access, row)).toEqual({ bindPassword: 'canary' });
  const other = { ...row, name: 'other' };
  expect(() => secretsOf(access, other)).toThrow(expect.objectContaining({ code: 'ERR_ACCESS_UNWRAP' }));
  await expect(putDirectory(access, 'corp', { kind: 'scim', stage: 'active', settings: {} }, BY)).rejects.toMatchObject(
    { code: 'ERR_ACCESS_CONFLICT' },
  );
});

test('a stored secret goes nowhere but where it was given for', async () => {
  const { access } = await scene();
  const put = (settings: Json, secrets?: Readonly<Record<string, string>>) =>
    putDirectory(access, 'corp', { kind: 'ldap', stage: 'active', settings, ...(secrets ? { secrets } : {}) }, BY);
  const corp = { servers: ['ldaps://corp'], ca: 'A', base: 'dc=corp' };
  await put(corp, { bindPassword: 'canary' });
  for (const elsewhere of [
    { ...corp, servers: ['ldaps://corp', 'ldaps://evil'] },
    { ...corp, servers: ['ldaps://evil'] },
    { ...corp, ca: 'B' },
    { servers: corp.servers, base: corp.base },
  ])
    await expect(put(elsewhere), JSON.stringify(elsewhere)).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
  expect(secretsOf(access, await put({ ...corp, base: 'dc=other' }))).toEqual({ bindPassword: 'canary' });
  const moved = await put({ ...corp, servers: ['ldaps://new'] }, { bindPassword: 'new' });
  expect(secretsOf(access, moved)).toEqual({ bindPassword: 'new' });
});

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

test('groups of a directory are its own, until an operator maps one; members move with it', async () => {
  const { access } = await directory();
  await putGroup(access, 'staff', BY);
  await putUser(access, 'eve', { groups: ['staff'] }, BY);
  await applyAccounts(access, 'corp', [account('s1')], BY);
  await putDirectoryGroups(access, 'corp', [{ subject: 'g1', externalId: '', name: 'Staff', version: '1' }], BY);
  await changeMembers(access, { directory: 'corp', subject: 'g1' }, { add: ['s1', 'nobody'], remove: [] }, BY);
  const groupsOf = async (name: string) => (await explainRights(access, name)).groups;
  expect(await groupsOf('s1')).toEqual([{ group: 'staff@corp', by: 'corp: Staff' }]);
  await mapDirectoryGroup(access, { directory: 'corp', subject: 'g1', groupName: 'staff' }, BY);
  expect(await groupsOf('s1')).toEqual([{ group: 'staff', by: 'corp: Staff' }]);
  await changeMembers(access, { directory: 'corp', subject: 'g1' }, { add: [], remove: ['s1'] }, BY);
  expect(await groupsOf('s1')).toEqual([]);
  // What an operator gave is no matter of the directory.
  expect(await groupsOf('eve')).toEqual([{ group: 'staff', by: 'an operator' }]);
  // Other settings leave the mapping alone, so that the group stands for the same when it comes back.
  const { settings } = await putDirectory(
    access,
    'corp',
    { kind: 'ldap', stage: 'active', settings: { suffix: '-x' } },
    BY,
  );
  expect(settings).toEqual({ suffix: '-x', groups: { g1: 'staff' } });
  const unknown = { directory: 'corp', subject: 'g1', groupName: 'nowhere' };
  await expect(mapDirectoryGroup(access, unknown, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_NOT_FOUND' });
});

test('staged accounts are nobody, with groups; activated they are somebody in them', async () => {
  const { access } = await directory('scim', 'staged');
  await applyAccounts(access, 'corp', [account('s1'), account('s2', { active: false })], BY);
  await putDirectoryGroups(access, 'corp', [{ subject: 'g1', externalId: '', name: 'crew', version: '1' }], BY);
  await changeMembers(access, { directory: 'corp', subject: 'g1' }, { add: ['s1', 's2'], remove: [] }, BY);
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

test('an account is bound to one user of its directory, and a user to one account', async () => {
  const { access } = await directory('oidc');
  await putUser(access, 'ada', {}, BY);
  await putUser(access, 'bob', {}, BY);
  const bind = async (subject: string, name: string): Promise<boolean> => {
    const user = (await userOf(access, name))!;
    return access.store.transaction((transaction) =>
      bindIdentity(access, transaction, { directory: 'corp', subject, login: name, user }),
    );
  };
  expect(await bind('s1', 'ada')).toBe(true);
  expect(await bind('s1', 'ada')).toBe(true);
  expect(await bind('s1', 'bob')).toBe(false);
  expect(await bind('s2', 'ada')).toBe(false);
});

test('one node syncs at a time; another takes over only the run that it saw stand still', async () => {
  const { access } = await directory();
  const first = (await claimSync(access, 'corp', { node: 'a' }))!;
  expect(await claimSync(access, 'corp', { node: 'b' })).toBeUndefined();
  const seen = await access.store.transaction(({ tables }) => tables.directories.find({ name: 'corp' }));
  await access.store.transaction((transaction) => keepClaim(transaction, first));
  const over = { runId: seen!.runId!, beat: seen!.runBeat };
  expect(await claimSync(access, 'corp', { node: 'b', over })).toBeUndefined();
  const second = (await claimSync(access, 'corp', { node: 'b', over: { ...over, beat: over.beat + 1 } }))!;
  // The one that was thought dead writes nothing any more.
  const late = applyAccounts(access, 'corp', [account('s1')], { ...BY, run: first });
  await expect(late).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  expect(await users(access)).toEqual([]);
  await endSync(access, second, { report: 'done' });
  expect(await claimSync(access, 'corp', { node: 'a' })).toBeDefined();
});

test('tokens end with their time, after a rotation, or at once', async () => {
  const { access, clock } = await directory('scim');
  const issue = (endOthers: boolean) => issueDirectoryToken(access, 'corp', { ttlMs: 30 * 86_400_000, endOthers }, BY);
  const good = async ({ token }: { token: string }) => (await findDirectoryByToken(access, token)) !== undefined;
  const first = await issue(false);
  const second = await issue(false);
  expect([await good(first), await good(second)]).toEqual([true, true]);
  clock.now += 8 * 86_400_000;
  expect([await good(first), await good(second)]).toEqual([false, true]);
  const third = await issue(true);
  expect([await good(second), await good(third)]).toEqual([false, true]);
  clock.now += 31 * 86_400_000;
  expect(await good(third)).toBe(false);
});

test('rights say which policy and group open a resource, or which would', async () => {
  const { access } = await scene();
  for (const name of ['staff', 'hr']) await putGroup(access, name, BY);
  const backend = { url: 'http://10.0.0.1', networks: ['10.0.0.0/8'] };
  for (const name of ['wiki', 'pay', 'lost'])
    await putResource(access, name, { kind: 'http', authority: `${name}.corp`, backend }, BY);
  await putPolicy(
    access,
    'wiki-for-all',
    { groups: ['staff', 'hr'], resources: ['wiki'], context: {}, paths: ['/pages/'] },
    BY,
  );
  await putPolicy(access, 'pay-for-hr', { groups: ['hr'], resources: ['pay'], context: {} }, BY);
  await putUser(access, 'ada', { groups: ['staff'] }, BY);
  const { resources } = await explainRights(access, 'ada');
  expect(Object.fromEntries(resources.map(({ resource, allowed, words }) => [resource, [allowed, words]]))).toEqual({
    wiki: [true, 'wiki-for-all opens it for staff'],
    pay: [false, 'pay-for-hr would, for hr'],
    lost: [false, 'no policy opens it for anybody'],
  });
  expect(resources.find(({ resource }) => resource === 'wiki')!.policies[0]!.only).toBe('paths /pages/');
});

test('whatever a directory calls somebody becomes a name of the realm, the same each time', async () => {
  const { access } = await scene();
  const pattern = /^[a-z0-9]([a-z0-9._@-]{0,62}[a-z0-9])?$/;
  expect(nameFrom(access.crypto, 'Ada.Lovelace')).toBe('ada.lovelace');
  expect(nameFrom(access.crypto, 'Åsa Öberg')).toBe('asa-oberg');
  expect(nameFrom(access.crypto, 'Field Staff', '@corp')).toBe('field-staff@corp');
  expect(nameFrom(access.crypto, 'юлия')).toMatch(/^x-[0-9a-f]{8}$/);
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 300 }), (text) => {
      const name = nameFrom(access.crypto, text, '@corp');
      expect(name).toMatch(pattern);
      expect(nameFrom(access.crypto, text, '@corp')).toBe(name);
    }),
    { verbose: 1, numRuns: 2_000 },
  );
});
