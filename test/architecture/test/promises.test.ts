import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const { scripts } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as { scripts: Record<string, string> };

/** Names of all test files of the project. */
const tests = new Set(
  ['apps', 'libs', 'test', 'deploy'].flatMap((place) =>
    readdirSync(`${root}/${place}`).flatMap((project) => testsIn(`${root}/${place}/${project}/test`)),
  ),
);

function testsIn(folder: string): string[] {
  try {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((file) => basename(file));
    return files.filter((name) => /\.(test|contract)\.ts$/.test(name));
  } catch {
    return [];
  }
}

const ROW = /^\| (?!promise \||-)(.*?) \|.*\| (.*?) \|$/;
const rows = readFileSync(`${root}/docs/security.md`, 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [, promise, shownBy] = ROW.exec(line) ?? [];
    return promise === undefined ? [] : [{ promise, shownBy: shownBy! }];
  });

test('every promise of docs/security.md names what shows it, and that is there', () => {
  expect(rows.length).toBeGreaterThan(80);
  for (const { promise, shownBy } of rows) {
    const named = [...shownBy.matchAll(/`([\w-]+\.(?:test|contract)\.ts)`/g)].map(([, name]) => name!);
    const commands = [...shownBy.matchAll(/`npm run ([\w:-]+)/g)].map(([, name]) => name!);
    expect(named.length + commands.length + (shownBy.includes('](') ? 1 : 0), promise).toBeGreaterThan(0);
    for (const name of named) expect(tests.has(name), `${promise}: ${name}`).toBe(true);
    for (const name of commands) expect(Object.keys(scripts), promise).toContain(name);
  }
});

test('no promise stands there twice', () => {
  const promises = rows.map(({ promise }) => promise);
  expect(promises.filter((promise, i) => promises.indexOf(promise) !== i)).toEqual([]);
});
