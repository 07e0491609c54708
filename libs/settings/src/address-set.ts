import { BlockList, isIP } from 'node:net';
import { parseAddress } from './address.ts';
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

/** A set of addresses and networks. @throws TypeError for what is neither */
export function addressSetOf(entries: readonly string[]): AddressSet {
  // One list per family: a list that holds both takes IPv4 addresses for IPv4-mapped IPv6 ones.
  const lists = { 4: new BlockList(), 6: new BlockList() } as const;
  for (const entry of entries) {
    const [network = '', bits] = entry.split('/');
    const address = parseAddress(network);
    const family = isIP(address ?? '');
    const prefix = bits === undefined ? (family === 4 ? 32 : 128) : Number(bits);
    const fits = /^\d{1,3}$/.test(bits ?? '0') && prefix <= (family === 4 ? 32 : 128);
    if (!address || (family !== 4 && family !== 6) || !fits)
      throw new TypeError(`expected addresses or networks like 192.0.2.0/24, not "${entry}"`);
    lists[family].addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6');
  }
  return {
    size: entries.length,
    has(text) {
      const address = parseAddress(text);
      if (address === undefined) return false;
      return isIP(address) === 4 ? lists[4].check(address, 'ipv4') : lists[6].check(address, 'ipv6');
    },
  };
}
