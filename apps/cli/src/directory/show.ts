import { styleText } from 'node:util';
import type { DirectoryView, FindingView } from '@sallyport/security-api';
import { formatTime, printRows } from '../output.ts';
import { printable } from '../terminal.ts';

export const DIRECTORY_COLUMNS: readonly string[] = [
  'name',
  'kind',
  'stage',
  'users',
  'accounts',
  'groups',
  'syncedAt',
  'state',
];

/** One line of a directory for tables. */
export function directoryRow(view: DirectoryView): object {
  return { ...view, syncedAt: view.report?.at ?? 0, state: stateWord(view) };
}

function stateWord({ kind, report, trouble, question, running, progress, conflicts }: DirectoryView): string {
  if (running) return progress ? `${progress.phase} ${progress.done}` : 'running';
  if (trouble) return 'does not work';
  if (question) return 'asks';
  if (kind === 'ldap' && !report) return 'not synced yet';
  if (report?.unreadable) return `${report.unreadable} unreadable`;
  return conflicts.length > 0 ? `${conflicts.length} conflicts` : 'well';
}

/** A directory with everything that an operator should know of it now. */
export function sayDirectory(view: DirectoryView): void {
  printRows([directoryRow(view)], DIRECTORY_COLUMNS, false);
  const { report, trouble, troubleSince, question, conflicts, name } = view;
  const lines: string[] = [];
  if (report) {
    const { mode, tookMs, server, created, changed, disabled, removed, joined, left } = report;
    lines.push(
      `last sync      ${mode}, ${formatTime(report.at)}, ${(tookMs / 1_000).toFixed(1)} s, from ${server}`,
      `               ${created} created, ${changed} changed, ${disabled} disabled, ${removed} removed, ${joined} joined groups, ${left} left them`,
    );
  }
  if (report?.unreadable)
    lines.push(
      styleText(
        'yellow',
        `unreadable     ${report.unreadable} entries have no id or no login that may be read: they are nobody here`,
      ),
      `               what is missing: sallyport directory test ${name}`,
    );
  if (trouble)
    lines.push(
      styleText('red', `does not work  since ${formatTime(troubleSince ?? 0)}: ${trouble}`),
      '               sessions go on; what changes there does not arrive',
    );
  if (question) {
    const what = question.what === 'users' ? 'users would be out' : 'accounts would lose a group';
    lines.push(
      styleText(
        'yellow',
        printable(
          `question       ${question.count} of ${question.of} ${what}: ${question.sample.join(', ')}${question.count > question.sample.length ? ', …' : ''}`,
        ),
      ),
      `               if that is meant: sallyport directory sync ${name} --confirm ${question.id}`,
    );
  }
  for (const { login, why } of conflicts) lines.push(styleText('yellow', printable(`conflict       ${login}: ${why}`)));
  if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
}

/** What `test` found. */
export function sayFindings(findings: readonly FindingView[]): void {
  for (const { check, ok, words } of findings)
    process.stdout.write(
      `${ok ? styleText('green', '✔') : styleText('red', '✘')} ${printable(`${check}: ${words}`)}\n`,
    );
}
