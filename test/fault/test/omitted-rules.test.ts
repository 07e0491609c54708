import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { OMITTED_RULES } from '../src/omitted-rules.ts';
import { SCENARIOS } from '../src/scenarios/index.ts';

test.each(Object.entries(OMITTED_RULES))(
  'the rule that can be left out is where it was: %s',
  (_, { scenario, places }) => {
    expect(SCENARIOS[scenario]).toBeDefined();
    for (const { file, code } of places) {
      const text = readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');
      expect(text.split(code).length, `${file}: ${code}`).toBe(2);
    }
  },
);
