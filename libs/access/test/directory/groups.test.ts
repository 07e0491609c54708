import { expect, test } from 'vitest';
import {
  applyAccounts,
  changeMembers,
  explainRights,
  mapDirectoryGroup,
  putDirectory,
  putDirectoryGroups,
  putGroup,
  putUser,
} from '../../src/index.ts';
import { account, directory } from '../corp.ts';
import { BY, directoryOf } from '../scene.ts';

test('groups of a directory are its own, until an operator maps one; members move with it', async () => {
  const { access } = await directory();
  await putGroup(access, 'staff', BY);
  await putUser(access, 'eve', { groups: ['staff'] }, BY);
  await applyAccounts(access, 'corp', [account('s1')], BY);
  await putDirectoryGroups(access, 'corp', [{ subject: 'g1', externalId: '', name: 'Staff', version: '1' }], BY);
  await changeMembers(access, 'corp', [{ subject: 'g1', change: { add: ['s1', 'nobody'], remove: [] } }], BY);
  const groupsOf = async (name: string) => (await explainRights(access, name)).groups;
  expect(await groupsOf('s1')).toEqual([{ group: 'staff@corp', by: 'corp: Staff' }]);
  await mapDirectoryGroup(access, { directory: 'corp', subject: 'g1', groupName: 'staff' }, BY);
  expect(await groupsOf('s1')).toEqual([{ group: 'staff', by: 'corp: Staff' }]);
  await changeMembers(access, 'corp', [{ subject: 'g1', change: { add: [], remove: ['s1'] } }], BY);
  expect(await groupsOf('s1')).toEqual([]);
  // What an operator gave is no matter of the directory.
  expect(await groupsOf('eve')).toEqual([{ group: 'staff', by: 'an operator' }]);
  // Other settings leave the mapping alone, so that the group stands for the same when it comes back.
  const { settings: before } = directoryOf('ldap');
  const changed = { ...directoryOf('ldap'), settings: { ...before, suffix: '-x' } };
  const { settings } = await putDirectory(access, 'corp', changed, BY);
  expect(settings).toEqual({ ...before, suffix: '-x', groups: { g1: 'staff' } });
  const unknown = { directory: 'corp', subject: 'g1', groupName: 'nowhere' };
  await expect(mapDirectoryGroup(access, unknown, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_NOT_FOUND' });
});
