import { expect, test } from 'vitest';
import { handshakePatienceMs } from '../src/index.ts';

test.each([
  [undefined, 1, 5_000],
  [undefined, 3, 5_000],
  [15_000, 1, 5_000],
  [15_000, 2, 3_750],
  [5_000, 3, 1_250],
  [2_000, 3, 1_000],
  [300_000, 3, 5_000],
])('with a lease of %s ms and %s nodes, one may take %s ms to take the connection', (leaseMs, nodes, patienceMs) => {
  expect(handshakePatienceMs({ leaseMs, nodes })).toBe(patienceMs);
});
