import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/** From the top down: a room uses itself and those behind it. The first are the files beside the rooms. */
const ROOMS = ['.', 'device', 'streams', 'serving', 'backend', 'web-socket'];
const SOURCES = fileURLToPath(new URL('../src', import.meta.url));

/** Files that a source imports, types included, as paths in the sources. */
function importsOf(file: string): string[] {
  const found = [...readFileSync(join(SOURCES, file), 'utf8').matchAll(/from '(\.{1,2}\/[^']+)'/g)];
  return found.map(([, path]) => relative(SOURCES, join(SOURCES, dirname(file), path!)));
}

test('rooms lie in one line: each uses only those below it', () => {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  expect(files.length).toBeGreaterThan(40);
  const upward = files.flatMap((file) =>
    importsOf(file)
      .filter((used) => ROOMS.indexOf(dirname(used)) < ROOMS.indexOf(dirname(file)))
      .map((used) => `${file} uses ${used}`),
  );
  expect(upward).toEqual([]);
  expect(files.filter((file) => !ROOMS.includes(dirname(file)))).toEqual([]);
});
