import { createHash, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { advanced, isInPart, percentNow, resumed, whyHalt } from '../../src/apps/rollout.ts';

const HOUR = 3_600_000;
const ROLLOUT = {
  steps: [
    { percent: 5, at: 0 },
    { percent: 25, at: 24 * HOUR },
    { percent: 100, at: 72 * HOUR },
  ],
  groups: null,
  haltAbovePercent: 20,
  haltedAt: null,
  haltedWhy: null,
};
const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

test.each([
  [-1, 0],
  [0, 5],
  [24 * HOUR - 1, 5],
  [24 * HOUR, 25],
  [100 * HOUR, 100],
])('at %d ms it is rolled out to %d %%', (now, percent) => {
  expect(percentNow(ROLLOUT, now)).toBe(percent);
});

test('a rollout that halts offers nothing, and has as far to go when it is resumed', () => {
  const halted = { ...ROLLOUT, haltedAt: 10 * HOUR, haltedWhy: 'it crashes' };
  expect(percentNow(halted, 100 * HOUR)).toBe(0);
  const later = resumed(halted, 60 * HOUR);
  expect([60, 73, 74, 122].map((hours) => percentNow(later, hours * HOUR))).toEqual([5, 5, 25, 100]);
});

test('the next step can be now, and those behind it come as much earlier', () => {
  const early = advanced(ROLLOUT, 4 * HOUR);
  expect([4, 51, 52].map((hours) => percentNow(early, hours * HOUR))).toEqual([25, 25, 100]);
  expect(advanced(ROLLOUT, 80 * HOUR)).toEqual(ROLLOUT);
});

test('of 1,000 installations 5 % are in, within what chance allows, and who is in stays in', () => {
  const release = randomUUID();
  const installations = Array.from({ length: 1_000 }, () => randomUUID());
  const inAt = (percent: number): string[] =>
    installations.filter((installation) => isInPart(sha256, { release, installation }, percent));
  const [few, some, all] = [inAt(5), inAt(25), inAt(100)];
  // Six standard deviations of 50 of 1,000: once in a billion runs it is chance.
  expect(few.length, release).toBeGreaterThan(8);
  expect(few.length, release).toBeLessThan(92);
  expect(some).toEqual(expect.arrayContaining(few));
  expect(all).toHaveLength(1_000);
  const other = installations.filter((installation) => isInPart(sha256, { release: 'other', installation }, 5));
  expect(other).not.toEqual(few);
});

const before = (good: number, bad: number) => ({ version: '1.1', good, failed: bad, refused: 0 });

test.each([
  ['few tries', { good: 1, failed: 8, refused: 0 }, undefined, undefined],
  [
    'failures above the part',
    { good: 7, failed: 3, refused: 0 },
    undefined,
    '3 failed and 0 refused of 10: more than 20 %',
  ],
  [
    'refusals above the part',
    { good: 7, failed: 0, refused: 3 },
    undefined,
    '0 failed and 3 refused of 10: more than 20 %',
  ],
  ['just the part', { good: 8, failed: 1, refused: 1 }, undefined, undefined],
  ['what the version before had as much of', { good: 60, failed: 40, refused: 0 }, before(80, 20), undefined],
  [
    'more than the version before had',
    { good: 59, failed: 1, refused: 40 },
    before(80, 20),
    '1 failed and 40 refused of 100: more than 20 % above the 20 % of 1.1',
  ],
  [
    'a version before of which nothing bad is known',
    { good: 7, failed: 0, refused: 3 },
    before(99, 0),
    '0 failed and 3 refused of 10: more than 20 %',
  ],
] as const)('a rollout with %s', (_what, own, earlier, why) => {
  expect(whyHalt(ROLLOUT, own, earlier)).toBe(why);
});

test('two installations halt no rollout, however little it takes', () => {
  const nervous = { ...ROLLOUT, haltAbovePercent: 1 };
  expect(whyHalt(nervous, { good: 20, failed: 1, refused: 1 })).toBeUndefined();
  expect(whyHalt(nervous, { good: 20, failed: 1, refused: 2 })).toBeDefined();
});
