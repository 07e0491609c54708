import { expect, test } from 'vitest';
import { LOCKOUT, type Lockout, lockoutWaitMs } from '../src/index.ts';

/** What every implementation of the lock-out port must do. */
export function lockoutContract(lockoutOf: () => Promise<Lockout>, name: string): void {
  const exhaust = async (lockout: Lockout, key: string): Promise<void> => {
    for (let i = 0; i < LOCKOUT.free; i++) expect(await lockout.take(key)).toBe(0);
  };

  test(`${name}: the first tries cost nothing, the next one must wait, and is not counted while it does`, async () => {
    const lockout = await lockoutOf();
    await exhaust(lockout, 'ada 10.0.0.1');
    for (let i = 0; i < 10; i++) {
      const wait = await lockout.take('ada 10.0.0.1');
      expect(wait).toBeLessThanOrEqual(LOCKOUT.firstMs);
      expect(wait).toBeGreaterThan(LOCKOUT.firstMs - 5_000);
    }
  });

  test(`${name}: many tries at once are no more than as many one after the other`, async () => {
    const lockout = await lockoutOf();
    const waits = await Promise.all(Array.from({ length: 50 }, () => lockout.take('ada')));
    expect(waits.filter((wait) => wait === 0)).toHaveLength(LOCKOUT.free);
  });

  test(`${name}: nobody is locked out by tries from another address`, async () => {
    const lockout = await lockoutOf();
    await exhaust(lockout, 'ada 6.6.6.6');
    expect(await lockout.take('ada 6.6.6.6')).toBeGreaterThan(0);
    expect(await lockout.take('ada 10.0.0.1')).toBe(0);
  });

  test(`${name}: a success forgets the tries, and one that nobody could judge is given back`, async () => {
    const lockout = await lockoutOf();
    await exhaust(lockout, 'ada');
    await lockout.giveBack('ada');
    expect(await lockout.take('ada')).toBe(0);
    expect(await lockout.take('ada')).toBeGreaterThan(0);
    await lockout.clear('ada');
    await exhaust(lockout, 'ada');
    await lockout.giveBack('unknown');
  });
}

test('each wait is twice the one before, up to the longest', () => {
  const waits = Array.from({ length: 14 }, (_, i) => lockoutWaitMs(LOCKOUT.free + i));
  expect(lockoutWaitMs(LOCKOUT.free - 1)).toBe(0);
  expect(waits[0]).toBe(LOCKOUT.firstMs);
  for (let i = 1; i < waits.length; i++) expect(waits[i]).toBe(Math.min(LOCKOUT.longestMs, 2 * waits[i - 1]!));
  expect(waits.at(-1)).toBe(LOCKOUT.longestMs);
});
