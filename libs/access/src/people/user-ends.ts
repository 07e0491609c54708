import { type Change, change as changeRealm } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { endUser } from '../revocation/revocation.ts';
import { AccessError } from '../store/errors.ts';
import { missing } from '../store/missing.ts';
import type { UserRow } from './rows.ts';
import { groupsOf, type UserWithGroups } from './users.ts';

/**
 * Removes a user: everything of theirs ends with a log entry, whose index it gives, and the name is free again. Their
 * sessions and installations stay for the record, ended.
 * @throws AccessError ERR_ACCESS_INVALID while a directory says that they are in: it would make them anew
 */
export async function removeUser(access: AccessContext, name: string, requestId: string, by: Actor): Promise<number> {
  return changeRealm(access, by, async (change) => {
    const { users, identities, members, factors, revocations } = change.tables;
    const user = await users.find({ name });
    const before = await revocations.find({ requestId });
    if (before && (user ? before.subject !== user.id : before.kind !== 'user'))
      throw new AccessError('ERR_ACCESS_CONFLICT', 'this request id stands for another change');
    if (!user && before) {
      change.unchanged();
      return before.index;
    }
    if (!user) throw missing('user', name);
    const { pushed, active } = await accountOf(change, user);
    if (pushed && active)
      throw new AccessError('ERR_ACCESS_INVALID', `${user.directory} has ${name}: remove the account there first`);
    const { index } = before ?? (await change.enterOut({ subject: user.id, requestId }));
    await endUser(change, { subject: user.id, at: change.at, reason: by.reason });
    await members.remove({ where: { userId: user.id } });
    await factors.remove({ where: { userId: user.id } });
    await change.tables.bindings.remove({ where: { userId: user.id } });
    // An account that a directory pushes stays known to it, and stands for nobody.
    if (pushed) await identities.update({ where: { userId: user.id } }, { userId: '' });
    else await identities.remove({ where: { userId: user.id } });
    await users.remove({ where: { id: user.id } });
    change.audit('user.remove', name);
    return index;
  });
}

/**
 * Gives a user another name; everything of theirs goes on, and backends hear the new name.
 * @throws AccessError ERR_ACCESS_INVALID when the name comes from a directory, ERR_ACCESS_CONFLICT when it is taken
 */
export async function renameUser(access: AccessContext, name: string, to: string, by: Actor): Promise<UserWithGroups> {
  return changeRealm(access, by, async (change) => {
    const { users } = change.tables;
    const user = await users.find({ name });
    if (!user) throw missing('user', name);
    if ((await accountOf(change, user)).pushed)
      throw new AccessError('ERR_ACCESS_INVALID', `the name comes from ${user.directory}: change it there`);
    if (await users.find({ name: to })) throw new AccessError('ERR_ACCESS_CONFLICT', `there is a user ${to} already`);
    await users.update({ where: { id: user.id } }, { name: to });
    await change.rereadRights([user.id]);
    change.audit('user.rename', `${name} is ${to}`);
    return { user: { ...user, name: to }, groups: await groupsOf(change, user.id) };
  });
}

/** Whether a directory makes and names the user itself, and has an active account of theirs. */
async function accountOf(
  { tables }: Change,
  { id, directory: name }: UserRow,
): Promise<{ readonly pushed: boolean; readonly active: boolean }> {
  const directory = name === '' ? undefined : await tables.directories.find({ name });
  const account = directory && (await tables.identities.find({ directory: name, userId: id }));
  const pushed = directory !== undefined && directory.kind !== 'oidc';
  return { pushed, active: account?.active === true };
}
