export { parseRedisUrl, type RedisAddress, type RedisServer } from './address.ts';
export { RedisBus } from './bus.ts';
export { type RedisCredentials, RedisLink } from './link.ts';
export { type RedisLockoutOptions, redisLockout } from './lockout.ts';
export { redisPresence } from './presence.ts';
export { type RedisThrottleOptions, redisThrottle } from './throttle.ts';
