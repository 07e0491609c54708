import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { missingPackages, readFound, search } from '../src/search.ts';
import { SEARCHES } from '../src/searches.ts';

const MODEL = readFileSync(new URL('../revocation.pml', import.meta.url), 'utf8');
const missing = await missingPackages();
if (missing.length > 0) throw new Error(`the model needs Debian packages: apt-get install ${missing.join(' ')}`);

for (const one of SEARCHES.filter(({ size }) => size === 'seconds')) {
  const what = one.expect === 'holds' ? 'the design holds' : 'a counterexample is found';
  test(`${what}: ${one.shows}`, { timeout: 300_000 }, async () => {
    const { outcome, states, steps } = await search(one);
    expect(outcome, steps.join('\n')).toBe(one.expect);
    expect(states).toBeGreaterThan(0);
    expect(steps.length > 0).toBe(one.expect === 'breaks');
  });
}

test('every search has a name of its own, and uses bounds and switches that the model knows', () => {
  const names = SEARCHES.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  const known = new Set(MODEL.match(/\b[A-Z][A-Z_]*\b/g));
  const used = SEARCHES.flatMap(({ defines }) => defines.map((define) => define.split('=')[0]!));
  expect(used.filter((name) => !known.has(name))).toEqual([]);
});

test('a search that stopped early is not taken for one that held', () => {
  const end =
    'State-vector 76 byte, depth reached 654, errors: 0\n    70884 states, stored\n  229.514\ttotal actual memory usage\n';
  expect(readFound(end, 1)).toMatchObject({ outcome: 'holds', states: 70_884, memoryMiB: 229.514 });
  expect(readFound(`Warning: Search not completed\n${end}`, 1).outcome).toBe('unfinished');
  expect(readFound(`error: max search depth too small\n${end}`, 1).outcome).toBe('unfinished');
  expect(readFound('pan: reached -DMEMLIM bound\n', 1).outcome).toBe('unfinished');
  expect(readFound('pan:1: invalid end state (at depth 3)\nerrors: 1\n', 1).outcome).toBe('unfinished');
});
