import { readFileSync } from 'node:fs';
import { type Bus, memoryBus, memoryPresence, memoryThrottle, type Presence, type Throttle } from '@sallyport/access';
import { parseRedisUrl, RedisBus, RedisLink, redisPresence, redisThrottle } from '@sallyport/store-redis';
import type { Config } from './config.ts';

/** What the nodes share and what may vanish at any time. */
export interface SharedState {
  readonly bus: Bus;
  readonly presence: Presence;
  readonly addressThrottle: Throttle;
  readonly failureThrottle: Throttle;
  /** Which server it is in; for the status page. */
  readonly server: () => string;
  readonly kind: 'in-process' | 'redis';
}

/** Failed attempts of one user from one address: five, then five a minute. */
const FAILURES = { burst: 5, perMinute: 5 };

/** Opens the shared state: in Redis when one is configured, else in this process. */
export function openSharedState(config: Config): SharedState {
  const now = (): number => performance.now();
  const addresses = { burst: config.SALLYPORT_ADDRESS_BURST, perMinute: config.SALLYPORT_ADDRESS_PER_MINUTE };
  const local = {
    addressThrottle: memoryThrottle({ ...addresses, now }),
    failureThrottle: memoryThrottle({ ...FAILURES, now }),
  };
  const link = openLink(config);
  if (!link) return { ...local, bus: memoryBus(), presence: memoryPresence(), server: () => '', kind: 'in-process' };
  const realm = config.SALLYPORT_REALM;
  return {
    bus: new RedisBus(link, realm),
    presence: redisPresence(link, realm),
    addressThrottle: redisThrottle(link, { realm, scope: 'address', ...addresses, backup: local.addressThrottle }),
    failureThrottle: redisThrottle(link, { realm, scope: 'failure', ...FAILURES, backup: local.failureThrottle }),
    server: () => link.server,
    kind: 'redis',
  };
}

function openLink(config: Config): RedisLink | undefined {
  const { SALLYPORT_REDIS: url, SALLYPORT_REDIS_PASSWORD: password, SALLYPORT_REDIS_CA: ca } = config;
  if (url === undefined) return undefined;
  return new RedisLink(parseRedisUrl(url), {
    ...(password === undefined ? {} : { password: password.reveal() }),
    ...(ca === undefined ? {} : { ca: readFileSync(ca, 'utf8') }),
  });
}
