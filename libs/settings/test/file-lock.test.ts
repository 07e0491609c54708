import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withFileLock } from '../src/index.ts';

const SOURCE = new URL('../src/index.ts', import.meta.url).href;
let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'file-lock-'));
  file = join(folder, 'count');
});
afterEach(() => rmSync(folder, { recursive: true }));

test('processes that change one file at once lose no change', async () => {
  writeFileSync(file, '0');
  const add = `import { replacePrivateFile, withFileLock } from ${JSON.stringify(SOURCE)};
    import { readFileSync } from 'node:fs';
    const [file] = process.argv.slice(1);
    for (let i = 0; i < 50; i++)
      withFileLock(file, () => replacePrivateFile(file, String(Number(readFileSync(file, 'utf8')) + 1)));`;
  const adding = Array.from({ length: 3 }, () =>
    once(spawn(process.execPath, ['--input-type=module', '-e', add, file], { stdio: 'inherit' }), 'exit'),
  );
  for (const [status] of await Promise.all(adding)) expect(status).toBe(0);
  expect(readFileSync(file, 'utf8')).toBe('150');
  expect(readdirSync(folder)).toEqual(['count']);
});

test('what a process that ended has left is no lock, nor what is old and nobody can be asked about', () => {
  const lock = `${file}.lock`;
  const left = (holder: string, ageMs = 0): boolean => {
    writeFileSync(lock, holder);
    const at = (Date.now() - ageMs) / 1_000;
    utimesSync(lock, at, at);
    return withFileLock(file, () => true);
  };
  withFileLock(file, () => {
    const own = JSON.parse(readFileSync(lock, 'utf8')) as { pid: number; begun: string };
    writeFileSync(`${file}.own`, JSON.stringify({ ...own, begun: '1' }));
  });
  expect(left(readFileSync(`${file}.own`, 'utf8'))).toBe(true);
  expect(left('torn', 60_000)).toBe(true);
  expect(left(JSON.stringify({ id: 'x', pid: process.pid, begun: '1', space: 'elsewhere' }), 60_000)).toBe(true);
  expect(existsSync(lock)).toBe(false);
});

test('a lock that somebody holds is not taken away, and what fails in it gives it back', () => {
  withFileLock(file, () => {
    expect(() => withFileLock(file, () => 'both')).toThrow('another process holds');
  });
  expect(() =>
    withFileLock(file, () => {
      throw new Error('no');
    }),
  ).toThrow('no');
  expect(withFileLock(file, () => 1)).toBe(1);
});
