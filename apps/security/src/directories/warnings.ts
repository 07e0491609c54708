import type { DirectoryRow } from '@sallyport/access';

/** What an officer must know of directories, in words: nothing of it takes anybody's session. */
export function directoryWarnings(rows: readonly DirectoryRow[]): string[] {
  return rows.flatMap((row) => {
    const { trouble, troubleSince, question, report } = row.state;
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
