import { lookup } from 'node:dns/promises';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { BackendError } from './errors.ts';

/**
 * Networks that no backend may lie in unless its resource names them (RFC 6890 and the IANA registries): whatever is
 * not plain public unicast. A public name that resolves into the intranet then reaches nothing.
 */
const FORBIDDEN_V4 = [
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
];
/** Everything outside of global unicast, and the parts of it that stand for something else. */
const FORBIDDEN_V6 = [
  '::/3',
  '4000::/2',
  '8000::/1',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '2620:4f:8000::/48',
  '3fff::/20',
];

/** Host of a backend's URL: a name, or an address without brackets in its one usual form, whatever the scheme. */
export function hostOf(url: string): string {
  return new URL(url.replace(/^tcp:/, 'http:')).hostname.replace(/^\[|\]$/g, '');
}

type Family = 'ipv4' | 'ipv6';

function familyOf(address: string): Family | undefined {
  return ({ 4: 'ipv4', 6: 'ipv6' } as const)[isIP(address) as 4 | 6];
}

/** The networks of one family. Families are kept apart: a list takes an IPv4 address for an IPv4-mapped one, too. */
function blockList(networks: readonly string[], family: Family): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits = ''] = network.split('/');
    if (familyOf(address) === family) list.addSubnet(address, Number(bits), family);
  }
  return list;
}

const FORBIDDEN: Readonly<Record<Family, BlockList>> = {
  ipv4: blockList(FORBIDDEN_V4, 'ipv4'),
  ipv6: blockList(FORBIDDEN_V6, 'ipv6'),
};

/** True when a backend may be reached at an address: public unicast, or inside a network that the resource names. */
export function mayReach(address: string, networks: readonly string[]): boolean {
  const family = familyOf(address);
  if (!family) return false;
  return blockList(networks, family).check(address, family) || !FORBIDDEN[family].check(address, family);
}

/**
 * Resolves the host of a backend and gives only addresses that may be reached; the connection is pinned to one of them.
 * @throws BackendError ERR_BACKEND_ADDRESS when there is none.
 */
export async function resolveBackend(
  host: string,
  networks: readonly string[],
): Promise<readonly { address: string; family: number }[]> {
  const literal = host.replace(/^\[|\]$/g, '');
  const found = isIP(literal) ? [{ address: literal, family: isIP(literal) }] : await lookup(host, { all: true });
  const allowed = found.filter(({ address }) => mayReach(address, networks));
  if (allowed.length === 0)
    throw new BackendError('ERR_BACKEND_ADDRESS', 'the backend has no address in an allowed network');
  return allowed;
}

/** `lookup` for sockets: the check happens at every connect, so a name cannot change its meaning later. */
export function pinnedLookup(networks: readonly string[]): LookupFunction {
  return (host, options, callback) => {
    resolveBackend(host, networks).then(
      (addresses) => {
        if (options.all) callback(null, [...addresses]);
        else callback(null, addresses[0]!.address, addresses[0]!.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, ''),
    );
  };
}
