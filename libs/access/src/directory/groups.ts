import { encodeText, formatHex } from '@sallyport/channel';
import { type Change, change as changeRealm } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { AccessError } from '../store/errors.ts';
import { missing } from '../store/missing.ts';
import type { Transaction } from '../store/store.ts';
import { type AccountAuthor, changeAccounts, namesOfGroups } from './accounts.ts';
import { readDirectory, sourceOf, withGroups } from './directories.ts';
import { nameFrom } from './names.ts';
import type { DirectoryGroupRow, DirectoryRow } from './rows.ts';

/** A group as its directory has it now. */
export interface SourceGroup {
  readonly subject: string;
  readonly externalId: string;
  readonly name: string;
  /** What no other group of the directory may be called, if it is so there (SCIM). */
  readonly onlyName?: string | null;
  readonly version: string;
}

/** Groups that an operator has mapped to groups of the realm, by subject. */
function mappingOf({ settings }: DirectoryRow): Readonly<Record<string, string>> {
  return settings.groups ?? {};
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
  await changeAccounts(access, by, async (begun) => {
    if (groups.length === 0) begun.unchanged();
    for (const group of groups) await putDirectoryGroup(begun, directory, group);
  });
}

/** Takes over one group in a change; gives its row. */
export async function putDirectoryGroup(
  begun: Change,
  directory: string,
  { onlyName = null, ...named }: SourceGroup,
): Promise<DirectoryGroupRow> {
  const { subject } = named;
  const group = { ...named, onlyName };
  const { directoryGroups } = begun.tables;
  const before = await directoryGroups.find({ directory, subject });
  if (before) {
    const to = { ...group, changedAt: begun.at };
    const isCalledSo = before.name === group.name && before.externalId === group.externalId;
    const { tables } = isCalledSo ? begun.notes : begun;
    await tables.directoryGroups.update({ where: { directory, subject } }, to);
    if (isCalledSo) begun.unchanged();
    else begun.audit('directory.group', `${directory}: ${before.groupName} is called ${group.name}`);
    return { ...before, ...to };
  }
  const mapped = mappingOf(await readDirectory(begun, directory))[subject];
  const groupName = mapped ?? (await ownGroup(begun, directory, group));
  const row = { directory, ...group, groupName, createdAt: begun.at, changedAt: begun.at };
  await directoryGroups.insert(row);
  begun.audit('directory.group', `${directory}: ${group.name} stands for ${groupName}`);
  return row;
}

/** Makes the group of the realm that a group of a directory stands for. One of the same name before it is not it. */
async function ownGroup(begun: Change, directory: string, group: SourceGroup): Promise<string> {
  const { groups } = begun.tables;
  const { crypto } = begun.access;
  const plain = nameFrom(crypto, group.name, `@${directory}`);
  const hash = formatHex(crypto.sha256(encodeText(group.subject))).slice(0, 8);
  const told = nameFrom(crypto, `${group.name.slice(0, 32)}-${hash}`, `@${directory}`);
  const name = (await groups.find({ name: plain })) ? told : plain;
  if (await groups.find({ name })) return name;
  await groups.insert({ name, createdAt: begun.at });
  begun.audit('group.create', name);
  return name;
}

/** A change of which accounts are in a group, by their subjects. */
export interface MembershipChange {
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

/**
 * Changes the members of groups of a directory in one transaction; keep it to some hundred members. Gives the last log
 * entry's index, 0 for none.
 */
export function changeMembers(
  access: AccessContext,
  directory: string,
  changes: readonly { readonly subject: string; readonly change: MembershipChange }[],
  by: AccountAuthor,
): Promise<number> {
  return changeAccounts(access, by, async (begun) => {
    if (changes.length === 0) begun.unchanged();
    for (const { subject, change } of changes) await takeMembers(begun, { directory, subject }, change);
    return begun.index;
  });
}

/** Puts accounts into a group and takes others out, in a change of their directory. */
export async function takeMembers(
  begun: Change,
  group: { readonly directory: string; readonly subject: string },
  change: MembershipChange,
): Promise<void> {
  const { directory, subject: groupSubject } = group;
  const { directoryGroups, accountGroups, members } = begun.tables;
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
  const users = await usersOf(begun, directory, subjects);
  const member = { groupName: row.groupName, source: sourceOf(directory, groupSubject) };
  const joining = added.flatMap((subject) => users.get(subject) ?? []);
  const leaving = left.flatMap((subject) => users.get(subject) ?? []);
  await members.insertEach(joining.map((userId) => ({ ...member, userId })));
  await members.remove({ where: member, among: ['userId', leaving] });
  await begun.rereadRights([...joining, ...leaving]);
  if (added.length + left.length === 0) begun.unchanged();
  await auditMembers(begun, { groupName: row.groupName, added: added.length, left: left.length, leaving });
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
  begun: Change,
  of: { groupName: string; added: number; left: number; leaving: readonly string[] },
): Promise<void> {
  const { groupName, added, left, leaving } = of;
  if (added > 0) begun.audit('group.add', `${added} users into ${groupName}`);
  if (left === 0) return;
  if (leaving.length > NAMED_LEAVERS || leaving.length === 0)
    return begun.audit('group.remove', `${left} users from ${groupName}`);
  for (const user of await begun.tables.users.list({ among: ['id', leaving] }))
    begun.audit('group.remove', `${user.name} from ${groupName}`);
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
    const entry = await changeAccounts(access, by, (begun) => removeDirectoryGroup(begun, directory, subject));
    index = Math.max(index, entry ?? 0);
  }
  return index;
}

