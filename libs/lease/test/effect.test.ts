import { expect, test } from 'vitest';
import { effectOn } from '../src/index.ts';

const GRANT = { sid: 's', installationId: 'i', userId: 'u', sessionCreatedAt: 100, app: 'app@1', generation: 2 };

test.each([
  ['session', 's', 'end'],
  ['session', 'other', undefined],
  ['installation', 'i', 'end'],
  ['user', 'u', 'end'],
  ['user', 'other', undefined],
  ['app', 'app@1', 'end'],
  ['app', 'app@2', 'reauthorise'],
  ['app', 'apple@1', undefined],
  ['lift', 'app@1', 'reauthorise'],
  ['lift', 'other@1', undefined],
  ['before', '101', 'end'],
  ['before', '100', undefined],
  ['generation', '3', 'end'],
  ['generation', '2', undefined],
  ['app', 'claimed@7', 'refuse'],
  ['rights', '*', 'reauthorise'],
  ['rights', 'u', 'reauthorise'],
  ['rights', 'other', undefined],
] as const)('an entry %s %s does: %s', (kind, subject, effect) => {
  expect(effectOn({ kind, subject }, { grant: GRANT, app: 'claimed@7' })).toBe(effect);
});
