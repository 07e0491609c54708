import { expect, test } from 'vitest';
import { LOCKOUT, type Lockout } from '../src/index.ts';

/** What every implementation of the lock-out port must do. */
export function lockoutContract(lockoutOf: () => Promise<Lockout>, name: string): void {
  test(`${name}: the first failures cost nothing, then each wait is twice the one before, up to the longest`, async () => {
    const lockout = await lockoutOf();
    for (let i = 1; i < LOCKOUT.free; i++) expect(await lockout.fail('ada 10.0.0.1')).toBe(0);
    let expected = LOCKOUT.firstMs;
    for (let i = 0; i < 12; i++) {
      const wait = await lockout.fail('ada 10.0.0.1');
      expect(wait).toBeLessThanOrEqual(expected);
      expect(wait).toBeGreaterThan(expected - 5_000);
      expect(await lockout.blockedMs('ada 10.0.0.1')).toBeGreaterThan(expected - 5_000);
      expected = Math.min(LOCKOUT.longestMs, 2 * expected);
    }
    expect(expected).toBe(LOCKOUT.longestMs);
  });

  test(`${name}: nobody is locked out by failures from another address`, async () => {
    const lockout = await lockoutOf();
    for (let i = 0; i < 20; i++) await lockout.fail('ada 6.6.6.6');
    expect(await lockout.blockedMs('ada 6.6.6.6')).toBeGreaterThan(0);
    expect(await lockout.blockedMs('ada 10.0.0.1')).toBe(0);
  });

  test(`${name}: a success forgets the failures`, async () => {
    const lockout = await lockoutOf();
    for (let i = 0; i < LOCKOUT.free; i++) await lockout.fail('ada');
    expect(await lockout.blockedMs('ada')).toBeGreaterThan(0);
    await lockout.clear('ada');
    expect(await lockout.blockedMs('ada')).toBe(0);
    expect(await lockout.fail('ada')).toBe(0);
  });
}
