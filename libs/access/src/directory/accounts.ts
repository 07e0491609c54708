import { appendAudit } from '../audit.ts';
import type { AccessContext, Actor } from '../context.ts';
import { getRealm } from '../realm.ts';
import type { Transaction } from '../store.ts';
import type { DirectoryRow, IdentityRow, Json, UserRow } from '../tables.ts';
import { newUser } from '../users.ts';
import { getDirectory, sourceOf } from './directories.ts';
import { endUsers, tellRights } from './effects.ts';
import { nameFrom } from './names.ts';
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
  readonly attributes: Json;
}

/** An account that could not become a user, and why. */
export interface AccountConflict {
  readonly subject: string;
  readonly login: string;
  readonly why: string;
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
 * Takes the realm's lock and makes sure that a sync is still the one that may write. First in each change of accounts.
 * @throws AccessError ERR_ACCESS_CONFLICT when another node has taken over the sync
 */
export async function beginChange(transaction: Transaction, { run }: Pick<AccountAuthor, 'run'>): Promise<void> {
  await getRealm(transaction, 'update');
  if (run) await keepClaim(transaction, run);
}

interface Plan {
  readonly insertIdentities: IdentityRow[];
  readonly changeIdentities: IdentityRow[];
  readonly insertUsers: UserRow[];
  readonly changeUsers: { readonly key: { id: string }; readonly change: Pick<UserRow, 'name' | 'displayName'> }[];
  readonly enable: UserRow[];
  readonly disable: UserRow[];
  readonly conflicts: AccountConflict[];
}

/**
 * Takes over accounts as their directory has them, in one transaction: new ones become users, names follow, who is no
 * longer active is out with everything of theirs. Accounts are known by their subject alone: a name that a user of another
 * origin has is a conflict, never a match (RFC 7643 leaves that to us; others' breaches do not).
 */
export async function applyAccounts(
  access: AccessContext,
  directory: string,
  accounts: readonly Account[],
  by: AccountAuthor,
): Promise<AccountOutcome> {
  return access.store.transaction((transaction) => applyAccountsIn(access, transaction, { directory, accounts, by }));
}

/** `applyAccounts` inside of the caller's transaction. */
export async function applyAccountsIn(
  access: AccessContext,
  transaction: Transaction,
  { directory, accounts, by }: { directory: string; accounts: readonly Account[]; by: AccountAuthor },
): Promise<AccountOutcome> {
  await beginChange(transaction, by);
  const row = await getDirectory(transaction, directory);
  const plan = await planAccounts(access, transaction, row, accounts);
  const { identities, users } = transaction.tables;
  await users.insertEach(plan.insertUsers);
  await identities.insertEach(plan.insertIdentities);
  await identities.updateEach(plan.changeIdentities.map(identityChange));
  await users.updateEach(plan.changeUsers);
  await joinGroups(transaction, directory, plan);
  await users.updateEach(plan.enable.map(({ id }) => ({ key: { id }, change: { enabled: true, disabledBy: null } })));
  const renamed = await tellRights(
    access,
    transaction,
    plan.changeUsers.map(({ key }) => key.id),
    by,
  );
  const ended = await endUsers(access, transaction, plan.disable, by);
  await auditAccounts(access, transaction, { directory, plan, by });
  return {
    created: plan.insertUsers.length,
    changed: plan.changeIdentities.length,
    enabled: plan.enable.length,
    disabled: plan.disable.length,
    conflicts: plan.conflicts,
    index: Math.max(renamed, ended),
  };
}

function identityChange({ directory, subject, createdAt: _, ...change }: IdentityRow) {
  return { key: { directory, subject }, change };
}

/** New users are in the groups that their accounts are in. */
async function joinGroups({ tables }: Transaction, directory: string, plan: Plan): Promise<void> {
  const made = new Set(plan.insertUsers.map(({ id }) => id));
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

async function planAccounts(
  access: AccessContext,
  transaction: Transaction,
  directory: DirectoryRow,
  accounts: readonly Account[],
): Promise<Plan> {
  const plan: Plan = {
    insertIdentities: [],
    changeIdentities: [],
    insertUsers: [],
    changeUsers: [],
    enable: [],
    disable: [],
    conflicts: [],
  };
  const where = { directory: directory.name };
  const subjects = accounts.map(({ subject }) => subject);
  const { identities, users } = transaction.tables;
  const known = new Map(
    (await identities.list({ where, among: ['subject', subjects] })).map((row) => [row.subject, row]),
  );
  const userIds = [...known.values()].map(({ userId }) => userId).filter((id) => id !== '');
  const owned = new Map((await users.list({ among: ['id', userIds] })).map((user) => [user.id, user]));
  const { suffix = '' } = directory.settings as { suffix?: string };
  const wanted = accounts.map((account) => nameFrom(access.crypto, account.login, suffix));
  const taken = new Map((await users.list({ among: ['name', wanted] })).map((user) => [user.name, user.id]));
  const now = transaction.now();
  accounts.forEach((account, i) => {
    const before = known.get(account.subject);
    const user = before && owned.get(before.userId);
    const active = account.active && account.expiresAt > now;
    const placed = user ?? placeUser(access, { directory, plan, taken, account, active, name: wanted[i]!, now });
    const row = identityRow(directory.name, account, { before, userId: placed?.id ?? '', active, now });
    (before ? plan.changeIdentities : plan.insertIdentities).push(row);
    if (user && user.directory === directory.name) planChange(plan, { user, account, active, name: wanted[i]!, taken });
  });
  // What could not be carried out is looked at again by the next sync, changed or not.
  const open = new Set(plan.conflicts.map(({ subject }) => subject));
  const again = (row: IdentityRow): IdentityRow => (open.has(row.subject) ? { ...row, version: '' } : row);
  const { insertIdentities, changeIdentities } = plan;
  return { ...plan, insertIdentities: insertIdentities.map(again), changeIdentities: changeIdentities.map(again) };
}

function identityRow(
  directory: string,
  account: Account,
  at: { before: IdentityRow | undefined; userId: string; active: boolean; now: number },
): IdentityRow {
  const { subject, externalId, login, expiresAt, dn, version, attributes } = account;
  return {
    directory,
    subject,
    externalId,
    userId: at.userId,
    login: login.toLowerCase(),
    active: at.active,
    expiresAt,
    dn,
    version,
    attributes: { ...(attributes as object), displayName: account.displayName },
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
    account: Account;
    active: boolean;
    name: string;
    now: number;
  },
): UserRow | undefined {
  const { directory, plan, taken, account, active, name, now } = place;
  if (directory.stage === 'staged' || !active) return undefined;
  if (taken.has(name)) {
    const why = `the name ${name} is taken by another user`;
    plan.conflicts.push({ subject: account.subject, login: account.login, why });
    return undefined;
  }
  const displayName = account.displayName || name;
  const user = newUser(access, { name, displayName, directory: directory.name, createdAt: now });
  taken.set(name, user.id);
  plan.insertUsers.push(user);
  return user;
}

function planChange(
  plan: Plan,
  at: { user: UserRow; account: Account; active: boolean; name: string; taken: Map<string, string> },
): void {
  const { user, account, active, taken } = at;
  const holder = taken.get(at.name);
  const free = holder === undefined || holder === user.id;
  if (!free) {
    const why = `${user.name} cannot be renamed: the name ${at.name} is taken by another user`;
    plan.conflicts.push({ subject: account.subject, login: account.login, why });
  }
  const name = free ? at.name : user.name;
  taken.set(name, user.id);
  const displayName = account.displayName || name;
  if (name !== user.name || displayName !== user.displayName)
    plan.changeUsers.push({ key: { id: user.id }, change: { name, displayName } });
  if (user.enabled && !active) plan.disable.push(user);
  // What an operator has disabled stays so, whatever a directory says.
  if (!user.enabled && active && user.disabledBy === 'directory') plan.enable.push(user);
}

async function auditAccounts(
  access: AccessContext,
  transaction: Transaction,
  { directory, plan, by }: { directory: string; plan: Plan; by: Actor },
): Promise<void> {
  const counts = [
    ['user.create', plan.insertUsers.map(({ name }) => name)],
    ['user.change', plan.changeUsers.map(({ change }) => change.name)],
    ['user.enable', plan.enable.map(({ name }) => name)],
  ] as const;
  for (const [action, names] of counts) {
    if (names.length === 0) continue;
    const subject = names.length <= 5 ? `${directory}: ${names.join(', ')}` : `${directory}: ${names.length} users`;
    const event = { actor: by.actor, reason: by.reason, action, subject, outcome: 'done' } as const;
    await appendAudit(transaction, access.crypto, { ...event, at: transaction.now() });
  }
}

/** Accounts that their directory does not have any more: their users are out, what they stood for is forgotten. */
export async function removeAccounts(
  access: AccessContext,
  directory: string,
  subjects: readonly string[],
  by: AccountAuthor,
): Promise<{ readonly removed: number; readonly index: number }> {
  return access.store.transaction(async (transaction) => {
    await beginChange(transaction, by);
    const { identities, users } = transaction.tables;
    const gone = await identities.list({ where: { directory }, among: ['subject', subjects] });
    const ids = gone.map(({ userId }) => userId).filter((id) => id !== '');
    const owned = await users.list({ where: { directory, enabled: true }, among: ['id', ids] });
    const index = await endUsers(access, transaction, owned, by);
    for (const { subject, userId } of gone) await leaveGroups(transaction, { directory, subject, userId });
    await identities.remove({ where: { directory }, among: ['subject', subjects] });
    return { removed: gone.length, index };
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

/** Makes users of the accounts that stand for nobody, once their directory is active; gives those that cannot be. */
export async function placeAccounts(access: AccessContext, directory: string, by: Actor): Promise<AccountConflict[]> {
  const conflicts: AccountConflict[] = [];
  for (let after = ''; ; ) {
    const above = ['subject', after] as const;
    const page = { where: { directory, userId: '', active: true }, above, limit: PLACE_BATCH };
    const rows = await access.store.transaction(({ tables }) => tables.identities.list(page));
    if (rows.length === 0) return conflicts;
    after = rows.at(-1)!.subject;
    conflicts.push(...(await applyAccounts(access, directory, rows.map(storedAccount), by)).conflicts);
  }
}

function storedAccount({ attributes, ...row }: IdentityRow): Account {
  const { displayName, ...rest } = attributes as { displayName: string };
  return { ...row, displayName, attributes: rest };
}

/** Ends the users of accounts whose time is over; gives how many and the last log entry. */
export async function expireAccounts(
  access: AccessContext,
  directory: string,
  by: AccountAuthor,
): Promise<{ readonly disabled: number; readonly index: number }> {
  return access.store.transaction(async (transaction) => {
    await beginChange(transaction, by);
    const { identities, users } = transaction.tables;
    const now = transaction.now();
    const over = await identities.list({ where: { directory, active: true }, below: ['expiresAt', now], limit: 500 });
    await identities.updateEach(
      over.map(({ subject }) => ({ key: { directory, subject }, change: { active: false } })),
    );
    const ids = over.map(({ userId }) => userId).filter((id) => id !== '');
    const owned = await users.list({ where: { directory, enabled: true }, among: ['id', ids] });
    return { disabled: owned.length, index: await endUsers(access, transaction, owned, by) };
  });
}
