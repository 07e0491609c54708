import { canonicalAuthority, findByAuthority, isAuthority } from '@sallyport/channel';
import type { Device } from '@sallyport/device';

/** What a local connection may lead to: a resource of the user, by the authority that the gateway knows. */
export interface Way {
  readonly kind: 'tcp' | 'http';
  /** Host, with a port unless it is the usual one of HTTP; in lower case. */
  readonly authority: string;
}

/** Where a client wants to go. */
export interface Destination {
  /** Lower case, an IPv6 address in brackets. */
  readonly host: string;
  readonly port: number;
}

/** Reads `host:port` (RFC 9112, section 3.2.3); undefined for anything else. */
export function readDestination(text: string): Destination | undefined {
  const authority = canonicalAuthority(text);
  const colon = authority?.lastIndexOf(':') ?? -1;
  if (authority === undefined || !isAuthority(authority) || colon < 0 || authority.endsWith(']')) return undefined;
  return { host: authority.slice(0, colon), port: Number(authority.slice(colon + 1)) };
}

/**
 * The resource at a destination: a TCP one of just this authority, or else an HTTP one, whose host alone stands for the ports of http and
 * https; of wildcards the nearest. What is unknown so far is looked for once more when a channel stands. @throws DeviceError when none can
 */
export async function findWay(device: Device, destination: Destination): Promise<Way | undefined> {
  const known = knownWay(device, destination);
  if (known) return known;
  await device.resume();
  return knownWay(device, destination);
}

/** The same by what is known at this moment. */
export function knownWay({ resources }: Pick<Device, 'resources'>, { host, port }: Destination): Way | undefined {
  const found = (kind: Way['kind'], authority: string): Way | undefined =>
    findByAuthority(resources, authority, (resource) => resource.kind === kind) && { kind, authority };
  const exact = `${host}:${port}`;
  const usual = port === 80 || port === 443 ? found('http', host) : undefined;
  return found('tcp', exact) ?? found('http', exact) ?? usual;
}
