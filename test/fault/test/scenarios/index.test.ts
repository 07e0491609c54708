import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SCENARIOS } from '../../src/scenarios/index.ts';

test('every scenario has a test in a file of its own, or says that it is run by hand only', () => {
  const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.test.ts'));
  const shown = files.map((name) => name.replace('.test.ts', '')).filter((name) => name !== 'index');
  const tested = Object.keys(SCENARIOS).filter((name) => !SCENARIOS[name]!.onlyByHand);
  expect(shown.sort()).toEqual(tested.sort());
});
