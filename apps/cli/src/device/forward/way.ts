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

const DESTINATION = /^([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\]):([1-9][0-9]{0,4})$/;

/** Reads `host:port` (RFC 9112, section 3.2.3); undefined for anything else. */
export function readDestination(text: string): Destination | undefined {
  const [, host, digits] = DESTINATION.exec(text.toLowerCase()) ?? [];
  const port = Number(digits);
  return host === undefined || port > 65_535 ? undefined : { host: host.replace(/\.$/, ''), port };
}

/**
 * The resource at a destination: a TCP one of just this authority, or else an HTTP one, whose host alone stands for the ports of http and
 * https. What is unknown so far is looked for once more when a channel stands. @throws DeviceError when none can
 */
export async function findWay(device: Device, destination: Destination): Promise<Way | undefined> {
  const known = knownWay(device, destination);
  if (known) return known;
  await device.resume();
  return knownWay(device, destination);
}

/** The same by what is known at this moment. */
export function knownWay({ resources }: Pick<Device, 'resources'>, { host, port }: Destination): Way | undefined {
  const exact = `${host}:${port}`;
  const has = (kind: Way['kind'], authority: string): boolean =>
    resources.some((resource) => resource.kind === kind && resource.authority === authority);
  if (has('tcp', exact)) return { kind: 'tcp', authority: exact };
  if (has('http', exact)) return { kind: 'http', authority: exact };
  return (port === 80 || port === 443) && has('http', host) ? { kind: 'http', authority: host } : undefined;
}
