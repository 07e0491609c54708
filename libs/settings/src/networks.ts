import { BlockList, isIP } from 'node:net';

/** Networks as they are written, by which an address is let in or kept out. */
export interface Networks {
  /**
   * True for an address that lies in one of them, written as it will be used. Families are kept apart: a network of IPv4 holds
   * no IPv4-mapped address (RFC 4291, section 2.5.5.2), which is one of IPv6 that not every system takes for the same. Whoever
   * means them to be one gives the address that `parseAddress` makes. False for what is no address.
   */
  has(address: string): boolean;
}

const BITS = { ipv4: 32, ipv6: 128 } as const;
type Family = keyof typeof BITS;

function familyOf(address: string): Family | undefined {
  return ({ 4: 'ipv4', 6: 'ipv6' } as const)[isIP(address) as 4 | 6];
}

/** Networks in CIDR notation; an address alone is the network of it. @throws TypeError for what is neither */
export function networksOf(entries: readonly string[]): Networks {
  // One list per family: a list that holds both takes IPv4 addresses for IPv4-mapped IPv6 ones.
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const entry of entries) {
    const [address = '', bits, ...more] = entry.split('/');
    const family = familyOf(address);
    const fits = more.length === 0 && (bits === undefined || /^\d{1,3}$/.test(bits));
    if (!family || !fits || Number(bits ?? 0) > BITS[family])
      throw new TypeError(`expected addresses or networks like 192.0.2.0/24, not "${entry}"`);
    lists[family].addSubnet(address, Number(bits ?? BITS[family]), family);
  }
  return {
    has(address) {
      const family = familyOf(address);
      return family !== undefined && lists[family].check(address, family);
    },
  };
}

/**
 * Networks that are no plain public unicast (RFC 6890 and the IANA registries): of IPv6 everything outside of global unicast,
 * and the parts of it that stand for something else.
 */
const NOT_PUBLIC = networksOf([
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.31.196.0/24',
  '192.52.193.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '192.175.48.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/3',
  '4000::/2',
  '8000::/1',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '2620:4f:8000::/48',
  '3fff::/20',
]);

/** True for an address of plain public unicast: not private, not of this machine, and standing for no other one. */
export function isPublicAddress(address: string): boolean {
  return isIP(address) !== 0 && !NOT_PUBLIC.has(address);
}
