import { expect, test } from 'vitest';
import { LOCKOUT, memoryBus, memoryLockout, memoryPresence, memoryThrottle } from '../../src/index.ts';
import { busContract } from '../bus.contract.ts';
import { lockoutContract } from '../lockout.contract.ts';
import { presenceContract } from '../presence.contract.ts';
import { throttleContract } from '../throttle.contract.ts';

throttleContract(
  async () => memoryThrottle({ burst: 3, perMinute: 600, now: () => performance.now() }),
  'throttle in memory',
);
busContract(async () => {
  const bus = memoryBus();
  return [bus, bus];
}, 'bus in memory');
presenceContract(async () => memoryPresence(), 'presence in memory');

lockoutContract(async () => memoryLockout({ now: () => performance.now() }), 'lock-out in memory');

test('the lock-out in memory waits longer each time, forgets with time, and its oldest keys first', async () => {
  const clock = { now: LOCKOUT.memoryMs };
  const lockout = memoryLockout({ now: () => clock.now, maxKeys: 2 });
  const failing = async (key: string): Promise<number> => {
    const wait = await lockout.take(key);
    if (wait === 0) await lockout.fail(key);
    return wait;
  };
  for (let i = 0; i < LOCKOUT.free; i++) await failing('a');
  expect(await failing('a')).toBe(LOCKOUT.firstMs);
  clock.now += LOCKOUT.firstMs;
  expect(await failing('a')).toBe(0);
  expect(await failing('a')).toBe(2 * LOCKOUT.firstMs);
  clock.now += LOCKOUT.memoryMs;
  for (let i = 0; i < LOCKOUT.free; i++) expect(await failing('a')).toBe(0);
  for (const key of ['b', 'c']) await failing(key);
  expect(await failing('a')).toBe(0);
  // A node that died in the middle of tries holds nobody up for ever.
  for (let i = 0; i < LOCKOUT.underWay; i++) await lockout.take('d');
  expect(await lockout.take('d')).toBe(LOCKOUT.busyMs);
  clock.now += LOCKOUT.lostMs;
  expect(await lockout.take('d')).toBe(0);
});

test('presence in memory forgets the oldest sessions first', async () => {
  const presence = memoryPresence(2);
  for (const sid of ['a', 'b', 'c']) presence.saw(sid, { proxy: 'p', at: 1 });
  expect([...(await presence.find(['a', 'b', 'c'])).keys()]).toEqual(['b', 'c']);
});
