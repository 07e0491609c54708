import { expect, test } from 'vitest';
import { slowestLines } from '../src/slowest-tests.ts';

test('the ten slowest are listed, the slowest first, and nothing that was quick', () => {
  const taken = Array.from({ length: 30 }, (_, i) => ({ what: `test ${i}`, ms: i * 100 }));
  const lines = slowestLines(taken);
  expect(lines).toHaveLength(12);
  expect(lines[2]).toBe('    2.9  test 29');
  expect(lines.at(-1)).toBe('    2.0  test 20');
  expect(slowestLines(taken.slice(0, 10))).toEqual([]);
});
