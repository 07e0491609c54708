import { readFileSync } from 'node:fs';
import {
  type Bus,
  type Lockout,
  memoryBus,
  memoryLockout,
  memoryPresence,
  memoryThrottle,
  type Presence,
} from '@sallyport/access';
import { parseRedisUrl, RedisBus, RedisLink, redisLockout, redisPresence, redisThrottle } from '@sallyport/store-redis';
import type { Config } from '../config.ts';
import { type AddressThrottle, addressThrottle, NETWORK_FACTOR } from './address-throttle.ts';

/** What the nodes share and what may vanish at any time. */
export interface SharedState {
  readonly bus: Bus;
  readonly presence: Presence;
  readonly addressThrottle: AddressThrottle;
  readonly lockout: Lockout;
  /** Which server it is in; for the status page. */
  readonly server: () => string;
  readonly kind: 'in-process' | 'redis';
}

/** Opens the shared state: in Redis when one is configured, else in this process. */
export function openSharedState(config: Config): SharedState {
  const now = (): number => performance.now();
  const addresses = { burst: config.SALLYPORT_ADDRESS_BURST, perMinute: config.SALLYPORT_ADDRESS_PER_MINUTE };
  const sites = { burst: addresses.burst * NETWORK_FACTOR, perMinute: addresses.perMinute * NETWORK_FACTOR };
  const throttles = { host: memoryThrottle({ ...addresses, now }), site: memoryThrottle({ ...sites, now }) };
  const local = {
    addressThrottle: addressThrottle(throttles),
    lockout: memoryLockout({ now }),
  };
  const link = openLink(config);
  if (!link) return { ...local, bus: memoryBus(), presence: memoryPresence(), server: () => '', kind: 'in-process' };
  const realm = config.SALLYPORT_REALM;
  return {
    bus: new RedisBus(link, realm),
    presence: redisPresence(link, realm),
    addressThrottle: addressThrottle({
      host: redisThrottle(link, { realm, scope: 'address', ...addresses, backup: throttles.host }),
      site: redisThrottle(link, { realm, scope: 'site', ...sites, backup: throttles.site }),
    }),
    lockout: redisLockout(link, { realm, backup: local.lockout }),
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
