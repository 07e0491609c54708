import { expect, test } from 'vitest';
import { placeOf } from '../src/longest-first.ts';

test('the runbook and the fault rig begin, the drill and the end-to-end tests follow, the rest fills the gaps', () => {
  const [unit, endToEnd, fault, drill] = ['libs/access', 'test/end-to-end', 'test/fault', 'test/drill'].map((project) =>
    placeOf(`/x/${project}/test/a.test.ts`),
  );
  const runbook = placeOf('/x/test/drill/test/runbook.test.ts');
  expect([runbook, fault, drill, endToEnd, unit]).toEqual([0, 1, 2, 3, 4]);
});
