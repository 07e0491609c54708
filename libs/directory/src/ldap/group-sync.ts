import {
  type AccessContext,
  changeMembers,
  type DirectoryGroupRow,
  membersOf,
  putDirectoryGroups,
  removeDirectoryGroups,
  type SourceGroup,
  type SyncRun,
} from '@sallyport/access';
import type { SyncProgress, SyncQuestion } from '@sallyport/security-api';
import type { LdapConnection } from './connection.ts';
import type { LdapConnector } from './connector.ts';
import { subjectOf, textOf, textsOf } from './entry.ts';
import type { KnownAccount } from './known.ts';
import { allMembers } from './members.ts';
import { canonicalDn } from './names.ts';

/** What the groups of a directory are synced from. */
export interface GroupSync {
  readonly connection: LdapConnection;
  readonly connector: LdapConnector;
  readonly run: SyncRun;
  readonly known: ReadonlyMap<string, KnownAccount>;
  /** Look at all groups, whether they changed or not. */
  readonly all: boolean;
  /** Accounts came or went, so memberships may have changed though no group did. */
  readonly accountsChanged: boolean;
  /** Accounts that may lose a group without a question. */
  readonly allowed: number;
  readonly tell: (progress: SyncProgress) => Promise<void>;
}

/** What came of it. */
export interface GroupOutcome {
  readonly groups: number;
  readonly joined: number;
  readonly left: number;
  readonly held: number;
  /** Entries of groups that have no id that may be read. */
  readonly unreadable: number;
  readonly question: SyncQuestion | null;
  readonly index: number;
}

/** A group as read: its own members, and the groups inside of it. */
interface ReadGroup extends SourceGroup {
  readonly dn: string;
  readonly accounts: readonly string[];
  readonly others: readonly string[];
}

