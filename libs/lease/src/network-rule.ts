import type { AccessRule } from '@sallyport/security-api';
import { type Networks, networksOf, parseAddress } from '@sallyport/settings';

/** What a rule says of the networks of devices. */
export type NetworkRule = Pick<AccessRule, 'networks' | 'notNetworks'>;

/** What a rule says of the countries of devices. */
export type CountryRule = Pick<AccessRule, 'countries' | 'notCountries'>;

/**
 * True when a rule lets in a device from a country, by its ISO 3166-1 code. Who comes from nowhere that is known satisfies no rule about
 * countries, be it that it names some or forbids some.
 */
export function fitsCountry({ countries, notCountries }: CountryRule, country: string | undefined): boolean {
  if (!countries && !notCountries) return true;
  if (country === undefined) return false;
  return (countries?.includes(country) ?? true) && !notCountries?.includes(country);
}

/** Parsed once: a rule lives as long as the grants that hold it. */
const parsed = new WeakMap<readonly string[], Networks>();

/**
 * True when a rule lets in a device at an address, as the Proxy sees it; an IPv4-mapped address is the IPv4 one. What is no address
 * satisfies no rule about networks.
 */
export function fitsNetwork({ networks, notNetworks }: NetworkRule, address: string): boolean {
  if (!networks && !notNetworks) return true;
  const known = parseAddress(address);
  if (known === undefined) return false;
  if (networks && !networksIn(networks).has(known)) return false;
  return !notNetworks || !networksIn(notNetworks).has(known);
}

function networksIn(entries: readonly string[]): Networks {
  const made = parsed.get(entries) ?? networksOf(entries.map(unmapped));
  parsed.set(entries, made);
  return made;
}

/** Bits of an IPv4-mapped address in front of the IPv4 one (RFC 4291, section 2.5.5.2). */
const MAPPED_BITS = 96;

/** A network of IPv4-mapped addresses is the one of IPv4 that it maps, as the addresses are: nobody is let in or out by how it was written. */
function unmapped(network: string): string {
  const [address = '', bits = ''] = network.split('/');
  const plain = parseAddress(address);
  const isMapped = address.includes(':') && plain !== undefined && !plain.includes(':');
  return isMapped && Number(bits) >= MAPPED_BITS ? `${plain}/${Number(bits) - MAPPED_BITS}` : network;
}
