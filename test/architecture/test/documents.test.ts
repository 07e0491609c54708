import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const inDocs = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' });
const DOCUMENTS = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...inDocs.filter((name) => name.endsWith('.md')).map((name) => join('docs', name)),
];

/** Cells of a row; a bar behind a backslash, or in code, is text. */
function cellsOf(row: string): number {
  return row.replace(/\\\||`[^`]*`/g, '').split('|').length - 2;
}

/** Rows of tables that a reader sees as text, or in other columns than they are meant for. */
function brokenRows(text: string): string[] {
  const lines = text.replace(/^```[\s\S]*?^```/gm, (code) => code.replace(/[^\n]/g, '')).split('\n');
  return lines.flatMap((line, i) => {
    if (!line.startsWith('|')) return [];
    const begins = !lines[i - 1]?.startsWith('|');
    if (begins) return /^\|(?:\s*:?-+:?\s*\|)+\s*$/.test(lines[i + 1] ?? '') ? [] : [line.slice(0, 60)];
    return cellsOf(line) === cellsOf(lines[i - 1]!) ? [] : [line.slice(0, 60)];
  });
}

test('tables of the documents are whole', () => {
  const broken = DOCUMENTS.flatMap((file) =>
    brokenRows(readFileSync(join(ROOT, file), 'utf8')).map((row) => `${file}: ${row}`),
  );
  expect(broken).toEqual([]);
});
