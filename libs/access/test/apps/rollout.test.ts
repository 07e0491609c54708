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

test.each([
  ['few reports', { installed: 1, failed: 8, refused: 0 }, false],
  ['failures above the part', { installed: 7, failed: 3, refused: 0 }, true],
  ['refusals above the part', { installed: 7, failed: 0, refused: 3 }, true],
  ['just the part', { installed: 8, failed: 1, refused: 1 }, false],
] as const)('a rollout with %s', (_what, counts, halts) => {
  expect(whyHalt(ROLLOUT, { downloading: 99, ...counts }) !== undefined).toBe(halts);
});
