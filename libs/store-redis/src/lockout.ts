import { createHash } from 'node:crypto';
import { LOCKOUT, type Lockout } from '@sallyport/access';
import { keyOf } from './keys.ts';
import type { RedisLink } from './link.ts';

/**
 * Failures of a key and when the last one was, by the server's clock. A time in the future, after a failover to a server
 * with another clock, counts as now: nobody waits longer than the longest wait.
 */
const SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local free, first, longest, memory = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if ARGV[1] == 'clear' then redis.call('DEL', KEYS[1]) return 0 end
local count = tonumber(redis.call('HGET', KEYS[1], 'count') or '0')
local at = math.min(now, tonumber(redis.call('HGET', KEYS[1], 'at') or '0'))
if ARGV[1] == 'giveBack' then
  if count > 0 then redis.call('HSET', KEYS[1], 'count', count - 1) end
  return 0
end
local wait = 0
if count >= free then wait = math.max(0, math.ceil(at + math.min(longest, first * 2 ^ (count - free)) - now)) end
if wait == 0 then
  redis.call('HSET', KEYS[1], 'count', count + 1, 'at', now)
  redis.call('PEXPIRE', KEYS[1], memory)
end
return wait`;

/** How a lock-out is set up. `backup` counts on this node alone while Redis does not answer. */
export interface RedisLockoutOptions {
  readonly realm: string;
  readonly backup: Lockout;
}

/** Lock-out of all nodes together. Keys are hashed: names and addresses do not stand in Redis. */
export function redisLockout(link: RedisLink, { realm, backup }: RedisLockoutOptions): Lockout {
  const limits = [LOCKOUT.free, LOCKOUT.firstMs, LOCKOUT.longestMs, LOCKOUT.memoryMs].map(String);
  const ask = async (key: string, mode: 'take' | 'giveBack' | 'clear'): Promise<number | undefined> => {
    const name = keyOf(realm, 'lockout', createHash('sha256').update(key).digest('base64url'));
    return (await link.attempt((client) => client.eval(SCRIPT, 1, name, mode, ...limits))) as number | undefined;
  };
  return {
    take: async (key) => (await ask(key, 'take')) ?? backup.take(key),
    giveBack: async (key) => {
      if ((await ask(key, 'giveBack')) === undefined) await backup.giveBack(key);
    },
    clear: async (key) => {
      if ((await ask(key, 'clear')) === undefined) await backup.clear(key);
    },
  };
}
