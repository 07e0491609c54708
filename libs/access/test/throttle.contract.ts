import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Throttle } from '../src/index.ts';

/** What every implementation of the throttle port must do; made with a burst of 3 and 600 a minute. */
export function throttleContract(throttleOf: () => Promise<Throttle>, name: string): void {
  test(`${name}: a burst passes, the next attempt must wait, and may after waiting`, async () => {
    const throttle = await throttleOf();
    for (let i = 0; i < 3; i++) expect(await throttle.take('a')).toBe(0);
    // Attempts come again ten times a second, so a slow machine may be given one more: ask until there is a wait.
    let wait = 0;
    for (let i = 0; i < 50 && wait === 0; i++) wait = await throttle.take('a');
    expect(wait).toBeGreaterThan(0);
    expect(wait).toBeLessThanOrEqual(100);
    await sleep(wait + 1);
    expect(await throttle.blockedMs('a')).toBe(0);
    expect(await throttle.take('a')).toBe(0);
  });

  test(`${name}: keys do not count for each other, and looking takes nothing`, async () => {
    const throttle = await throttleOf();
    for (let i = 0; i < 20; i++) expect(await throttle.blockedMs('a')).toBe(0);
    for (let i = 0; i < 3; i++) expect(await throttle.take('a')).toBe(0);
    expect(await throttle.take('b')).toBe(0);
  });
}
