import { expect, test } from 'vitest';
import { turnOf } from '../src/turns.ts';

const ALL = ['archive', 'clocks', 'links', 'nodes', 'proxies', 'redis'];
const drawn = (seed: number): string[] => [...turnOf(ALL, { count: 2, seed }).names];

test('a long run shows all scenarios', () => {
  expect(turnOf(ALL, { count: undefined, seed: 7 })).toEqual({ names: new Set(ALL), words: undefined });
});

test('a seed draws the same ones again, other seeds others, and each has its turn', () => {
  const turns = Array.from({ length: 100 }, (_, seed) => drawn(seed));
  for (const [seed, names] of turns.entries()) {
    expect(new Set(names).size).toBe(2);
    expect(drawn(seed)).toEqual(names);
  }
  expect(new Set(turns.flat())).toEqual(new Set(ALL));
  expect(new Set(turns.map(String)).size).toBeGreaterThan(10);
});

test('what is left out is said with how to see it, and more than there are is all', () => {
  expect(turnOf(ALL, { count: 1, seed: 5 }).words).toMatch(/^this run shows \w+: TEST_SEED=5 .*TEST_FORM=long/);
  expect(turnOf(ALL, { count: 99, seed: 1 }).names).toEqual(new Set(ALL));
});
