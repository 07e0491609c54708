import {
  type Diagnosis,
  examineNameServers,
  examineTimekeeping,
  type Leg,
  readNamed,
  type WaitLimits,
} from '@sallyport/doctor';
import { portNamed } from '@sallyport/ports';
import { type ListenAddress, parseAddress } from '@sallyport/settings';

/** Something to look at. All of an examination run beside each other, and are told in their order. */
export type Examination = (limits: WaitLimits) => Promise<readonly Diagnosis[]> | readonly Diagnosis[];

/** Where somebody is, for a way of the table of ports: what is not said is as the table has it. */
export interface Whereabouts {
  readonly host: string;
  readonly port?: number;
}

/** A way of the table of ports that begins here. */
export function legOf(name: string, { host, port }: Whereabouts): Leg {
  const { from, to, port: usual } = portNamed(name);
  return { from: from[0]!, to, host, port: port ?? usual };
}

/** From this host to a listener of its own. */
export function ownLeg(name: string, { host, port }: ListenAddress): Leg {
  return { ...legOf(name, { host: here(host), port }), from: 'this host' };
}

/** Where a URL leads. */
export function whereabouts(url: string, usual: number): Whereabouts {
  const { hostname, port } = new URL(url.replace(/^\w+:/, 'http:'));
  // An http:// URL has lost 80, which nobody of ours uses.
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || usual };
}

/** What every server needs of the network around it: names of the hosts that it looks for, and the time. */
export function surroundings(hosts: readonly string[]): Examination[] {
  const named = hosts.find((host) => !host.startsWith('/') && parseAddress(host) === undefined);
  return [(limits) => examineNameServers(named ?? 'localhost', limits), () => examineTimekeeping()];
}

/** A text of a file that a setting or an option names, or what is wrong with it; no text where none is named. */
export function named(what: string, file: string | undefined): { text?: string; troubles: readonly Diagnosis[] } {
  if (file === undefined) return { troubles: [] };
  const read = readNamed(what, file);
  return 'text' in read ? { text: read.text, troubles: [] } : { troubles: [read.trouble] };
}

/** Where somebody on this host reaches a listener of it. */
function here(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}
