import type { AccountConflict, DirectoryRow, Transaction } from '@sallyport/access';
import type { DirectoryView } from '@sallyport/security-api';
import { stateOf } from './state.ts';

/** A directory and how it is, as operators see it. Its secrets are no part of it. */
export async function directoryView({ tables }: Transaction, row: DirectoryRow): Promise<DirectoryView> {
  const { name, kind, stage, settings, createdAt } = row;
  const { progress, report, question, trouble, troubleSince, conflicts } = stateOf(row);
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

/** What an officer must know of directories, in words: nothing of it takes anybody's session. */
export function directoryWords(rows: readonly DirectoryRow[]): string[] {
  return rows.flatMap((row) => {
    const { trouble, troubleSince, question, report } = stateOf(row);
    const since = troubleSince ? ` since ${new Date(troubleSince).toISOString().slice(0, 19)}Z` : '';
    return [
      ...(trouble
        ? [`directory ${row.name} does not work${since} (${trouble}); sessions go on, changes there do not arrive`]
        : []),
      ...(report?.unreadable
        ? [
            `directory ${row.name} has ${report.unreadable} entries without an id or a login that may be read: they are nobody here; sallyport directory test ${row.name}`,
          ]
        : []),
      ...(question
        ? [
            `directory ${row.name} would remove ${question.count} of ${question.of} ${question.what === 'users' ? 'users' : 'memberships'}: sallyport directory sync ${row.name} --confirm ${question.id}`,
          ]
        : []),
    ];
  });
}
