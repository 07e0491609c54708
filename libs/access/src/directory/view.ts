import type { DirectoryView } from '@sallyport/security-api';
import type { AccessContext } from '../realm/context.ts';
import type { Transaction } from '../store/store.ts';
import { readDirectory } from './directories.ts';
import type { AccountConflict, DirectoryRow } from './rows.ts';

/** A directory and how it is, as operators see it. @throws AccessError ERR_ACCESS_NOT_FOUND */
export function viewDirectory(access: AccessContext, name: string): Promise<DirectoryView> {
  return access.store.transaction(async (transaction) => viewOf(transaction, await readDirectory(transaction, name)));
}

/** A page of directories in the order of their names; `after` is the last name of the page before. */
export function viewDirectories(
  access: AccessContext,
  { after = '', limit }: { readonly after?: string | undefined; readonly limit: number },
): Promise<DirectoryView[]> {
  return access.store.transaction(async (transaction) => {
    const views: DirectoryView[] = [];
    const rows = await transaction.tables.directories.list({ above: ['name', after], limit });
    // One after another: a transaction is one connection.
    for (const row of rows) views.push(await viewOf(transaction, row));
    return views;
  });
}

/** Its secrets are no part of it. */
async function viewOf({ tables }: Transaction, row: DirectoryRow): Promise<DirectoryView> {
  const { name, kind, stage, settings, createdAt } = row;
  const { progress, report, question, trouble, troubleSince, conflicts } = row.state;
  return {
    name,
    kind,
    stage,
    settings,
    createdAt,
    accounts: await tables.identities.count({ where: { directory: name } }),
    users: await tables.users.count({ where: { directory: name, enabled: true } }),
    groups: await tables.directoryGroups.count({ where: { directory: name } }),
    running: row.runId !== null,
    progress: progress ?? null,
    report: report ?? null,
    question: question ?? null,
    trouble: trouble ?? null,
    troubleSince: troubleSince ?? null,
    conflicts: await unsolved(tables, name, conflicts ?? []),
  };
}

/** Conflicts whose account still waits: its version is kept only when it was taken over as it is. */
async function unsolved(
  tables: Transaction['tables'],
  directory: string,
  conflicts: readonly AccountConflict[],
): Promise<AccountConflict[]> {
  if (conflicts.length === 0) return [];
  const subjects = conflicts.map(({ subject }) => subject);
  const rows = await tables.identities.list({ where: { directory, version: '' }, among: ['subject', subjects] });
  const waiting = new Set(rows.map(({ subject }) => subject));
  return conflicts.filter(({ subject }) => waiting.has(subject));
}

/** A group of a directory, what it stands for here, and how many accounts are in it. */
export interface SourceGroupView {
  readonly subject: string;
  readonly name: string;
  /** The group of the realm. */
  readonly group: string;
  readonly accounts: number;
}

/**
 * A page of a directory's groups in the order of their ids there; `after` is the last id of the page before.
 * @throws AccessError ERR_ACCESS_NOT_FOUND
 */
export function viewSourceGroups(
  access: AccessContext,
  directory: string,
  { after = '', limit }: { readonly after?: string | undefined; readonly limit: number },
): Promise<SourceGroupView[]> {
  return access.store.transaction(async (transaction) => {
    await readDirectory(transaction, directory);
    const { directoryGroups, accountGroups } = transaction.tables;
    const views: SourceGroupView[] = [];
    for (const row of await directoryGroups.list({ where: { directory }, above: ['subject', after], limit })) {
      const accounts = await accountGroups.count({ where: { directory, groupSubject: row.subject } });
      views.push({ subject: row.subject, name: row.name, group: row.groupName, accounts });
    }
    return views;
  });
}
