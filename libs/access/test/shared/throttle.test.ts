import { expect, test } from 'vitest';
import { memoryThrottle } from '../../src/index.ts';

test('a throttle in memory lets a burst pass, then so many a minute, and forgets old keys', async () => {
  let now = 0;
  const throttle = memoryThrottle({ burst: 3, perMinute: 6, now: () => now, maxKeys: 2 });
  const take = async (...keys: string[]) => {
    const waits: number[] = [];
    for (const key of keys) waits.push(await throttle.take(key));
    return waits;
  };
  expect(await take('a', 'a', 'a', 'a')).toEqual([0, 0, 0, 10_000]);
  expect(await throttle.blockedMs('a')).toBe(10_000);
  expect(await take('b')).toEqual([0]);
  now += 10_000;
  expect(await throttle.blockedMs('a')).toBe(0);
  expect(await take('c', 'd', 'a', 'a', 'a')).toEqual([0, 0, 0, 0, 0]);
});
