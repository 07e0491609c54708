import type { Throttle } from '@sallyport/access';
import { addressKey } from '@sallyport/settings';

/** How much more a site of IPv6 has than one host or household of it: its networks share this. */
export const NETWORK_FACTOR = 16;

/** Attempts by address, which count for the network that one host or one site has to choose addresses from. */
export interface AddressThrottle {
  /** Takes one attempt of an address at a kind of thing; 0, or the ms until the next one is allowed. */
  take(address: string, scope?: string): Promise<number>;
  /** The same without taking one. */
  blockedMs(address: string, scope: string): Promise<number>;
}

/** Counts IPv4 addresses and /64 networks by `host`, and IPv6's /48 networks by `site`. */
export function addressThrottle({ host, site }: { readonly host: Throttle; readonly site: Throttle }): AddressThrottle {
  return {
    async take(address, scope = 'handshake') {
      const [near, wide] = [addressKey(address), addressKey(address, 48)];
      const waitMs = await host.take(`${scope} ${near}`);
      return waitMs > 0 || near === wide ? waitMs : site.take(`${scope} ${wide}`);
    },
    async blockedMs(address, scope) {
      const [near, wide] = [addressKey(address), addressKey(address, 48)];
      const waitMs = await host.blockedMs(`${scope} ${near}`);
      return waitMs > 0 || near === wide ? waitMs : site.blockedMs(`${scope} ${wide}`);
    },
  };
}
