import { expect, test } from 'vitest';
import { RetryBudget } from '../../src/streams/retry-budget.ts';

test('some requests may be repeated at once, and a tenth of all in the long run', () => {
  const budget = new RetryBudget();
  const repeated = (requests: number): number => {
    let count = 0;
    for (let i = 0; i < requests; i++) {
      budget.asked();
      if (budget.take()) count += 1;
    }
    return count;
  };
  expect(repeated(10)).toBe(10);
  expect(repeated(1_000)).toBeLessThanOrEqual(101);
  expect(repeated(1_000)).toBeGreaterThanOrEqual(95);
});
