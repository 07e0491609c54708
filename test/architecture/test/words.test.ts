import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { readText } from '../src/settings.ts';
import { exportedNames, forbiddenIn, isDrawer, saysNothing, twinsOf } from '../src/words.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const OUTSIDE = /node_modules|\.tsbuild|\/dist\//;
const list = (pattern: string): { path: string; text: string }[] =>
  globSync(pattern, { cwd: root, exclude: (path) => OUTSIDE.test(path) })
    .filter((path) => !OUTSIDE.test(path))
    .sort()
    .map((path) => ({ path, text: readText(root, path) }));

/** This file and the table of spellings say what they forbid. */
const OWN = /^test\/architecture\/(?:src|test)\/words/;
const texts = [...list('*.md'), ...list('{apps,libs,test,docs,deploy}/**/*.{ts,md,mjs}')].filter(
  ({ path }) => !OWN.test(path),
);
/** What servers, libraries and pages are made of. Projects of tests are worlds of their own. */
const sources = list('{apps,libs}/*/{src,web}/**/*.ts');

/** Names that stand for one thing in each of several places, and why they may. */
const TWINS: Readonly<Record<string, string>> = {
  SETTINGS: 'what a server reads; each has its own, called alike so that their documents are made',
  Config: 'values of the SETTINGS of one server',
  openDevice: 'one function of the SDK, for browsers and for Node',
};

test('one spelling of a word: British, as the words of the house', () => {
  expect(texts.length).toBeGreaterThan(500);
  for (const { path, text } of texts) expect(forbiddenIn(text), path).toEqual([]);
});

test('a name that is exported means one thing in the whole house', () => {
  expect(sources.length).toBeGreaterThan(300);
  const twins = [...twinsOf(sources)].filter(([name]) => !(name in TWINS));
  expect(twins.map(([name, places]) => `${name}: ${places.join(', ')}`)).toEqual([]);
});

test('no name that says nothing, no drawer', () => {
  for (const { path, text } of sources) expect(exportedNames(text).filter(saysNothing), path).toEqual([]);
  expect(sources.map(({ path }) => path).filter(isDrawer)).toEqual([]);
});

test('it can fail: spellings, twins, empty names and drawers are found', () => {
  expect(
    forbiddenIn('reauthorize an Enrollment, NORMALIZED; enrolled, authorization and text.normalize() are fine'),
  ).toEqual(['reauthorize: say authorise', 'Enrollment: say enrol', 'NORMALIZED: say normalise']);
  const file = (path: string, text: string) => ({ path, text });
  const files = [file('a.ts', 'export const x = 1;\nexport type y = 2;'), file('b.ts', 'export async function x() {}')];
  expect([...twinsOf(files)]).toEqual([['x', ['a.ts', 'b.ts']]]);
  expect(['KeyManager', 'Keys', 'textUtils'].map(saysNothing)).toEqual([true, false, true]);
  expect(['a/utils/b.ts', 'a/helper.ts', 'a/types.ts', 'a/typed.ts'].map(isDrawer)).toEqual([true, true, true, false]);
});
