import { encodeText, formatHex } from '@sallyport/channel';
import { appendAudit } from '../audit.ts';
import type { AccessContext, Actor } from '../context.ts';
import { AccessError } from '../errors.ts';
import { getRealm } from '../realm.ts';
import type { Transaction } from '../store.ts';
import type { DirectoryGroupRow, DirectoryRow } from '../tables.ts';
import { type AccountAuthor, beginChange, namesOfGroups } from './accounts.ts';
import { getDirectory, sourceOf } from './directories.ts';
import { tellRights } from './effects.ts';
import { nameFrom } from './names.ts';

/** A group as its directory has it now. */
export interface SourceGroup {
  readonly subject: string;
  readonly externalId: string;
  readonly name: string;
  readonly version: string;
}

/** Groups that an operator has mapped to groups of the realm, by subject. */
function mappingOf({ settings }: DirectoryRow): Readonly<Record<string, string>> {
  return (settings as { groups?: Record<string, string> }).groups ?? {};
}

/**
 * Takes over groups of a directory. Each stands for a group of the realm of its own, `name@directory`, unless an operator
 * mapped it: a directory can never put anybody into a group that it was not given.
 */
export async function putDirectoryGroups(
  access: AccessContext,
  directory: string,
  groups: readonly SourceGroup[],
  by: AccountAuthor,
): Promise<void> {
  await access.store.transaction(async (transaction) => {
    await beginChange(transaction, by);
    for (const group of groups) await putDirectoryGroup(access, transaction, { directory, group, by });
  });
}

/** Takes over one group in the caller's transaction; gives its row. */
export async function putDirectoryGroup(
  access: AccessContext,
  transaction: Transaction,
  { directory, group, by }: { directory: string; group: SourceGroup; by: Actor },
): Promise<DirectoryGroupRow> {
  const { subject } = group;
  const { directoryGroups } = transaction.tables;
  const at = transaction.now();
  const before = await directoryGroups.find({ directory, subject });
  if (before) {
    const change = { ...group, changedAt: at };
    await directoryGroups.update({ where: { directory, subject } }, change);
    return { ...before, ...change };
  }
  const mapped = mappingOf(await getDirectory(transaction, directory))[subject];
  const groupName = mapped ?? (await ownGroup(access, transaction, { directory, group, by }));
  const row = { directory, ...group, groupName, createdAt: at, changedAt: at };
  await directoryGroups.insert(row);
  return row;
}

/** Makes the group of the realm that a group of a directory stands for. One of the same name before it is not it. */
async function ownGroup(
  access: AccessContext,
  transaction: Transaction,
  { directory, group, by }: { directory: string; group: SourceGroup; by: Actor },
): Promise<string> {
  const { groups } = transaction.tables;
  const plain = nameFrom(access.crypto, group.name, `@${directory}`);
  const hash = formatHex(access.crypto.sha256(encodeText(group.subject))).slice(0, 8);
  const told = nameFrom(access.crypto, `${group.name.slice(0, 32)}-${hash}`, `@${directory}`);
  const name = (await groups.find({ name: plain })) ? told : plain;
  const at = transaction.now();
  if (await groups.find({ name })) return name;
  await groups.insert({ name, createdAt: at });
  const { actor, reason } = by;
  await appendAudit(transaction, access.crypto, {
    actor,
    reason,
    action: 'group.create',
    subject: name,
    outcome: 'done',
    at,
  });
  return name;
}

