import type { UserRow } from '../people/rows.ts';
import { newUser } from '../people/users.ts';
import { type Change, change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { standing } from '../revocation/standing.ts';
import type { Transaction } from '../store/store.ts';
import { readDirectory, sourceOf } from './directories.ts';
import { endUsers } from './effects.ts';
import { nameFrom } from './names.ts';
import type { AccountAttributes, AccountConflict, DirectoryRow, IdentityRow } from './rows.ts';
import { MAX_CONFLICTS, mergeState } from './state.ts';
import { keepClaim, type SyncRun } from './sync-run.ts';

/** An account as its directory has it now. */
export interface Account {
  readonly subject: string;
  readonly externalId: string;
  readonly login: string;
  readonly displayName: string;
  readonly active: boolean;
  readonly expiresAt: number;
  readonly dn: string;
  readonly version: string;
  readonly attributes: AccountAttributes;
}

/** What came of accounts. `index` is the last entry of the revocation log that they caused, 0 when there is none. */
export interface AccountOutcome {
  readonly created: number;
  readonly changed: number;
  readonly enabled: number;
  readonly disabled: number;
  readonly conflicts: readonly AccountConflict[];
  readonly index: number;
}

/** Who says so: a run of a sync, or a request of the directory's own client. */
export type AccountAuthor = Actor & { readonly run?: SyncRun };

/**
 * A change of accounts or groups of a directory, under the realm's lock. A sync must still be the one that may write.
 * @throws AccessError ERR_ACCESS_CONFLICT when another node has taken over the sync
 */
export function changeAccounts<T>(
  access: AccessContext,
  by: AccountAuthor,
  work: (change: Change) => Promise<T>,
): Promise<T> {
  return change(access, by, async (begun) => {
    if (by.run) await keepClaim(begun.notes, by.run);
    return work(begun);
  });
}

interface Plan {
  readonly insertIdentities: IdentityRow[];
  readonly changeIdentities: IdentityRow[];
  readonly insertUsers: UserRow[];
  readonly changeUsers: { readonly user: UserRow; readonly change: Pick<UserRow, 'name' | 'displayName'> }[];
  /** Users whom their directory had removed and has again, as they will be. */
  readonly returning: UserRow[];
  readonly enable: UserRow[];
  readonly disable: UserRow[];
  readonly conflicts: AccountConflict[];
}

/**
 * Takes over accounts as their directory has them, in one transaction: new ones become users, names follow, who is no
 * longer active is out with everything of theirs. Accounts are known by their subject alone: a name that a user of another
 * origin has is a conflict, never a match (RFC 7643 leaves that to us; others' breaches do not). Who was removed from this
 * directory and comes back to it is the same user again, with nothing of before but the name and the id.
 */
export function applyAccounts(
  access: AccessContext,
  directory: string,
  accounts: readonly Account[],
  by: AccountAuthor,
): Promise<AccountOutcome> {
  return changeAccounts(access, by, (begun) => takeAccounts(begun, directory, accounts));
}

/** Takes over accounts in a change of their directory. */
export async function takeAccounts(
  begun: Change,
  directory: string,
  accounts: readonly Account[],
): Promise<AccountOutcome> {
  const row = await readDirectory(begun, directory);
  const plan = await planAccounts(begun, row, accounts);
  const { identities, users } = begun.tables;
  await renameUsers(begun, plan);
  await takeUpAgain(begun, plan.returning);
  await users.insertEach(plan.insertUsers);
  await identities.insertEach(plan.insertIdentities);
  await identities.updateEach(plan.changeIdentities.map(identityChange));
  await joinGroups(begun, directory, plan);
  await users.updateEach(plan.enable.map((user) => standingChange({ ...user, outByDirectory: false })));
  await begun.rereadRights(plan.changeUsers.map(({ user }) => user.id));
  auditAccounts(begun, directory, plan);
  await endUsers(begun, plan.disable);
  return {
    created: plan.insertUsers.length + plan.returning.length,
    changed: plan.changeIdentities.length,
    enabled: plan.enable.filter(({ outByOperator }) => !outByOperator).length,
    disabled: plan.disable.filter(({ enabled }) => enabled).length,
    conflicts: plan.conflicts,
    index: begun.index,
  };
}

function standingChange(user: UserRow) {
  return { key: { id: user.id }, change: standing(user) };
}

/** Names may be swapped: whoever gives one up does so before another takes it. */
async function renameUsers({ tables }: Change, { changeUsers }: Plan): Promise<void> {
  const wanted = new Set(changeUsers.map(({ change: { name } }) => name));
  const inTheWay = changeUsers.filter(({ user, change: { name } }) => name !== user.name && wanted.has(user.name));
  // No name looks like an id.
  await tables.users.updateEach(
    inTheWay.map(({ user }) => ({ key: { id: user.id }, change: { name: `~${user.id}` } })),
  );
  await tables.users.updateEach(changeUsers.map(({ user, change: to }) => ({ key: { id: user.id }, change: to })));
}

/** Nothing of before is revived: what operators gave and the second factor go, sessions and installations went before. */
async function takeUpAgain({ tables }: Change, returning: readonly UserRow[]): Promise<void> {
  const ids = returning.map(({ id }) => id);
  if (ids.length === 0) return;
  await tables.members.remove({ among: ['userId', ids] });
  await tables.factors.remove({ among: ['userId', ids] });
  await tables.codes.remove({ among: ['userId', ids] });
  await tables.users.updateEach(
    returning.map(({ name, displayName, pastAccount, ...user }) => ({
      key: { id: user.id },
      change: { name, displayName, pastAccount, ...standing(user) },
    })),
  );
}

function identityChange({ directory, subject, createdAt: _, ...to }: IdentityRow) {
  return { key: { directory, subject }, change: to };
}

/** New users are in the groups that their accounts are in. */
async function joinGroups({ tables }: Transaction, directory: string, plan: Plan): Promise<void> {
  const made = new Set([...plan.insertUsers, ...plan.returning].map(({ id }) => id));
  const rows = [...plan.insertIdentities, ...plan.changeIdentities].filter(({ userId }) => made.has(userId));
  await placeMembers(tables, directory, rows);
}

/** Writes the memberships of users that follow from their accounts' groups; none of them may be there yet. */
export async function placeMembers(
  tables: Transaction['tables'],
  directory: string,
  rows: readonly Pick<IdentityRow, 'subject' | 'userId'>[],
): Promise<void> {
  const users = new Map(rows.map(({ subject, userId }) => [subject, userId]));
  const joined = await tables.accountGroups.list({ where: { directory }, among: ['subject', [...users.keys()]] });
  const subjects = [...new Set(joined.map(({ groupSubject }) => groupSubject))];
  const names = await namesOfGroups(tables, directory, subjects);
  const members = joined.map(({ groupSubject, subject }) => ({
    groupName: names.get(groupSubject)!,
    userId: users.get(subject)!,
    source: sourceOf(directory, groupSubject),
  }));
  await tables.members.insertEach(members);
}

/** What groups of a directory stand for, by subject. */
export async function namesOfGroups(
  { directoryGroups }: Transaction['tables'],
  directory: string,
  subjects: readonly string[],
): Promise<Map<string, string>> {
  const groups = await directoryGroups.list({ where: { directory }, among: ['subject', subjects] });
  return new Map(groups.map(({ subject, groupName }) => [subject, groupName]));
}

async function planAccounts(begun: Change, directory: DirectoryRow, accounts: readonly Account[]): Promise<Plan> {
  const plan: Plan = {
    insertIdentities: [],
    changeIdentities: [],
    insertUsers: [],
    changeUsers: [],
    returning: [],
    enable: [],
    disable: [],
    conflicts: [],
  };
  const where = { directory: directory.name };
  const subjects = accounts.map(({ subject }) => subject);
  const { identities, users } = begun.tables;
  const known = new Map(
    (await identities.list({ where, among: ['subject', subjects] })).map((row) => [row.subject, row]),
  );
  const userIds = [...known.values()].map(({ userId }) => userId).filter((id) => id !== '');
  const owned = new Map((await users.list({ among: ['id', userIds] })).map((user) => [user.id, user]));
  const { suffix = '' } = directory.settings;
  const names = accounts.map((account) => nameFrom(begun.access.crypto, account.login, suffix));
  const taken = new Map((await users.list({ among: ['name', names] })).map((user) => [user.name, user.id]));
  const former = await formerUsers(begun, directory, { accounts, names });
  const wishes = new Map<string, { readonly user: UserRow; readonly name: string }>();
  accounts.forEach(({ subject }, i) => {
    const user = owned.get(known.get(subject)?.userId ?? '');
    if (user?.directory === directory.name && user.name !== names[i]) wishes.set(user.id, { user, name: names[i]! });
  });
  const renamed = grantedNames(wishes, taken);
  accounts.forEach((account, i) => {
    const before = known.get(account.subject);
    const user = before && owned.get(before.userId);
    const active = account.active && account.expiresAt > begun.at;
    const place = { directory, plan, taken, former, account, active, name: names[i]!, now: begun.at };
    const placed = user ?? placeUser(begun.access, place);
    const row = identityRow(directory, account, { before, userId: placed?.id ?? '', active, now: begun.at });
    (before ? plan.changeIdentities : plan.insertIdentities).push(row);
    if (user && user.directory === directory.name)
      planChange(plan, { user, account, active, name: names[i]!, renamed });
  });
  // What could not be carried out is looked at again by the next sync, changed or not.
  const open = new Set(plan.conflicts.map(({ subject }) => subject));
  const again = (row: IdentityRow): IdentityRow => (open.has(row.subject) ? { ...row, version: '' } : row);
  const { insertIdentities, changeIdentities } = plan;
  return { ...plan, insertIdentities: insertIdentities.map(again), changeIdentities: changeIdentities.map(again) };
}

/** Users whom this directory had and removed, by the source's name of their account and by their own name. */
interface FormerUsers {
  readonly byAccount: Map<string, UserRow>;
  readonly byName: Map<string, UserRow>;
}

async function formerUsers(
  { tables }: Change,
  directory: DirectoryRow,
  wanted: { readonly accounts: readonly Account[]; readonly names: readonly string[] },
): Promise<FormerUsers> {
  const where = { directory: directory.name, enabled: false };
  const externalIds = wanted.accounts.map(({ externalId }) => externalId).filter((id) => id !== '');
  const byAccount = await tables.users.list({ where, among: ['pastAccount', externalIds] });
  const byName = await tables.users.list({ where, among: ['name', wanted.names] });
  const ids = [...byAccount, ...byName].map(({ id }) => id);
  const held = await tables.identities.list({ where: { directory: directory.name }, among: ['userId', ids] });
  const standingFor = new Set(held.map(({ userId }) => userId));
  // Who signs in at a provider without accounts that it brings has none before the first time.
  const gone = (rows: readonly UserRow[]): readonly UserRow[] =>
    directory.kind === 'oidc' ? [] : rows.filter(({ id }) => !standingFor.has(id));
  return {
    byAccount: new Map(gone(byAccount).map((user) => [user.pastAccount, user])),
    byName: new Map(gone(byName).map((user) => [user.name, user])),
  };
}

/**
 * Who gets the name that their account has now. Names that others of the same lot give up are free: two may swap theirs.
 * `taken` then says who has which.
 */
function grantedNames(
  wishes: ReadonlyMap<string, { readonly user: UserRow; readonly name: string }>,
  taken: Map<string, string>,
): ReadonlySet<string> {
  const granted = new Map(wishes);
  for (let again = true; again; ) {
    again = false;
    const claimed = new Set<string>();
    for (const [id, { name }] of granted) {
      const holder = taken.get(name);
      const free = holder === undefined || granted.has(holder);
      if (free && !claimed.has(name)) claimed.add(name);
      else again = granted.delete(id);
    }
  }
  for (const [id, { user }] of granted) if (taken.get(user.name) === id) taken.delete(user.name);
  for (const [id, { name }] of granted) taken.set(name, id);
  return new Set(granted.keys());
}

function identityRow(
  directory: DirectoryRow,
  account: Account,
  at: { before: IdentityRow | undefined; userId: string; active: boolean; now: number },
): IdentityRow {
  const { subject, externalId, login, expiresAt, dn, version, attributes } = account;
  return {
    directory: directory.name,
    subject,
    externalId,
    userId: at.userId,
    login: login.toLowerCase(),
    onlyName: directory.kind === 'scim' ? `${directory.name}/${login.toLowerCase()}` : null,
    active: at.active,
    expiresAt,
    dn,
    version,
    attributes: { ...attributes, displayName: account.displayName },
    createdAt: at.before?.createdAt ?? at.now,
    changedAt: at.now,
  };
}

/** Makes the user of an account that stands for nobody yet; undefined while it should not, or cannot. */
function placeUser(
  access: AccessContext,
  place: {
    directory: DirectoryRow;
    plan: Plan;
    taken: Map<string, string>;
    former: FormerUsers;
    account: Account;
    active: boolean;
    name: string;
    now: number;
  },
): UserRow | undefined {
  const { directory, plan, taken, former, account, active, name, now } = place;
  if (directory.stage === 'staged' || !active) return undefined;
  const displayName = account.displayName || name;
  const known = former.byAccount.get(account.externalId) ?? former.byName.get(name);
  const holder = taken.get(name);
  if (holder !== undefined && holder !== known?.id) {
    const why = `the name ${name} is taken by another user`;
    plan.conflicts.push({ subject: account.subject, login: account.login, why });
    return undefined;
  }
  if (known) return comeBack(place, known, displayName);
  const user = newUser(access, { name, displayName, directory: directory.name, createdAt: now });
  taken.set(name, user.id);
  plan.insertUsers.push(user);
  return user;
}

/** Only once: two accounts are never one user. What an operator said stays. */
function comeBack(
  of: { plan: Plan; taken: Map<string, string>; former: FormerUsers; name: string },
  known: UserRow,
  displayName: string,
): UserRow {
  const { plan, taken, former, name } = of;
  former.byAccount.delete(known.pastAccount);
  former.byName.delete(known.name);
  if (taken.get(known.name) === known.id) taken.delete(known.name);
  taken.set(name, known.id);
  const user = { ...known, name, displayName, pastAccount: '', outByDirectory: false };
  plan.returning.push(user);
  return user;
}

function planChange(
  plan: Plan,
  at: { user: UserRow; account: Account; active: boolean; name: string; renamed: ReadonlySet<string> },
): void {
  const { user, account, active, renamed } = at;
  const free = at.name === user.name || renamed.has(user.id);
  if (!free) {
    const why = `${user.name} cannot be renamed: the name ${at.name} is taken by another user`;
    plan.conflicts.push({ subject: account.subject, login: account.login, why });
  }
  const name = free ? at.name : user.name;
  const displayName = account.displayName || name;
  if (name !== user.name || displayName !== user.displayName)
    plan.changeUsers.push({ user, change: { name, displayName } });
  if (!user.outByDirectory && !active) plan.disable.push(user);
  // What an operator has disabled stays so, whatever a directory says.
  if (user.outByDirectory && active) plan.enable.push(user);
}

function auditAccounts(begun: Change, directory: string, plan: Plan): void {
  const counts = [
    ['user.create', plan.insertUsers.map(({ name }) => name)],
    ['user.return', plan.returning.map(({ name }) => name)],
    ['user.change', plan.changeUsers.map(({ change: { name } }) => name)],
    ['user.enable', plan.enable.map(({ name }) => name)],
  ] as const;
  const told = counts.reduce((sum, [, names]) => sum + names.length, plan.disable.length);
  const accounts = [...plan.insertIdentities, ...plan.changeIdentities];
  if (accounts.length === 0) begun.unchanged();
  else if (told === 0) auditNames(begun, 'account.change', { directory, names: accounts.map(({ login }) => login) });
  for (const [action, names] of counts) auditNames(begun, action, { directory, names });
}

function auditNames(
  begun: Change,
  action: string,
  { directory, names }: { directory: string; names: readonly string[] },
): void {
  if (names.length === 0) return;
  begun.audit(action, names.length <= 5 ? `${directory}: ${names.join(', ')}` : `${directory}: ${names.length} users`);
}

/** Accounts that their directory does not have any more: their users are out, what they stood for is forgotten. */
export async function removeAccounts(
  access: AccessContext,
  directory: string,
  subjects: readonly string[],
  by: AccountAuthor,
): Promise<{ readonly removed: number; readonly index: number }> {
  return changeAccounts(access, by, async (begun) => {
    const { identities, users } = begun.tables;
    const gone = await identities.list({ where: { directory }, among: ['subject', subjects] });
    const past = new Map(gone.map(({ userId, externalId }) => [userId, externalId]));
    const owned = await users.list({ where: { directory }, among: ['id', [...past.keys()]] });
    await endUsers(begun, owned);
    await users.updateEach(owned.map(({ id }) => ({ key: { id }, change: { pastAccount: past.get(id) ?? '' } })));
    for (const { subject, userId } of gone) await leaveGroups(begun, { directory, subject, userId });
    await identities.remove({ where: { directory }, among: ['subject', subjects] });
    const told = owned.some(({ outByDirectory }) => !outByDirectory);
    if (gone.length === 0) begun.unchanged();
    else if (!told) auditNames(begun, 'account.remove', { directory, names: gone.map(({ login }) => login) });
    return { removed: gone.length, index: begun.index };
  });
}

async function leaveGroups(
  { tables }: Transaction,
  { directory, subject, userId }: Pick<IdentityRow, 'directory' | 'subject' | 'userId'>,
): Promise<void> {
  for (const { groupSubject } of await tables.accountGroups.list({ where: { directory, subject } }))
    await tables.members.remove({ where: { userId, source: sourceOf(directory, groupSubject) } });
  await tables.accountGroups.remove({ where: { directory, subject } });
}

/** Accounts of one transaction. */
const PLACE_BATCH = 500;

/**
 * Makes users of the accounts that stand for nobody, once their directory is active; gives those that cannot be, and the
 * directory remembers them.
 */
export async function placeAccounts(access: AccessContext, directory: string, by: Actor): Promise<AccountConflict[]> {
  const conflicts: AccountConflict[] = [];
  for (let after = ''; ; ) {
    const above = ['subject', after] as const;
    const page = { where: { directory, userId: '', active: true }, above, limit: PLACE_BATCH };
    const rows = await access.store.transaction(({ tables }) => tables.identities.list(page));
    if (rows.length === 0) break;
    after = rows.at(-1)!.subject;
    conflicts.push(...(await applyAccounts(access, directory, rows.map(storedAccount), by)).conflicts);
  }
  const kept = { conflicts: conflicts.slice(0, MAX_CONFLICTS) };
  await access.store.transaction((transaction) => mergeState(transaction, directory, kept));
  return conflicts;
}

function storedAccount({ attributes, ...row }: IdentityRow): Account {
  const { displayName = '', ...rest } = attributes;
  return { ...row, displayName, attributes: rest };
}

/** Ends the users of accounts whose time is over; gives how many and the last log entry. */
export async function expireAccounts(
  access: AccessContext,
  directory: string,
  by: AccountAuthor,
): Promise<{ readonly disabled: number; readonly index: number }> {
  return changeAccounts(access, by, async (begun) => {
    const { identities, users } = begun.tables;
    const page = { where: { directory, active: true }, limit: 500 };
    const over = await identities.list({ ...page, below: ['expiresAt', begun.at] });
    await identities.updateEach(
      over.map(({ subject }) => ({ key: { directory, subject }, change: { active: false } })),
    );
    const ids = over.map(({ userId }) => userId).filter((id) => id !== '');
    const owned = await users.list({ where: { directory }, among: ['id', ids] });
    await endUsers(begun, owned);
    if (over.length === 0) begun.unchanged();
    else auditNames(begun, 'account.expire', { directory, names: over.map(({ login }) => login) });
    return { disabled: owned.filter(({ enabled }) => enabled).length, index: begun.index };
  });
}
