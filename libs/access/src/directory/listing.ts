import type { AccessContext } from '../realm/context.ts';
import type { Selection, Table, Transaction } from '../store/store.ts';
import type { DirectoryGroupRow, IdentityRow } from './rows.ts';

/** Rows that are looked at together when a filter has no index. */
const SCAN = 200;

/** Which part of a list is wanted. */
export interface Listing<Item> {
  /** Items to leave out first. */
  readonly offset: number;
  readonly limit: number;
  /** Keeps those of a part of the items that fit; all do where it is absent. Called in the transaction. */
  readonly sieve?: ((part: readonly Item[]) => Promise<readonly Item[]>) | undefined;
}

/** A page of a list, and how many items the whole list has. */
export interface Listed<Item> {
  readonly items: readonly Item[];
  readonly total: number;
}

/** An account with its groups: what its directory calls them, by their ids there. */
export interface AccountWithGroups {
  readonly account: IdentityRow;
  readonly groups: readonly Pick<DirectoryGroupRow, 'subject' | 'name'>[];
}

/** Accounts of a directory that are wanted. */
export interface AccountListing extends Listing<AccountWithGroups> {
  /** What an index knows of those that can fit. */
  readonly only?: Partial<Pick<IdentityRow, 'subject' | 'externalId' | 'login'>> | undefined;
  /** Whether the sieve looks at groups; they are left empty for it where it does not. */
  readonly sievesGroups?: boolean;
}

/** A page of a directory's accounts, in the order of their ids there. */
export function listAccounts(
  access: AccessContext,
  directory: string,
  { only = {}, sievesGroups = false, ...listing }: AccountListing,
): Promise<Listed<AccountWithGroups>> {
  return access.store.transaction(async (transaction) => {
    const bare = (rows: readonly IdentityRow[]) => rows.map((account) => ({ account, groups: [] }));
    const source: Source<IdentityRow, AccountWithGroups> = {
      table: transaction.tables.identities,
      selection: { where: { directory, ...only } },
      seen: async (rows) => (sievesGroups ? accountsWithGroups(transaction, directory, rows) : bare(rows)),
      rowOf: ({ account }) => account,
    };
    const { rows, total } = await select(source, listing);
    return { items: await accountsWithGroups(transaction, directory, rows), total };
  });
}

/** One account with its groups; undefined when there is none. */
export function findAccount(
  access: AccessContext,
  directory: string,
  subject: string,
): Promise<AccountWithGroups | undefined> {
  return access.store.transaction(async (transaction) => {
    const row = await transaction.tables.identities.find({ directory, subject });
    return row && (await accountsWithGroups(transaction, directory, [row]))[0];
  });
}

/** Those of some ids that accounts of a directory have. */
export async function knownSubjects(
  access: AccessContext,
  directory: string,
  subjects: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await access.store.transaction(({ tables }) =>
    tables.identities.list({ where: { directory }, among: ['subject', subjects] }),
  );
  return new Set(rows.map(({ subject }) => subject));
}

/** Accounts with their groups, in the caller's transaction. */
export async function accountsWithGroups(
  { tables }: Transaction,
  directory: string,
  rows: readonly IdentityRow[],
): Promise<AccountWithGroups[]> {
  const where = { directory };
  const joined = await tables.accountGroups.list({ where, among: ['subject', rows.map(({ subject }) => subject)] });
  const ids = [...new Set(joined.map(({ groupSubject }) => groupSubject))];
  const known = await tables.directoryGroups.list({ where, among: ['subject', ids] });
  const groups = new Map(known.map(({ subject, name }) => [subject, { subject, name }]));
  const bySubject = new Map<string, Pick<DirectoryGroupRow, 'subject' | 'name'>[]>();
  for (const { subject, groupSubject } of joined) {
    const group = groups.get(groupSubject);
    if (group) bySubject.set(subject, [...(bySubject.get(subject) ?? []), group]);
  }
  return rows.map((account) => ({ account, groups: bySubject.get(account.subject) ?? [] }));
}

/** A group of a directory, and those of the members asked for that are in it. */
export interface GroupWithMember {
  readonly group: DirectoryGroupRow;
  readonly members: readonly string[];
}