/** A change of which accounts are in a group, by their subjects. */
export interface MembershipChange {
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

/** Puts accounts into a group of their directory and takes others out; gives the last log entry's index, 0 for none. */
export async function changeMembers(
  access: AccessContext,
  group: { readonly directory: string; readonly subject: string },
  change: MembershipChange,
  by: AccountAuthor,
): Promise<number> {
  return access.store.transaction((transaction) => changeMembersIn(access, transaction, { group, change, by }));
}

/** Changes the members of several groups of a directory in one transaction; keep it to some hundred members. */
export async function changeMembersOfMany(
  access: AccessContext,
  directory: string,
  changes: readonly { readonly subject: string; readonly change: MembershipChange }[],
  by: AccountAuthor,
): Promise<number> {
  return access.store.transaction(async (transaction) => {
    let index = 0;
    for (const { subject, change } of changes) {
      const of = { group: { directory, subject }, change, by };
      index = Math.max(index, await changeMembersIn(access, transaction, of));
    }
    return index;
  });
}

/** `changeMembers` inside of the caller's transaction. */
export async function changeMembersIn(
  access: AccessContext,
  transaction: Transaction,
  of: { group: { directory: string; subject: string }; change: MembershipChange; by: AccountAuthor },
): Promise<number> {
  const { group, change, by } = of;
  const { directory, subject: groupSubject } = group;
  await beginChange(transaction, by);
  const { directoryGroups, accountGroups, members } = transaction.tables;
  const row = await directoryGroups.find({ directory, subject: groupSubject });
  if (!row) throw new AccessError('ERR_ACCESS_NOT_FOUND', `no such group in ${directory}`);
  const where = { directory, groupSubject };
  const subjects = [...new Set([...change.add, ...change.remove])];
  const present = new Set(
    (await accountGroups.list({ where, among: ['subject', subjects] })).map(({ subject }) => subject),
  );
  const added = [...new Set(change.add)].filter((subject) => !present.has(subject));
  const left = [...new Set(change.remove)].filter((subject) => present.has(subject));
  await accountGroups.insertEach(added.map((subject) => ({ ...where, subject })));
  await accountGroups.remove({ where, among: ['subject', left] });
  const users = await usersOf(transaction, directory, subjects);
  const member = { groupName: row.groupName, source: sourceOf(directory, groupSubject) };
  const joining = added.flatMap((subject) => users.get(subject) ?? []);
  const leaving = left.flatMap((subject) => users.get(subject) ?? []);
  await members.insertEach(joining.map((userId) => ({ ...member, userId })));
  await members.remove({ where: member, among: ['userId', leaving] });
  const index = await tellRights(access, transaction, [...joining, ...leaving], by);
  await auditMembers(access, transaction, { groupName: row.groupName, added: added.length, left: leaving, by });
  return index;
}

/** Users by the subjects of their accounts. */
async function usersOf(
  { tables }: Transaction,
  directory: string,
  subjects: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const rows = await tables.identities.list({ where: { directory }, among: ['subject', subjects] });
  return new Map(rows.filter(({ userId }) => userId !== '').map(({ subject, userId }) => [subject, userId]));
}

/** Who left is named one by one, up to so many. */
const NAMED_LEAVERS = 100;

async function auditMembers(
  access: AccessContext,
  transaction: Transaction,
  of: { groupName: string; added: number; left: readonly string[]; by: Actor },
): Promise<void> {
  const { groupName, added, left, by } = of;
  const at = transaction.now();
  const event = { actor: by.actor, reason: by.reason, outcome: 'done', at } as const;
  const note = (action: string, subject: string): Promise<void> =>
    appendAudit(transaction, access.crypto, { ...event, action, subject });
  if (added > 0) await note('group.add', `${added} users into ${groupName}`);
  if (left.length > NAMED_LEAVERS) return note('group.remove', `${left.length} users from ${groupName}`);
  for (const user of await transaction.tables.users.list({ among: ['id', left] }))
    await note('group.remove', `${user.name} from ${groupName}`);
}

/** Forgets groups that their directory does not have any more, and who was in them by it. */
export async function removeDirectoryGroups(
  access: AccessContext,
  directory: string,
  subjects: readonly string[],
  by: AccountAuthor,
): Promise<number> {
  let index = 0;
  for (const subject of subjects) {
    const entry = await access.store.transaction(async (transaction) => {
      await beginChange(transaction, by);
      const { directoryGroups, accountGroups, members } = transaction.tables;
      const row = await directoryGroups.find({ directory, subject });
      if (!row) return 0;
      const where = { source: sourceOf(directory, subject) };
      const left = (await members.list({ where })).map(({ userId }) => userId);
      await members.remove({ where });
      await accountGroups.remove({ where: { directory, groupSubject: subject } });
      await directoryGroups.remove({ where: { directory, subject } });
      const at = await tellRights(access, transaction, left, by);
      await auditMembers(access, transaction, { groupName: row.groupName, added: 0, left, by });
      return at;
    });
    index = Math.max(index, entry);
  }
  return index;
}

/** Lets a group of a directory stand for a group of the realm; members move with it. */
export async function mapDirectoryGroup(
  access: AccessContext,
  map: { readonly directory: string; readonly subject: string; readonly groupName: string },
  by: Actor,
): Promise<void> {
  const { directory, subject, groupName } = map;
  await access.store.transaction(async (transaction) => {
    await getRealm(transaction, 'update');
    const { directories, directoryGroups, groups, members } = transaction.tables;
    const row = await getDirectory(transaction, directory, 'update');
    if (!(await groups.find({ name: groupName })))
      throw new AccessError('ERR_ACCESS_NOT_FOUND', `no group ${groupName}`);
    if (!(await directoryGroups.find({ directory, subject })))
      throw new AccessError('ERR_ACCESS_NOT_FOUND', `${directory} has no group ${subject}`);
    const settings = { ...(row.settings as object), groups: { ...mappingOf(row), [subject]: groupName } };
    await directories.update({ where: { name: directory } }, { settings });
    const source = sourceOf(directory, subject);
    const moved = (await members.list({ where: { source } })).map(({ userId }) => userId);
    await members.update({ where: { source } }, { groupName });
    await directoryGroups.update({ where: { directory, subject } }, { groupName });
    await tellRights(access, transaction, moved, by);
    const event = {
      action: 'directory.map',
      subject: `${directory}/${subject} to ${groupName}`,
      outcome: 'done',
    } as const;
    await appendAudit(transaction, access.crypto, { ...by, ...event, at: transaction.now() });
  });
}

/** Subjects of the accounts that are in a group. */
export async function membersOf({ tables }: Transaction, directory: string, groupSubject: string): Promise<string[]> {
  return (await tables.accountGroups.list({ where: { directory, groupSubject } })).map(({ subject }) => subject);
}

/**
 * Sets the groups of one account, as a sign-in brings them; groups that were never seen are made.
 * Gives the index of the last log entry, 0 for none.
 */
export async function setAccountGroups(
  access: AccessContext,
  account: { readonly directory: string; readonly subject: string },
  named: readonly SourceGroup[],
  by: Actor,
): Promise<number> {
  return access.store.transaction(async (transaction) => {
    await getRealm(transaction, 'update');
    const { directory, subject } = account;
    const { accountGroups, members } = transaction.tables;
    const before = new Set((await accountGroups.list({ where: account })).map(({ groupSubject }) => groupSubject));
    const wanted = new Set(named.map((group) => group.subject));
    const joined = named.filter((group) => !before.has(group.subject));
    const left = [...before].filter((groupSubject) => !wanted.has(groupSubject));
    if (joined.length + left.length === 0) return 0;
    const names = await groupNames(access, transaction, { directory, groups: joined, by });
    await accountGroups.insertEach(joined.map((group) => ({ ...account, groupSubject: group.subject })));
    await accountGroups.remove({ where: account, among: ['groupSubject', left] });
    const userId = (await usersOf(transaction, directory, [subject])).get(subject);
    if (userId === undefined) return 0;
    const rows = joined.map((group) => ({
      groupName: names.get(group.subject)!,
      userId,
      source: sourceOf(directory, group.subject),
    }));
    await members.insertEach(rows);
    await members.remove({ where: { userId }, among: ['source', left.map((gone) => sourceOf(directory, gone))] });
    const index = await tellRights(access, transaction, [userId], by);
    const event = { action: 'user.groups', subject: `${by.actor}: ${joined.length} more, ${left.length} less` };
    await appendAudit(transaction, access.crypto, { ...by, ...event, outcome: 'done', at: transaction.now() });
    return index;
  });
}

/** Groups of the realm by the subjects of a directory's groups; those that are new are made. */
async function groupNames(
  access: AccessContext,
  transaction: Transaction,
  { directory, groups, by }: { directory: string; groups: readonly SourceGroup[]; by: Actor },
): Promise<ReadonlyMap<string, string>> {
  const subjects = groups.map(({ subject }) => subject);
  const names = await namesOfGroups(transaction.tables, directory, subjects);
  for (const group of groups) {
    if (names.has(group.subject)) continue;
    names.set(group.subject, (await putDirectoryGroup(access, transaction, { directory, group, by })).groupName);
  }
  return names;
}
