import { createHash } from 'node:crypto';
import type { Throttle } from '@sallyport/access';
import { redisKey } from './keys.ts';
import type { RedisLink } from './link.ts';

/**
 * Generic cell rate algorithm on the server's clock: one number a key, the time at which its bucket would be full again.
 * It is held within one bucket's width of now, so that a server with another clock, after a failover, locks nobody out.
 */
const SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local full = tonumber(redis.call('GET', KEYS[1]) or '0')
if full < now then full = now end
if full > now + burst * interval then full = now + burst * interval end
local wait = full + interval - burst * interval - now
if wait > 0 then return math.ceil(wait) end
if ARGV[3] == 'take' then
  redis.call('SET', KEYS[1], full + interval, 'PX', math.ceil(full + interval - now))
end
return 0`;

/** How a throttle is set up. `backup` counts on this node alone while Redis does not answer. */
export interface RedisThrottleOptions {
  readonly realm: string;
  /** What is counted; keys of different scopes are apart. */
  readonly scope: string;
  readonly burst: number;
  readonly perMinute: number;
  readonly backup: Throttle;
}

/** Throttle of all nodes together. Keys are hashed: names and addresses do not stand in Redis. */
export function redisThrottle(link: RedisLink, options: RedisThrottleOptions): Throttle {
  const { realm, scope, burst, perMinute, backup } = options;
  const ask = async (key: string, mode: 'take' | 'look'): Promise<number | undefined> => {
    const hashed = createHash('sha256').update(key).digest('base64url');
    const name = redisKey(realm, 'throttle', scope, hashed);
    const args = [String(60_000 / perMinute), String(burst), mode];
    return (await link.attempt((client) => client.eval(SCRIPT, 1, name, ...args))) as number | undefined;
  };
  return {
    take: async (key) => (await ask(key, 'take')) ?? backup.take(key),
    blockedMs: async (key) => (await ask(key, 'look')) ?? backup.blockedMs(key),
  };
}
