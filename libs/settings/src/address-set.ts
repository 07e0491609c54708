import { parseAddress } from './address.ts';
import { networksOf } from './networks.ts';
import type { Setting } from './settings.ts';

/** Addresses and networks. */
export interface AddressSet {
  /** How many entries it has. */
  readonly size: number;
  /** True for an address that is one of them or in one of them, however it is written. */
  has(address: string): boolean;
}

/** Comma-separated addresses and networks in CIDR notation; absent: none. */
export function addressSet(about: string): Setting<AddressSet> {
  return {
    about,
    fallback: addressSetOf([]),
    parse: (value) => addressSetOf(value.split(',').map((one) => one.trim())),
  };
}

/**
 * A set of addresses and networks, for limits and lists of whom somebody knows: an IPv4-mapped address is the IPv4 one.
 * @throws TypeError for what is neither
 */
export function addressSetOf(entries: readonly string[]): AddressSet {
  const networks = networksOf(
    entries.map((entry) => {
      const [address = '', ...bits] = entry.split('/');
      return [parseAddress(address) ?? address, ...bits].join('/');
    }),
  );
  return {
    size: entries.length,
    has(text) {
      const address = parseAddress(text);
      return address !== undefined && networks.has(address);
    },
  };
}
