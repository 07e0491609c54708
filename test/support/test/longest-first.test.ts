import { expect, test } from 'vitest';
import { placeOf } from '../src/longest-first.ts';

test('the fault rig begins, the end-to-end tests follow, the rest fills the gaps', () => {
  const files = ['/x/libs/access/test/a.test.ts', '/x/test/end-to-end/test/b.test.ts', '/x/test/fault/test/c.test.ts'];
  expect(files.map(placeOf)).toEqual([2, 1, 0]);
});
