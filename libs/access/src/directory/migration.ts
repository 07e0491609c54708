import type { AccessRule } from '@sallyport/security-api';
import type { UserRow } from '../people/rows.ts';
import { change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { grantedResources, type PolicySet, readPolicySet } from '../rights/policies.ts';
import { AccessError } from '../store/errors.ts';
import { listAll, partsOf } from '../store/pages.ts';
import type { Transaction } from '../store/store.ts';
import { placeMembers } from './accounts.ts';
import { readDirectory } from './directories.ts';
import type { DirectoryRow, IdentityRow } from './rows.ts';

/** How users move from one directory to another: accounts fit when both attributes are the same text. */
export interface MigrationMapping {
  readonly from: string;
  readonly to: string;
  /** Attribute, or `subject`, `login` or `externalId`, of the old and of the new account. */
  readonly match: readonly [from: string, to: string];
}

/** A user who cannot move, and why. */
export interface MigrationConflict {
  readonly user: string;
  readonly why: string;
}

/** A user's rights that would change. */
export interface RightsChange {
  readonly user: string;
  readonly lost: readonly string[];
  readonly gained: readonly string[];
}

/** What a migration would do. */
export interface MigrationPlan {
  readonly users: number;
  readonly moves: readonly { readonly user: string; readonly from: string; readonly to: string }[];
  readonly conflicts: readonly MigrationConflict[];
  /** Accounts of the new directory that nobody moves to: they become users when it is activated. */
  readonly newcomers: number;
  readonly rights: readonly RightsChange[];
}

interface Move {
  readonly user: UserRow;
  readonly old: IdentityRow;
  readonly next: IdentityRow;
}

interface Found {
  readonly moves: readonly Move[];
  readonly conflicts: readonly MigrationConflict[];
  readonly users: number;
  readonly newcomers: number;
}

/** Works out a migration without changing anything. */
export async function planMigration(access: AccessContext, mapping: MigrationMapping): Promise<MigrationPlan> {
  return (await workOut(access, mapping)).plan;
}

function workOut(
  access: AccessContext,
  mapping: MigrationMapping,
): Promise<{ plan: MigrationPlan; moves: readonly Move[] }> {
  return access.store.transaction(async (transaction) => {
    const found = await findMoves(transaction, mapping);
    const rights = await compareRights(transaction, mapping, found.moves);
    const moves = found.moves.map(({ user, old, next }) => ({ user: user.name, from: old.subject, to: next.subject }));
    const { users, conflicts, newcomers } = found;
    return { plan: { users, moves, conflicts, newcomers, rights }, moves: found.moves };
  });
}

/**
 * Moves users to the new directory: their ids, names, installations and sessions stay, what governs them changes.
 * Who has a conflict stays where they are. Memberships of the old directory end, those of the new one are there.
 * @throws AccessError ERR_ACCESS_CONFLICT when rights would change and `acceptRights` is false
 */
export async function applyMigration(
  access: AccessContext,
  mapping: MigrationMapping,
  options: { readonly acceptRights: boolean },
  by: Actor,
): Promise<MigrationPlan> {
  const { plan, moves } = await workOut(access, mapping);
  if (plan.rights.length > 0 && !options.acceptRights)
    throw new AccessError(
      'ERR_ACCESS_CONFLICT',
      `${plan.rights.length} users would not have the same rights: map groups, or say --accept-rights`,
    );
  for (const part of partsOf(moves, BATCH)) await moveUsers(access, { mapping, planned: part, by });
  return plan;
}

/** Users of one transaction. */
const BATCH = 200;

async function moveUsers(
  access: AccessContext,
  { mapping, planned, by }: { mapping: MigrationMapping; planned: readonly Move[]; by: Actor },
): Promise<void> {
  await change(access, by, async (begun) => {
    const { from, to } = mapping;
    const moves = await stillMoving(begun, mapping, planned);
    const { tables } = begun;
    await tables.users.updateEach(moves.map(({ user }) => ({ key: { id: user.id }, change: { directory: to } })));
    await tables.identities.updateEach(
      moves.map(({ user, next }) => ({ key: { directory: to, subject: next.subject }, change: { userId: user.id } })),
    );
    await moveMembers(begun, mapping, moves);
    await begun.rereadRights(moves.map(({ user }) => user.id));
    begun.audit('directory.migrate', `${moves.length} users from ${from} to ${to}`);
  });
}

/** Moves for which, under the lock, everything is still as it was when they were planned. */
async function stillMoving(
  { tables }: Transaction,
  { from, to }: MigrationMapping,
  planned: readonly Move[],
): Promise<Move[]> {
  const ids = planned.map(({ user }) => user.id);
  const users = new Map((await tables.users.list({ among: ['id', ids] })).map((row) => [row.id, row]));
  const subjects = planned.map(({ next }) => next.subject);
  const rows = await tables.identities.list({ where: { directory: to }, among: ['subject', subjects] });
  const accounts = new Map(rows.map((row) => [row.subject, row]));
  return planned.filter(({ user, next }) => {
    const [nowUser, nowNext] = [users.get(user.id), accounts.get(next.subject)];
    const free = nowNext?.userId === '' || nowNext?.userId === user.id;
    return nowUser?.directory === from && nowUser.enabled === user.enabled && free && nowNext?.active === next.active;
  });
}

/** Memberships by the old directory end; those that the new one has for the accounts begin. */
async function moveMembers(
  transaction: Transaction,
  { from, to }: MigrationMapping,
  moves: readonly Move[],
): Promise<void> {
  const { members } = transaction.tables;
  const ids = moves.map(({ user }) => user.id);
  const sources = new Set((await members.list({ among: ['userId', ids] })).map(({ source }) => source));
  for (const source of sources) {
    if (source.startsWith(`${from}/`) || source.startsWith(`${to}/`))
      await members.remove({ where: { source }, among: ['userId', ids] });
  }
  const rows = moves.map(({ user, next }) => ({ subject: next.subject, userId: user.id }));
  await placeMembers(transaction.tables, to, rows);
}

async function findMoves(transaction: Transaction, { from, to, match }: MigrationMapping): Promise<Found> {
  await readDirectory(transaction, from);
  const target: DirectoryRow = await readDirectory(transaction, to);
  const { tables } = transaction;
  const users = (await listAll(tables.users, { where: { directory: from } }, 'id')).sort(byName);
  const olds = new Map((await accountsOf(tables, from)).map((row) => [row.userId, row]));
  const news = await accountsOf(tables, to);
  const byValue = groupByValue(news, match[1]);
  const oldValues = groupByValue([...olds.values()], match[0]);
  const moves: Move[] = [];
  const conflicts: MigrationConflict[] = [];
  for (const user of users) {
    const old = olds.get(user.id);
    const value = old && attributeOf(old, match[0]);
    const fitting = value === undefined ? [] : (byValue.get(value) ?? []);
    const why = whyNot({ user, old, value, fitting, rivals: oldValues.get(value ?? '')?.length ?? 0, match, to });
    if (why === undefined) moves.push({ user, old: old!, next: fitting[0]! });
    else if (user.enabled) conflicts.push({ user: user.name, why });
  }
  const placed = new Set(moves.map(({ next }) => next.subject));
  const newcomers =
    target.stage === 'staged' ? news.filter(({ subject, active }) => active && !placed.has(subject)).length : 0;
  return { moves, conflicts, users: users.length, newcomers };
}

function accountsOf(tables: Transaction['tables'], directory: string): Promise<IdentityRow[]> {
  return listAll(tables.identities, { where: { directory } }, 'subject');
}

function byName(a: UserRow, b: UserRow): number {
  return a.name < b.name ? -1 : 1;
}

function groupByValue(rows: readonly IdentityRow[], attribute: string): ReadonlyMap<string, IdentityRow[]> {
  const groups = new Map<string, IdentityRow[]>();
  for (const row of rows) {
    const value = attributeOf(row, attribute);
    if (value !== undefined) groups.set(value, [...(groups.get(value) ?? []), row]);
  }
  return groups;
}

function attributeOf(row: IdentityRow, attribute: string): string | undefined {
  const own: Record<string, string> = { subject: row.subject, login: row.login, externalId: row.externalId };
  const value = own[attribute] ?? row.attributes[attribute];
  return typeof value === 'string' && value !== '' ? value.toLowerCase() : undefined;
}

function whyNot(of: {
  user: UserRow;
  old: IdentityRow | undefined;
  value: string | undefined;
  fitting: readonly IdentityRow[];
  rivals: number;
  match: MigrationMapping['match'];
  to: string;
}): string | undefined {
  const { user, old, value, fitting, rivals, match, to } = of;
  if (!old) return 'the old directory has no account of this user any more';
  if (value === undefined) return `the old account has no ${match[0]}`;
  if (rivals > 1) return `${rivals} old accounts have the same ${match[0]}`;
  if (fitting.length === 0) return `no account of ${to} has this ${match[1]}`;
  if (fitting.length > 1) return `${fitting.length} accounts of ${to} have this ${match[1]}`;
  const [next] = fitting;
  if (next!.userId !== '' && next!.userId !== user.id) return `the account of ${to} is another user already`;
  if (user.enabled && !next!.active) return `the account of ${to} is not active`;
  return undefined;
}

async function compareRights(
  transaction: Transaction,
  { from, to }: MigrationMapping,
  moves: readonly Move[],
): Promise<RightsChange[]> {
  const { tables } = transaction;
  const set = await readPolicySet(transaction);
  const names = new Map(
    (await tables.directoryGroups.list({ where: { directory: to } })).map((row) => [row.subject, row.groupName]),
  );
  const joined = new Map<string, string[]>();
  const members = new Map<string, { groupName: string; source: string }[]>();
  for (const part of partsOf(moves)) {
    const subjects = part.map(({ next }) => next.subject);
    const rows = await tables.accountGroups.list({ where: { directory: to }, among: ['subject', subjects] });
    for (const { subject, groupSubject } of rows)
      joined.set(subject, [...(joined.get(subject) ?? []), names.get(groupSubject) ?? '']);
    const ids = part.map(({ user }) => user.id);
    for (const { userId, groupName, source } of await tables.members.list({ among: ['userId', ids] }))
      members.set(userId, [...(members.get(userId) ?? []), { groupName, source }]);
  }
  const opened = rightsCache(set);
  return moves.flatMap(({ user, next }) => {
    const rows = members.get(user.id) ?? [];
    const kept = rows.filter(({ source }) => !source.startsWith(`${from}/`)).map(({ groupName }) => groupName);
    const begun = joined.get(next.subject) ?? [];
    const before = opened(rows.map(({ groupName }) => groupName));
    const after = opened([...kept, ...begun]);
    const lost = before.filter((name) => !after.includes(name));
    const gained = after.filter((name) => !before.includes(name));
    return lost.length + gained.length === 0 ? [] : [{ user: user.name, lost, gained }];
  });
}

/** Rights by groups, as texts of resource and conditions. Many users have the same groups. */
function rightsCache(set: PolicySet): (groups: readonly string[]) => readonly string[] {
  const known = new Map<string, readonly string[]>();
  return (groups) => {
    const key = [...new Set(groups)].sort().join('\0');
    const found =
      known.get(key) ??
      grantedResources(set, groups).flatMap(({ name, rules }) => rules.map((rule) => rightText(name, rule)));
    known.set(key, found);
    return found;
  };
}

/** Two policies with the same conditions give the same right. */
function rightText(resource: string, { policy: _, context, ...rest }: AccessRule): string {
  const conditions = { ...(Object.keys(context).length > 0 ? { context } : {}), ...rest };
  return Object.keys(conditions).length === 0 ? resource : `${resource} ${JSON.stringify(conditions)}`;
}
