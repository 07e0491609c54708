import { lookup } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { isPublicAddress, networksOf } from '@sallyport/settings';
import { BackendError } from './errors.ts';

/** Host of a backend's URL: a name, or an address without brackets in its one usual form, whatever the scheme. */
export function hostOf(url: string): string {
  return new URL(url.replace(/^tcp:/, 'http:')).hostname.replace(/^\[|\]$/g, '');
}

/**
 * True when a backend may be reached at an address: public unicast, or inside a network that the resource names. A public
 * name that resolves into the intranet then reaches nothing.
 */
export function mayReach(address: string, networks: readonly string[]): boolean {
  return networksOf(networks).has(address) || isPublicAddress(address);
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
