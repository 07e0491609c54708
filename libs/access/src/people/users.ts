import { type Change, change as changeRealm, repeated } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { randomId } from '../realm/ids.ts';
import { endUser } from '../revocation/revocation.ts';
import type { RevocationRow } from '../revocation/rows.ts';
import { standing } from '../revocation/standing.ts';
import { AccessError } from '../store/errors.ts';
import { missing } from '../store/missing.ts';
import { partsOf } from '../store/pages.ts';
import type { Transaction } from '../store/store.ts';
import { endSignIns } from './credentials.ts';
import { checkProvider, expectAccount } from './provider-users.ts';
import type { GroupRow, MemberRow, UserRow } from './rows.ts';

/** What may be said of a user; what is absent stays as it is. */
export interface UserChange {
  readonly displayName?: string;
  readonly password?: string;
  readonly groups?: readonly string[];
  /** The provider at which a new user signs in. */
  readonly directory?: string;
  /** What their account is called there. */
  readonly account?: string;
  /** Whether sessions go on after a new password. */
  readonly keepSessions?: boolean;
}

/** A user with the names of its groups. */
export interface UserWithGroups {
  readonly user: UserRow;
  readonly groups: readonly string[];
}

/**
 * Creates a user or changes one. Group changes reach open channels through the revocation log; a new password ends what
 * the old one opened, with the entry `ended` of the log, 0 for none.
 */
export async function putUser(
  access: AccessContext,
  name: string,
  change: UserChange,
  by: Actor,
): Promise<UserWithGroups & { readonly ended: number }> {
  const passwordHash = change.password === undefined ? undefined : await access.passwords.hash(change.password);
  return changeRealm(access, by, async (begun) => {
    const { users } = begun.tables;
    const before = await users.find({ name });
    if (change.directory !== undefined) await checkProvider(begun, { name, before, directory: change.directory });
    const { directory = '' } = change;
    const user = before ?? newUser(access, { name, displayName: name, directory, createdAt: begun.at });
    if (user.directory !== '' && passwordHash !== undefined) {
      throw new AccessError('ERR_ACCESS_INVALID', `${name} signs in at ${user.directory}: there is no password here`);
    }
    if (!before) await users.insert(user);
    if (!before && change.account !== undefined) await expectAccount(begun, user, change.account);
    const changed = {
      ...(change.displayName === undefined ? {} : { displayName: change.displayName }),
      ...(passwordHash === undefined ? {} : { passwordHash }),
    };
    if (Object.keys(changed).length > 0) await users.update({ where: { id: user.id } }, changed);
    if (before && passwordHash !== undefined) await endSignIns(begun, user, change);
    const ended = begun.index;
    if (change.groups) await setGroups(begun, user.id, change.groups);
    begun.audit(before ? 'user.change' : 'user.create', name);
    return { user: { ...user, ...changed }, groups: await groupsOf(begun, user.id), ended };
  });
}

/** A user whom nobody disabled and who has no password here; `directory` is empty for a local one. */
export function newUser(
  { crypto }: AccessContext,
  user: Pick<UserRow, 'name' | 'displayName' | 'directory' | 'createdAt'>,
): UserRow {
  const into = standing({ outByOperator: false, outByDirectory: false });
  return { ...user, ...into, id: randomId(crypto), passwordHash: null, pastAccount: '' };
}

async function setGroups(begun: Change, userId: string, wanted: readonly string[]): Promise<void> {
  const { groups, members } = begun.tables;
  const local = { userId, source: '' };
  const before = (await members.list({ where: local })).map(({ groupName }) => groupName).sort();
  const after = [...new Set(wanted)].sort();
  if (before.join('\0') === after.join('\0')) return;
  for (const name of after) {
    if (!(await groups.find({ name }))) throw missing('group', name);
  }
  await members.remove({ where: local });
  await members.insertEach(after.map((groupName) => ({ groupName, ...local })));
  await begun.enter({ kind: 'rights', subject: userId });
}

/** Names of a user's groups, sorted. */
export async function groupsOf(transaction: Transaction, userId: string): Promise<readonly string[]> {
  return (await groupsOfAll(transaction, [userId])).get(userId) ?? [];
}

/** Names of the groups of several users, sorted; by user id. */
export async function groupsOfAll(
  { tables }: Transaction,
  userIds: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const groups = groupsBy(await tables.members.list({ among: ['userId', [...new Set(userIds)]] }));
  // A database may order texts in its own way.
  return new Map([...groups].map(([userId, names]) => [userId, [...names].sort()]));
}

/** Groups by user id. A user may be in a group by several sources. */
function groupsBy(members: readonly MemberRow[]): ReadonlyMap<string, ReadonlySet<string>> {
  const groups = new Map<string, Set<string>>();
  for (const { userId, groupName } of members) groups.set(userId, (groups.get(userId) ?? new Set()).add(groupName));
  return groups;
}

/** Names of users by their ids; only of those that are asked for, since there may be very many others. */
export async function namesOf({ tables }: Transaction, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  for (const part of partsOf([...new Set(ids)]))
    for (const { id, name } of await tables.users.list({ among: ['id', part] })) names.set(id, name);
  return names;
}

