import { isIP } from 'node:net';

/** Where a server listens. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Parses `host:port` or `[address]:port`; undefined for anything else. */
export function parseHostPort(text: string): ListenAddress | undefined {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535) return undefined;
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}

/** True for a name or address that cannot leave this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

const GROUPS = 8;
const GROUP_BITS = 16;
/** First six groups of an IPv4 address that is written as an IPv6 one (RFC 4291, section 2.5.5.2). */
const MAPPED = [0, 0, 0, 0, 0, 0xffff];

/**
 * An IP address as others wrote it (a proxy's header, a socket), in one form: without brackets, zone or
 * spaces, IPv6 in full with lower-case groups, an IPv4-mapped one as IPv4. Undefined for anything that is no address.
 */
export function parseAddress(text: string): string | undefined {
  // Most are.
  if (isIP(text) === 4) return text;
  const bare = text.trim().replace(/^\[(.*)\]$/, '$1');
  const [address = ''] = bare.split('%', 1);
  const family = isIP(address);
  if (family === 4) return address;
  if (family !== 6) return undefined;
  const groups = groupsOf(address);
  if (MAPPED.every((group, i) => groups[i] === group)) return formatV4(groups[6]!, groups[7]!);
  return groups.map((group) => group.toString(16)).join(':');
}

/**
 * Who an address stands for, as the key of a limit: an IPv4 address itself, of IPv6 the network of `bits` bits, because a
 * household or a host has a whole /64 (and a site a /48) to choose from. What is no address shares one key.
 */
export function addressKey(address: string, bits: 48 | 64 = 64): string {
  const parsed = parseAddress(address);
  if (parsed === undefined) return 'unknown';
  if (!parsed.includes(':')) return parsed;
  return `${parsed.split(':', bits / GROUP_BITS).join(':')}::/${bits}`;
}

/** The eight groups of a valid IPv6 address. */
function groupsOf(address: string): number[] {
  const [head = '', tail] = address.split('::');
  const [left, right] = [numbersOf(head), numbersOf(tail ?? '')];
  const gap = tail === undefined ? 0 : GROUPS - left.length - right.length;
  return [...left, ...Array<number>(gap).fill(0), ...right];
}

/** Groups of one side of `::`; the last may be written as an IPv4 address. */
function numbersOf(side: string): number[] {
  if (side === '') return [];
  return side.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

function formatV4(high: number, low: number): string {
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
}
