import { expect, test } from 'vitest';
import { LOCKOUT, type Lockout, lockoutWaitMs } from '../src/index.ts';

/** What every implementation of the lock-out port must do. */
export function lockoutContract(lockoutOf: () => Promise<Lockout>, name: string): void {
  const exhaust = async (lockout: Lockout, key: string): Promise<void> => {
    for (let i = 0; i < LOCKOUT.free; i++) {
      expect(await lockout.take(key)).toBe(0);
      await lockout.fail(key);
    }
  };

  test(`${name}: the first failures cost nothing, then a try must wait, and is not counted while it does`, async () => {
    const lockout = await lockoutOf();
    await exhaust(lockout, 'ada 10.0.0.1');
    for (let i = 0; i < 10; i++) {
      const wait = await lockout.take('ada 10.0.0.1');
      expect(wait).toBeLessThanOrEqual(LOCKOUT.firstMs);
      expect(wait).toBeGreaterThan(LOCKOUT.firstMs - 5_000);
    }
  });

  test(`${name}: guesses at once are bounded, and all of them count`, async () => {
    const lockout = await lockoutOf();
    const waits = await Promise.all(Array.from({ length: 100 }, () => lockout.take('ada')));
    const begun = waits.filter((wait) => wait === 0);
    expect(begun).toHaveLength(LOCKOUT.underWay);
    await Promise.all(begun.map(() => lockout.fail('ada')));
    expect(await lockout.take('ada')).toBeGreaterThan(LOCKOUT.longestMs - 5_000);
  });

  test(`${name}: those who are right are many at once without harm`, async () => {
    const lockout = await lockoutOf();
    for (let round = 0; round < 5; round++) {
      const waits = await Promise.all(Array.from({ length: LOCKOUT.underWay }, () => lockout.take('ada')));
      expect(waits.every((wait) => wait === 0)).toBe(true);
      await Promise.all(waits.map(() => lockout.clear('ada')));
    }
  });

  test(`${name}: nobody is locked out by tries from another address`, async () => {
    const lockout = await lockoutOf();
    await exhaust(lockout, 'ada 6.6.6.6');
    expect(await lockout.take('ada 6.6.6.6')).toBeGreaterThan(0);
    expect(await lockout.take('ada 10.0.0.1')).toBe(0);
  });

  test(`${name}: a success forgets the failures, and what nobody could judge is none`, async () => {
    const lockout = await lockoutOf();
    for (let i = 0; i < 3 * LOCKOUT.free; i++) {
      expect(await lockout.take('ada')).toBe(0);
      await lockout.giveBack('ada');
    }
    for (let i = 1; i < LOCKOUT.free; i++) await lockout.take('ada').then(() => lockout.fail('ada'));
    await lockout.take('ada');
    await lockout.clear('ada');
    await exhaust(lockout, 'ada');
  });
}

test('each wait is twice the one before, up to the longest', () => {
  const waits = Array.from({ length: 14 }, (_, i) => lockoutWaitMs(LOCKOUT.free + i));
  expect(lockoutWaitMs(LOCKOUT.free - 1)).toBe(0);
  expect(waits[0]).toBe(LOCKOUT.firstMs);
  for (let i = 1; i < waits.length; i++) expect(waits[i]).toBe(Math.min(LOCKOUT.longestMs, 2 * waits[i - 1]!));
  expect(waits.at(-1)).toBe(LOCKOUT.longestMs);
});