/** A user by name, undefined when there is none. */
export async function findUser(access: AccessContext, name: string): Promise<UserWithGroups | undefined> {
  return access.store.transaction(async (transaction) => {
    const user = await transaction.tables.users.find({ name });
    return user && { user, groups: await groupsOf(transaction, user.id) };
  });
}

/** A page of users with their groups, in the order of their ids; `after` is the last id of the page before. */
export async function listUsers(
  access: AccessContext,
  { after = '', limit }: { readonly after?: string | undefined; readonly limit: number },
): Promise<UserWithGroups[]> {
  return access.store.transaction(async (transaction) => {
    const users = await transaction.tables.users.list({ above: ['id', after], limit });
    const groups = await groupsOfAll(
      transaction,
      users.map(({ id }) => id),
    );
    return users.map((user) => ({ user, groups: groups.get(user.id) ?? [] }));
  });
}

/**
 * Disables a user: sessions, installations and codes end in one transaction with the log entry, whose index it gives.
 * Enabling again revives none of them. The same id gives the same entry.
 * @throws AccessError ERR_ACCESS_CONFLICT when the id stands for another change or another user
 */
export async function disableUser(
  access: AccessContext,
  name: string,
  requestId: string,
  by: Actor,
): Promise<Pick<RevocationRow, 'index' | 'subject'>> {
  return changeRealm(access, by, async (change) => {
    const user = await getUser(change, name);
    const revocation = { requestId, kind: 'user', subject: user.id } as const;
    const before = await repeated(change, revocation);
    if (before) {
      change.unchanged();
      return before;
    }
    const row = await change.enterOut({ subject: user.id, requestId });
    await endUser(change, { subject: user.id, at: change.at, reason: by.reason });
    change.audit('user.disable', name);
    return row;
  });
}

/**
 * Lets a disabled user in again, with a new enrolment.
 * @throws AccessError ERR_ACCESS_INVALID while their directory says that they are out
 */
export async function enableUser(access: AccessContext, name: string, by: Actor): Promise<void> {
  await changeRealm(access, by, async (change) => {
    const { identities, users } = change.tables;
    const user = await getUser(change, name);
    const where = { directory: user.directory, userId: user.id };
    const account = user.directory === '' ? undefined : await identities.find(where);
    if (user.outByDirectory || (account && !(account.active && account.expiresAt > change.at)))
      throw new AccessError(
        'ERR_ACCESS_INVALID',
        `${user.directory} says that ${name} is out: enable the account there`,
      );
    await users.update({ where: { id: user.id } }, standing({ outByOperator: false, outByDirectory: false }));
    change.audit('user.enable', name);
  });
}

async function getUser(transaction: Transaction, name: string): Promise<UserRow> {
  const user = await transaction.tables.users.find({ name });
  if (!user) throw missing('user', name);
  return user;
}

/**
 * Checks a password; the slow hash runs outside of any transaction, and for an unknown user too, so that time does not
 * tell whether a name exists.
 */
export async function verifyPassword(
  access: AccessContext,
  user: UserRow | undefined,
  password: string,
): Promise<boolean> {
  const hash = user?.passwordHash ?? (await decoyHash(access));
  const fits = password.length > 0 && (await access.passwords.verify(hash, password));
  return fits && user?.passwordHash != null && user.enabled;
}

const decoys = new WeakMap<object, Promise<string>>();

function decoyHash(access: AccessContext): Promise<string> {
  const known = decoys.get(access.passwords) ?? access.passwords.hash(randomId(access.crypto));
  decoys.set(access.passwords, known);
  return known;
}

/** Creates a group; one that exists stays. */
export async function putGroup(access: AccessContext, name: string, by: Actor): Promise<void> {
  await changeRealm(access, by, async (change) => {
    const { groups } = change.tables;
    if (await groups.find({ name })) return change.unchanged();
    await groups.insert({ name, createdAt: change.at });
    change.audit('group.create', name);
  });
}

/** A group, how many are in it, and the names of the first of them. */
export interface GroupWithMembers {
  readonly group: GroupRow;
  readonly count: number;
  readonly members: readonly string[];
}

/** Members whose names are listed. */
const NAMED_MEMBERS = 100;

/** A page of groups by name with how many are in them; `after` is the last name of the page before. */
export async function listGroups(
  access: AccessContext,
  { after = '', limit }: { readonly after?: string | undefined; readonly limit: number },
): Promise<GroupWithMembers[]> {
  return access.store.transaction(async (transaction) => {
    const { groups, members } = transaction.tables;
    const listed: GroupWithMembers[] = [];
    for (const group of await groups.list({ above: ['name', after], limit })) {
      const where = { groupName: group.name };
      const rows = await members.list({ where, limit: NAMED_MEMBERS });
      const ids = new Set(rows.map(({ userId }) => userId));
      const names = await namesOf(transaction, [...ids]);
      const count = rows.length < NAMED_MEMBERS ? ids.size : await members.count({ where });
      listed.push({ group, count, members: [...names.values()].sort() });
    }
    return listed;
  });
}
