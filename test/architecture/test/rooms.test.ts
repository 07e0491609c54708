import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { circlesIn, ROOMS, roomViolations } from '../src/rooms.ts';
import { readSources, roomOf, type SourceFile } from '../src/sources.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const projects = ['libs', 'apps', 'test', 'deploy'].flatMap((top) =>
  readdirSync(`${root}/${top}`).map((name) => `${top}/${name}`),
);

/** Circles that may stand, by the folder in which all of their files lie, and why. */
const CIRCLES: Readonly<Record<string, string>> = {
  'apps/proxy/src/backend/':
    'a pool, its connections, its calls and the shares of channels in it hold each other: one idea in five files',
};

test('no file and no room knows itself over others, not even by a type', () => {
  expect(projects.length).toBeGreaterThan(20);
  for (const project of projects) {
    const circles = circlesIn(readSources(root, project), ROOMS[project]);
    const excepted = (circle: readonly string[]): boolean =>
      Object.keys(CIRCLES).some((folder) => circle.every((path) => path.startsWith(folder)));
    expect(circles.filter((circle) => !excepted(circle))).toEqual([]);
  }
});

test('a project that has rooms has floors for them', () => {
  const withRooms = projects.filter((project) => readSources(root, project).some(({ path }) => roomOf(path) !== ''));
  expect(withRooms.sort()).toEqual(Object.keys(ROOMS).sort());
});

test.each(Object.entries(ROOMS))('inside of %s, rooms use rooms of lower floors only', (project, floors) => {
  const files = readSources(root, project);
  expect(files.length).toBeGreaterThan(10);
  expect(roomViolations(files, floors)).toEqual([]);
});

describe('it can fail', () => {
  const file = (path: string, ...imports: string[]): SourceFile => ({
    path: `libs/x/src/${path}`,
    text: '',
    imports: imports.map((name) => `libs/x/src/${name}`),
  });

  test('for an import upward, one sideways, and a room without a floor', () => {
    const files = [
      file('index.ts', 'high/a.ts', 'errors.ts'),
      file('high/a.ts', 'low/b.ts', 'beside/c.ts'),
      file('low/b.ts', 'high/a.ts'),
      file('beside/c.ts'),
      file('attic/d.ts'),
    ];
    expect(roomViolations(files, ['low', 'high beside', '*'])).toEqual([
      'attic stands on no floor: name it in test/architecture/src/rooms.ts',
      'libs/x/src/high/a.ts may not import libs/x/src/beside/c.ts: beside does not lie below',
      'libs/x/src/low/b.ts may not import libs/x/src/high/a.ts: high does not lie below',
    ]);
  });

  test('but what lies on the ground by its name may be used from everywhere', () => {
    const files = [file('low/b.ts', 'high/rows.ts'), file('high/rows.ts', 'low/shape.ts'), file('low/shape.ts')];
    expect(roomViolations(files, ['low/shape.ts', '*/rows.ts', 'low', 'high'])).toEqual([]);
  });

  test('for circles of files and of rooms', () => {
    const files = [
      file('a.ts', 'b.ts'),
      file('b.ts', 'c.ts'),
      file('c.ts', 'a.ts', 'd/e.ts'),
      file('d/e.ts', 'f/g.ts'),
      file('d/h.ts'),
      file('f/g.ts', 'd/h.ts'),
    ];
    expect(circlesIn(files)).toEqual([
      ['libs/x/src/a.ts', 'libs/x/src/b.ts', 'libs/x/src/c.ts'],
      ['a.ts', 'b.ts', 'c.ts'],
      ['d', 'f'],
    ]);
  });
});
