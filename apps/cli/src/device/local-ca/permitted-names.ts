import { isIP } from 'node:net';

/** What a CA may speak for. */
export interface PermittedNames {
  /** Each with all names under it, as in a constraint of a certificate (RFC 5280, section 4.2.1.10). Lower case, sorted. */
  readonly domains: readonly string[];
  /** Single addresses, IPv6 ones without brackets. */
  readonly addresses: readonly string[];
}

/**
 * Domains that are nobody's on the internet (RFC 2606, 6761, 6762 appendix G, 8375; ICANN keeps corp, home, mail and internal out):
 * who has a resource there has the whole of it.
 */
const PRIVATE_ROOTS = /(?:^|\.)(internal|intranet|corp|home|lan|private|test|example|localhost|home\.arpa)$/;

/**
 * The least that covers the hosts of these authorities: a private domain whole, so that new resources in it need no new CA, and of a
 * public one nothing but the host itself.
 */
export function permittedFor(authorities: readonly string[]): PermittedNames {
  const hosts = authorities.map(hostOfAuthority);
  const addresses = hosts.filter((host) => isIP(host) > 0);
  const domains = [...new Set(hosts.filter((host) => isIP(host) === 0).map(domainFor))];
  const covered = (domain: string): boolean => domains.some((other) => other !== domain && isUnder(domain, other));
  return {
    domains: domains.filter((domain) => domain !== '' && !covered(domain)).sort(),
    addresses: [...new Set(addresses)].sort(),
  };
}

/** True when a host is covered by what is permitted. */
export function isPermitted(host: string, { domains, addresses }: PermittedNames): boolean {
  if (isIP(host)) return addresses.includes(host);
  return domains.some((domain) => isUnder(host, domain));
}

/** Host of an authority in lower case, an IPv6 address without its brackets. */
export function hostOfAuthority(authority: string): string {
  const [, address, name = ''] = /^(?:\[([^\]]*)\]|([^:]*))(?::[0-9]*)?$/.exec(authority) ?? [];
  return (address ?? name).toLowerCase().replace(/\.$/, '');
}

function domainFor(host: string): string {
  const name = host.replace(/^\*\./, '');
  return PRIVATE_ROOTS.exec(name)?.[1] ?? name;
}

function isUnder(host: string, domain: string): boolean {
  return host === domain || host.endsWith(`.${domain}`);
}
