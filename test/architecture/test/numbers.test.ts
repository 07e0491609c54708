import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const NUMBERED = /^(\d{4})[-_].+\.(md|sql)$/;

function numbered(folder: string): { readonly file: string; readonly number: string }[] {
  return readdirSync(`${root}/${folder}`)
    .sort()
    .flatMap((file) => {
      const number = NUMBERED.exec(file)?.[1];
      return number === undefined ? [] : [{ file, number }];
    });
}

/** Files that took the number of another one. */
function takenTwice(files: readonly { readonly file: string; readonly number: string }[]): string[] {
  return files.filter(({ number }, index) => files[index - 1]?.number === number).map(({ file }) => file);
}

test('every decision has a number of its own, says it in its heading, says what was rejected, and stands in the index with date and status', () => {
  const decisions = numbered('docs/decisions');
  expect(decisions.length).toBeGreaterThan(20);
  expect(takenTwice(decisions)).toEqual([]);
  const index = readFileSync(`${root}/docs/decisions/README.md`, 'utf8').split('\n');
  for (const { file, number } of decisions) {
    const text = readFileSync(`${root}/docs/decisions/${file}`, 'utf8');
    expect(text, `${file} says what else was looked at`).toMatch(/\b(?:Rejected|Considered|Tried)\b/i);
    const heading = /^# (\d+)\. (.+)$/m.exec(text);
    expect(heading?.[1], file).toBe(String(Number(number)));
    const rows = index.filter((line) => line.includes(`(${file})`));
    expect(rows, `${file} stands in docs/decisions/README.md once`).toHaveLength(1);
    const [, , title, date, status] = rows[0]!.split('|').map((cell) => cell.trim());
    expect(title, file).toBe(heading?.[2]);
    expect(date, file).toMatch(/^\d{4}-\d\d-\d\d$/);
    expect(status, file).toMatch(/^(accepted|replaced by \[\d{4}\]\(\d{4}-[\w-]+\.md\))$/);
  }
});

test('every migration has a number of its own: names are kept in databases, so the first that met stays as it is', () => {
  const migrations = numbered('libs/store-sql/migrations');
  // Databases know both by name already; between them no order is needed.
  expect(takenTwice(migrations)).toEqual(['0010_session_end.sql']);
  const numbers = [...new Set(migrations.map(({ number }) => Number(number)))];
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});

test('until something is released, the changelog tells what is there, not what became of it', () => {
  const [unreleased = '', ...released] = readFileSync(`${root}/CHANGELOG.md`, 'utf8')
    .split(/^## \[/m)
    .slice(1);
  expect(unreleased).toMatch(/^Unreleased\]/);
  const headings = [...unreleased.matchAll(/^### (.+)$/gm)].map(([, heading]) => heading);
  if (released.length === 0) expect(headings).toEqual(['Added']);
});