/** Groups of a directory that are wanted. */
export interface GroupListing extends Listing<GroupWithMember> {
  /** What an index knows of those that can fit; `member` is an account's id. */
  readonly only?:
    | (Partial<Pick<DirectoryGroupRow, 'subject' | 'externalId'>> & { readonly member?: string })
    | undefined;
  /** Ids of accounts for which the sieve is told whether they are in. */
  readonly members?: readonly string[];
}

/** A page of a directory's groups, in the order of their ids there. */
export function listSourceGroups(
  access: AccessContext,
  directory: string,
  { only = {}, members = [], ...listing }: GroupListing,
): Promise<Listed<DirectoryGroupRow>> {
  return access.store.transaction(async (transaction) => {
    const { member, ...columns } = only;
    const joined = member === undefined ? {} : { among: await groupsOfMember(transaction, directory, member) };
    const source: Source<DirectoryGroupRow, GroupWithMember> = {
      table: transaction.tables.directoryGroups,
      selection: { where: { directory, ...columns }, ...joined },
      async seen(groups) {
        const seen: GroupWithMember[] = [];
        for (const group of groups) seen.push({ group, members: await membersAmong(transaction, group, members) });
        return seen;
      },
      rowOf: ({ group }) => group,
    };
    const { rows, total } = await select(source, listing);
    return { items: rows, total };
  });
}

async function groupsOfMember(
  { tables }: Transaction,
  directory: string,
  subject: string,
): Promise<readonly ['subject', string[]]> {
  const joined = await tables.accountGroups.list({ where: { directory, subject } });
  return ['subject', joined.map(({ groupSubject }) => groupSubject)];
}

async function membersAmong(
  { tables }: Transaction,
  { directory, subject: groupSubject }: DirectoryGroupRow,
  subjects: readonly string[],
): Promise<string[]> {
  if (subjects.length === 0) return [];
  const rows = await tables.accountGroups.list({ where: { directory, groupSubject }, among: ['subject', subjects] });
  return rows.map(({ subject }) => subject);
}

/** A group of a directory by its id there; undefined when there is none. */
export function findSourceGroup(
  access: AccessContext,
  directory: string,
  subject: string,
): Promise<DirectoryGroupRow | undefined> {
  return access.store.transaction(({ tables }) => tables.directoryGroups.find({ directory, subject }));
}

/** A page of the accounts in a group, by their ids; `after` is the last id of the page before. */
export async function listMembers(
  access: AccessContext,
  { directory, subject: groupSubject }: Pick<DirectoryGroupRow, 'directory' | 'subject'>,
  { after = '', limit }: { readonly after?: string; readonly limit: number },
): Promise<string[]> {
  const page = { where: { directory, groupSubject }, above: ['subject', after], limit } as const;
  const rows = await access.store.transaction(({ tables }) => tables.accountGroups.list(page));
  return rows.map(({ subject }) => subject);
}

interface Source<Row, Item> {
  readonly table: Table<Row>;
  readonly selection: Pick<Selection<Row>, 'where' | 'among'>;
  /** Rows as the sieve sees them. */
  readonly seen: (rows: readonly Row[]) => Promise<readonly Item[]>;
  readonly rowOf: (item: Item) => Row;
}

async function select<Row extends { readonly subject: string }, Item>(
  { table, selection, seen, rowOf }: Source<Row, Item>,
  { offset, limit, sieve }: Listing<Item>,
): Promise<{ readonly rows: readonly Row[]; readonly total: number }> {
  if (!sieve) {
    const rows = limit === 0 ? [] : await table.list({ ...selection, offset, limit });
    return { rows, total: await table.count(selection) };
  }
  const rows: Row[] = [];
  let total = 0;
  for (let after = ''; ; ) {
    const part = await table.list({ ...selection, above: ['subject', after], limit: SCAN });
    for (const item of await sieve(await seen(part))) {
      total += 1;
      if (total > offset && rows.length < limit) rows.push(rowOf(item));
    }
    if (part.length < SCAN) return { rows, total };
    after = part.at(-1)!.subject;
  }
}
