import { expect, test } from 'vitest';
import { memoryBus, memoryPresence, memoryThrottle } from '../src/index.ts';
import { busContract } from './bus.contract.ts';
import { presenceContract } from './presence.contract.ts';
import { throttleContract } from './throttle.contract.ts';

throttleContract(
  async () => memoryThrottle({ burst: 3, perMinute: 600, now: () => performance.now() }),
  'throttle in memory',
);
busContract(async () => {
  const bus = memoryBus();
  return [bus, bus];
}, 'bus in memory');
presenceContract(async () => memoryPresence(), 'presence in memory');

test('presence in memory forgets the oldest sessions first', async () => {
  const presence = memoryPresence(2);
  for (const sid of ['a', 'b', 'c']) presence.saw(sid, { proxy: 'p', at: 1 });
  expect([...(await presence.find(['a', 'b', 'c'])).keys()]).toEqual(['b', 'c']);
});
