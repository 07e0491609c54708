import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { readCommands, unknownIn } from '../src/known-commands.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const pages = globSync('{*.md,docs/**/*.md,deploy/**/*.md}', { cwd: root }).filter(
  (page) => !page.includes('decisions'),
);

/** Command lines of a page: in blocks of code, and in the middle of a sentence; those that go on in the next line are one. */
function linesOf(page: string): string[] {
  const text = readFileSync(`${root}/${page}`, 'utf8')
    .replaceAll('npm run sallyport -- ', 'sallyport ')
    .replaceAll(/\\\n\s*/g, ' ');
  const blocks = text.split('\n').flatMap((line) => /^(?: {4}|\s*)(sallyport [a-z].*)$/.exec(line)?.[1] ?? []);
  const inline = [...text.matchAll(/`(sallyport [a-z][^`\n]*)`/g)].map(([, line]) => line!);
  return [...blocks, ...inline];
}

test('every command that a document names exists, with its options', async () => {
  const program = await readCommands();
  const all = pages.flatMap((page) => linesOf(page).map((line) => ({ page, line })));
  expect(all.length).toBeGreaterThan(100);
  expect(all.flatMap(({ page, line }) => unknownIn(program, line).map((what) => `${page}: ${what}`))).toEqual([]);
});

test('a command or an option that there is not is found', async () => {
  const program = await readCommands();
  expect(unknownIn(program, 'sallyport user rights ada   # why')).toEqual([]);
  expect(unknownIn(program, 'sallyport user explain ada')).toHaveLength(1);
  expect(unknownIn(program, 'sallyport session revoke x --because lost')).toEqual(['--because is no option of revoke']);
});