interface Difference {
  readonly group: ReadGroup;
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

/** Groups that are compared between two signs of life. */
const TELL_EVERY = 200;
/** Memberships of one transaction. */
const BATCH = 500;

/** Syncs groups and who is in them, through groups in groups. */
export async function syncGroups(access: AccessContext, sync: GroupSync): Promise<GroupOutcome> {
  const { directory } = sync.run;
  const stored = await access.store.transaction(({ tables }) => tables.directoryGroups.list({ where: { directory } }));
  const nothing = { groups: stored.length, joined: 0, left: 0, held: 0, unreadable: 0, question: null, index: 0 };
  if (!sync.all && !sync.accountsChanged) {
    const { same, unreadable } = await compareVersions(sync, stored);
    if (same) return { ...nothing, unreadable };
  }
  const { groups: read, unreadable } = await readGroups(sync);
  const by = { actor: `directory ${directory}`, reason: `${directory}: sync of groups`, run: sync.run };
  const versions = new Map(stored.map((row) => [row.subject, `${row.version}\0${row.name}`]));
  const fresh = [...read.values()].filter(
    ({ subject, version, name }) => versions.get(subject) !== `${version}\0${name}`,
  );
  // The version is kept when the members are: a run that is cut off, or held, looks at the group again.
  await putGroups(access, { directory, groups: fresh.map((group) => ({ ...group, version: '' })), by });
  const differences = await compare(access, sync, read);
  const present = bySubject(read);
  // A group that is there but cannot be read is not gone.
  const gone = stored
    .filter(({ subject, name }) => !present.has(subject) && !unreadable.has(name))
    .map(({ subject }) => subject);
  const lost = await losses(access, directory, differences, gone);
  const counted = { ...nothing, groups: read.size, unreadable: unreadable.size };
  let index = await applyEach(access, { sync, differences, what: 'add', by });
  const joined = differences.reduce((sum, { add }) => sum + add.length, 0);
  if (lost.size > sync.allowed) return { ...counted, joined, index, ...ask(access, sync, lost) };
  index = Math.max(index, await applyEach(access, { sync, differences, what: 'remove', by }));
  index = Math.max(index, await removeDirectoryGroups(access, directory, gone, by));
  await putGroups(access, { directory, groups: fresh, by });
  return { ...counted, joined, left: differences.reduce((sum, { remove }) => sum + remove.length, 0), index };
}

type GroupAuthor = { actor: string; reason: string; run: SyncRun };

async function putGroups(
  access: AccessContext,
  { directory, groups, by }: { directory: string; groups: readonly ReadGroup[]; by: GroupAuthor },
): Promise<void> {
  for (let at = 0; at < groups.length; at += BATCH)
    await putDirectoryGroups(access, directory, groups.slice(at, at + BATCH).map(sourceGroup), by);
}

function sourceGroup({ subject, externalId, name, version }: ReadGroup): SourceGroup {
  return { subject, externalId, name, version };
}

function bySubject(read: ReadonlyMap<string, ReadGroup>): ReadonlySet<string> {
  return new Set([...read.values()].map(({ subject }) => subject));
}

function baseOf({ settings }: LdapConnector): string {
  return settings.groupBase ?? settings.base;
}

/** Whether the server has the same groups in the same versions. Members are not read for that. */
async function compareVersions(
  { connection, connector }: GroupSync,
  stored: readonly DirectoryGroupRow[],
): Promise<{ same: boolean; unreadable: number }> {
  const { flavour } = connector;
  const versions = new Map(stored.map(({ subject, version }) => [subject, version]));
  let same = 0;
  let unreadable = 0;
  const attributes = [flavour.id, flavour.version, flavour.changed];
  for await (const page of connection.pages(baseOf(connector), flavour.groupFilter, attributes))
    for (const entry of page) {
      const subject = subjectOf(entry, flavour);
      if (subject === undefined) {
        unreadable += 1;
        continue;
      }
      const version = textOf(entry, flavour.version) || textOf(entry, flavour.changed);
      if (versions.get(subject) !== version) return { same: false, unreadable };
      same += 1;
    }
  return { same: same === versions.size, unreadable };
}

/** All groups with their members, by distinguished name. */
async function readGroups(
  sync: GroupSync,
): Promise<{ groups: ReadonlyMap<string, ReadGroup>; unreadable: ReadonlySet<string> }> {
  const { connection, connector, known } = sync;
  const { flavour } = connector;
  const subjects = onlyOnes([...known].map(([subject, { dn }]) => [dn, subject]));
  const logins = onlyOnes([...known].map(([subject, { login }]) => [login, subject]));
  const groups = new Map<string, ReadGroup>();
  const unreadable = new Set<string>();
  const numbers = new Map<string, string[]>();
  const named = [flavour.id, 'cn', flavour.version, flavour.changed];
  const attributes = [...named, flavour.member, 'uniqueMember', MEMBER_UID, GROUP_NUMBER];
  for await (const page of connection.pages(baseOf(connector), flavour.groupFilter, attributes)) {
    for (const entry of page) {
      const subject = subjectOf(entry, flavour);
      if (subject === undefined) {
        unreadable.add(textOf(entry, 'cn') || entry.dn);
        continue;
      }
      const dn = canonicalDn(entry.dn) ?? entry.dn;
      const byName = flavour.member.toLowerCase() === MEMBER_UID.toLowerCase() ? [] : [flavour.member];
      const names = await allMembers(connection, entry, byName[0] ?? 'uniqueMember');
      const members = [...new Set(names)].flatMap((member) => canonicalDn(member) ?? []);
      const uids = textsOf(entry, MEMBER_UID).flatMap((uid) => logins.get(uid.toLowerCase()) ?? []);
      const number = textOf(entry, GROUP_NUMBER);
      if (number !== '') numbers.set(number, [...(numbers.get(number) ?? []), dn]);
      groups.set(dn, {
        subject,
        externalId: '',
        name: textOf(entry, 'cn') || subject,
        version: textOf(entry, flavour.version) || textOf(entry, flavour.changed),
        dn,
        accounts: [...members.flatMap((member) => subjects.get(member) ?? []), ...uids],
        others: members.filter((member) => !subjects.has(member)),
      });
    }
    await sync.tell({ phase: 'reading groups', done: groups.size });
  }
  addPrimary(groups, { known, numbers });
  return { groups, unreadable };
}

/** Members of a posixGroup (RFC 2307): logins, not names; and whose primary group it is, by its number. */
const MEMBER_UID = 'memberUid';
const GROUP_NUMBER = 'gidNumber';

/** Puts accounts into their primary groups. A number of two groups is no one's: a right must not follow from a mistake. */
function addPrimary(
  groups: Map<string, ReadGroup>,
  { known, numbers }: { known: GroupSync['known']; numbers: ReadonlyMap<string, readonly string[]> },
): void {
  const primary = new Map<string, string[]>();
  for (const [subject, { primaryGroup }] of known) {
    const [dn, other] = numbers.get(primaryGroup) ?? [];
    if (dn === undefined || other !== undefined) continue;
    const accounts = primary.get(dn) ?? [];
    accounts.push(subject);
    primary.set(dn, accounts);
  }
  for (const [dn, accounts] of primary) {
    const group = groups.get(dn)!;
    groups.set(dn, { ...group, accounts: [...group.accounts, ...accounts] });
  }
}

/** What stands for exactly one: two entries of one name are no one's, since a right must not go to the wrong person. */
function onlyOnes(pairs: readonly (readonly [name: string, subject: string])[]): ReadonlyMap<string, string> {
  const only = new Map<string, string>();
  const several = new Set<string>(['']);
  for (const [name, subject] of pairs) {
    if (only.has(name)) several.add(name);
    only.set(name, subject);
  }
  for (const name of several) only.delete(name);
  return only;
}

/** Everybody in a group, directly or through groups in it; groups that contain each other end the descent. */
function everybodyIn(group: ReadGroup, groups: ReadonlyMap<string, ReadGroup>): ReadonlySet<string> {
  const everybody = new Set<string>();
  const visited = new Set<string>();
  const open = [group];
  for (let next = open.pop(); next; next = open.pop()) {
    if (visited.has(next.dn)) continue;
    visited.add(next.dn);
    for (const subject of next.accounts) everybody.add(subject);
    for (const dn of next.others) {
      const inner = groups.get(dn);
      if (inner) open.push(inner);
    }
  }
  return everybody;
}

async function compare(
  access: AccessContext,
  sync: GroupSync,
  groups: ReadonlyMap<string, ReadGroup>,
): Promise<Difference[]> {
  const { directory } = sync.run;
  const differences: Difference[] = [];
  let compared = 0;
  for (const group of groups.values()) {
    const now = everybodyIn(group, groups);
    const before = new Set(
      await access.store.transaction((transaction) => membersOf(transaction, directory, group.subject)),
    );
    const add = [...now].filter((subject) => !before.has(subject));
    const remove = [...before].filter((subject) => !now.has(subject));
    if (add.length + remove.length > 0) differences.push({ group, add, remove });
    compared += 1;
    if (compared % TELL_EVERY === 0) await sync.tell({ phase: 'comparing groups', done: compared, total: groups.size });
  }
  return differences;
}

/** Accounts that would lose a group. */
async function losses(
  access: AccessContext,
  directory: string,
  differences: readonly Difference[],
  gone: readonly string[],
): Promise<ReadonlySet<string>> {
  const lost = new Set(differences.flatMap(({ remove }) => remove));
  for (const subject of gone)
    for (const member of await access.store.transaction((transaction) => membersOf(transaction, directory, subject)))
      lost.add(member);
  return lost;
}

async function applyEach(
  access: AccessContext,
  of: {
    sync: GroupSync;
    differences: readonly Difference[];
    what: 'add' | 'remove';
    by: GroupAuthor;
  },
): Promise<number> {
  const { sync, differences, what, by } = of;
  const total = differences.reduce((sum, difference) => sum + difference[what].length, 0);
  let index = 0;
  let done = 0;
  for (const batch of batchesOf(differences, what)) {
    const changes = batch.map(({ subject, members }) => ({
      subject,
      change: { add: [], remove: [], [what]: members },
    }));
    index = Math.max(index, await changeMembers(access, sync.run.directory, changes, by));
    done += batch.reduce((sum, { members }) => sum + members.length, 0);
    await sync.tell({ phase: what === 'add' ? 'joining groups' : 'leaving groups', done, total });
  }
  return index;
}

interface GroupPart {
  readonly subject: string;
  readonly members: readonly string[];
}

/** Cuts changes into transactions: parts of large groups, and several small groups together. */
function* batchesOf(differences: readonly Difference[], what: 'add' | 'remove'): Generator<readonly GroupPart[]> {
  let batch: GroupPart[] = [];
  let size = 0;
  for (const { group, [what]: subjects } of differences) {
    for (let at = 0; at < subjects.length; at += BATCH) {
      const members = subjects.slice(at, at + BATCH);
      batch.push({ subject: group.subject, members });
      size += members.length;
      if (size < BATCH) continue;
      yield batch;
      [batch, size] = [[], 0];
    }
  }
  if (batch.length > 0) yield batch;
}

function ask(
  access: AccessContext,
  { known }: GroupSync,
  lost: ReadonlySet<string>,
): { question: SyncQuestion; held: number } {
  const id = Buffer.from(access.crypto.randomBytes(8)).toString('hex');
  const sample = [...lost].slice(0, 10).map((subject) => known.get(subject)?.dn ?? subject);
  const question = { id, what: 'memberships', count: lost.size, of: known.size, sample, at: Date.now() } as const;
  return { question, held: lost.size };
}
