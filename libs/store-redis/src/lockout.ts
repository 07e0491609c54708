import { createHash } from 'node:crypto';
import { LOCKOUT, type Lockout } from '@sallyport/access';
import { redisKey } from './keys.ts';
import type { RedisLink } from './link.ts';

/**
 * Failures of a key, when the last one was, tries under way and when the last one began, by the server's clock. A time in
 * the future, after a failover to a server with another clock, counts as now: nobody waits longer than the longest wait.
 */
const SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local free, first, longest, memory = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local most, busy, lost = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local function read(name) return tonumber(redis.call('HGET', KEYS[1], name) or '0') end
local failures, failedAt = read('failures'), math.min(now, read('failedAt'))
local underWay, begunAt = read('underWay'), math.min(now, read('begunAt'))
if now - begunAt >= lost then underWay = 0 end
if now - failedAt >= memory then failures = 0 end
if ARGV[1] == 'take' then
  if failures >= free then
    local wait = math.ceil(failedAt + math.min(longest, first * 2 ^ (failures - free)) - now)
    if wait > 0 then return wait end
  end
  if underWay >= most then return busy end
  underWay, begunAt = underWay + 1, now
else
  underWay = math.max(0, underWay - 1)
  if ARGV[1] == 'fail' then failures, failedAt = failures + 1, now end
  if ARGV[1] == 'clear' then failures = 0 end
end
redis.call('HSET', KEYS[1], 'failures', failures, 'failedAt', failedAt, 'underWay', underWay, 'begunAt', begunAt)
redis.call('PEXPIRE', KEYS[1], memory)
return 0`;

/** How a lock-out is set up. `backup` counts on this node alone while Redis does not answer. */
export interface RedisLockoutOptions {
  readonly realm: string;
  readonly backup: Lockout;
}

/** Lock-out of all nodes together. Keys are hashed: names and addresses do not stand in Redis. */
export function redisLockout(link: RedisLink, { realm, backup }: RedisLockoutOptions): Lockout {
  const { free, firstMs, longestMs, memoryMs, underWay, busyMs, lostMs } = LOCKOUT;
  const limits = [free, firstMs, longestMs, memoryMs, underWay, busyMs, lostMs].map(String);
  const ask = async (key: string, mode: 'take' | 'fail' | 'giveBack' | 'clear'): Promise<number | undefined> => {
    const name = redisKey(realm, 'lockout', createHash('sha256').update(key).digest('base64url'));
    return (await link.attempt((client) => client.eval(SCRIPT, 1, name, mode, ...limits))) as number | undefined;
  };
  const end = async (key: string, mode: 'fail' | 'giveBack' | 'clear'): Promise<void> => {
    if ((await ask(key, mode)) === undefined) await backup[mode](key);
  };
  return {
    take: async (key) => (await ask(key, 'take')) ?? backup.take(key),
    fail: (key) => end(key, 'fail'),
    giveBack: (key) => end(key, 'giveBack'),
    clear: (key) => end(key, 'clear'),
  };
}