/** Forgets one group in a change; gives the last log entry's index, 0 for none, and undefined when there is no group. */
export async function removeDirectoryGroup(
  begun: Change,
  directory: string,
  subject: string,
): Promise<number | undefined> {
  const { directoryGroups, accountGroups, members } = begun.tables;
  const row = await directoryGroups.find({ directory, subject });
  if (!row) {
    begun.unchanged();
    return undefined;
  }
  const where = { source: sourceOf(directory, subject) };
  const leaving = (await members.list({ where })).map(({ userId }) => userId);
  await members.remove({ where });
  await accountGroups.remove({ where: { directory, groupSubject: subject } });
  await directoryGroups.remove({ where: { directory, subject } });
  await begun.rereadRights(leaving);
  await auditMembers(begun, { groupName: row.groupName, added: 0, left: leaving.length, leaving });
  begun.audit('directory.group', `${directory}: ${row.name} is gone`);
  return begun.index;
}

/** Lets a group of a directory stand for a group of the realm; members move with it. */
export async function mapDirectoryGroup(
  access: AccessContext,
  map: { readonly directory: string; readonly subject: string; readonly groupName: string },
  by: Actor,
): Promise<void> {
  const { directory, subject, groupName } = map;
  await changeRealm(access, by, async (begun) => {
    const { directories, directoryGroups, groups, members } = begun.tables;
    const row = await readDirectory(begun, directory, 'update');
    if (!(await groups.find({ name: groupName }))) throw missing('group', groupName);
    if (!(await directoryGroups.find({ directory, subject })))
      throw new AccessError('ERR_ACCESS_NOT_FOUND', `${directory} has no group ${subject}`);
    const { settings } = withGroups(row, { ...mappingOf(row), [subject]: groupName });
    await directories.update({ where: { name: directory } }, { settings });
    const source = sourceOf(directory, subject);
    const moved = (await members.list({ where: { source } })).map(({ userId }) => userId);
    await members.update({ where: { source } }, { groupName });
    await directoryGroups.update({ where: { directory, subject } }, { groupName });
    await begun.rereadRights(moved);
    begun.audit('directory.map', `${directory}/${subject} to ${groupName}`);
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
  return changeRealm(access, by, async (begun) => {
    const { directory, subject } = account;
    const { accountGroups, members } = begun.tables;
    const before = new Set((await accountGroups.list({ where: account })).map(({ groupSubject }) => groupSubject));
    const wanted = new Set(named.map((group) => group.subject));
    const joined = named.filter((group) => !before.has(group.subject));
    const left = [...before].filter((groupSubject) => !wanted.has(groupSubject));
    if (joined.length + left.length === 0) {
      begun.unchanged();
      return 0;
    }
    const names = await groupNames(begun, directory, joined);
    await accountGroups.insertEach(joined.map((group) => ({ ...account, groupSubject: group.subject })));
    await accountGroups.remove({ where: account, among: ['groupSubject', left] });
    begun.audit('user.groups', `${by.actor}: ${joined.length} more, ${left.length} less`);
    const userId = (await usersOf(begun, directory, [subject])).get(subject);
    if (userId === undefined) return 0;
    const rows = joined.map((group) => ({
      groupName: names.get(group.subject)!,
      userId,
      source: sourceOf(directory, group.subject),
    }));
    await members.insertEach(rows);
    await members.remove({ where: { userId }, among: ['source', left.map((gone) => sourceOf(directory, gone))] });
    await begun.rereadRights([userId]);
    return begun.index;
  });
}

/** Groups of the realm by the subjects of a directory's groups; those that are new are made. */
async function groupNames(
  begun: Change,
  directory: string,
  groups: readonly SourceGroup[],
): Promise<ReadonlyMap<string, string>> {
  const subjects = groups.map(({ subject }) => subject);
  const names = await namesOfGroups(begun.tables, directory, subjects);
  for (const group of groups) {
    if (names.has(group.subject)) continue;
    names.set(group.subject, (await putDirectoryGroup(begun, directory, group)).groupName);
  }
  return names;
}
