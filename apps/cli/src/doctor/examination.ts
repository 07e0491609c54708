import type { Diagnosis, Leg, WaitLimits } from '@sallyport/doctor';
import { portNamed } from '@sallyport/ports';

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

/** Where a URL leads. */
export function whereabouts(url: string, usual: number): Whereabouts {
  const { hostname, port } = new URL(url.replace(/^\w+:/, 'http:'));
  // An http:// URL has lost 80, which nobody of ours uses.
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || usual };
}
