import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { LONG_FILES, leftOutLines, SHORT_RUN_SECONDS, turnOf, turnOfRun } from '../src/turns.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const files = Object.keys(LONG_FILES).sort();
const short = (seed: number) => turnOfRun({ TEST_FORM: 'short', TEST_SEED: String(seed) });

test('every file that takes turns is there, and every scenario of the fault rig does', () => {
  expect(globSync(files, { cwd: ROOT }).sort()).toEqual(files);
  const scenarios = globSync('test/fault/test/scenarios/*.test.ts', { cwd: ROOT });
  const others = scenarios.filter((file) => !files.includes(file));
  expect(others).toEqual(['test/fault/test/scenarios/index.test.ts']);
});

test('a short run shows as much as its time allows, the same for one seed, and over some runs everything', () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 100; seed++) {
    const { shown, left } = short(seed);
    expect([...shown, ...left].sort()).toEqual(files);
    const seconds = shown.reduce((sum, file) => sum + LONG_FILES[file]!, 0);
    expect(seconds).toBeLessThanOrEqual(SHORT_RUN_SECONDS);
    // Nothing that is left out would have had a place.
    for (const file of left) expect(seconds + LONG_FILES[file]!).toBeGreaterThan(SHORT_RUN_SECONDS);
    expect(short(seed)).toEqual({ shown, left, seed });
    for (const file of shown) seen.add(file);
  }
  expect([...seen].sort()).toEqual(files);
});

test('a long run, and one that was told nothing, leaves out nothing', () => {
  for (const environment of [{}, { TEST_FORM: 'long' }]) {
    const turn = turnOfRun(environment);
    expect(turn.left).toEqual([]);
    expect(leftOutLines(turn)).toEqual([]);
  }
  expect(() => turnOfRun({ TEST_FORM: 'shrot' })).toThrow('TEST_FORM is short or long, and not shrot');
});

test('what was left out is said by name, with how to draw it again and how to run it', () => {
  const lines = leftOutLines({ ...turnOf({ 'a.test.ts': 5, 'b.test.ts': 9 }, 8, 1), seed: 1 });
  expect(lines.join('\n')).toMatch(/1 files .*TEST_SEED=1 .*TEST_FORM=long npm test/);
  expect(lines.at(-1)).toBe('   b.test.ts');
});
