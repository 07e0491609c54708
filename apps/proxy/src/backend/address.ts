import { lookup } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { isPublicAddress, networksOf } from '@sallyport/settings';
import { BackendError } from './errors.ts';
import type { BackendServer } from './server.ts';

/** Host of a backend's URL: a name, or an address without brackets in its one usual form, whatever the scheme. */
export function hostOf(url: string): string {
  return new URL(url.replace(/^tcp:/, 'http:')).hostname.replace(/^\[|\]$/g, '');
}

/** The system looks up four names at a time, for all resources: those that devices choose get half of that, and a short line. */
const CHOSEN_AT_ONCE = 2;
const CHOSEN_WAITING = 64;

/** Runs work a few at a time, and refuses what would wait behind too much. */
class NarrowDoor {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** @throws BackendError ERR_BACKEND_BUSY */
  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#running >= CHOSEN_AT_ONCE) await this.#turn();
    else this.#running += 1;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }

  #turn(): Promise<void> {
    if (this.#waiting.length >= CHOSEN_WAITING)
      throw new BackendError('ERR_BACKEND_BUSY', 'too many names under wildcards are being looked up');
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }
}

const chosenLookups = new NarrowDoor();

/**
 * True when a backend may be reached at an address: public unicast, or inside a network that the resource names. A public
 * name that resolves into the intranet then reaches nothing.
 */
export function mayReach(address: string, networks: readonly string[]): boolean {
  return networksOf(networks).has(address) || isPublicAddress(address);
}

/** What is looked up, and where its addresses may lie. */
export type BackendReach = Pick<BackendServer, 'networks' | 'chosen'>;

/**
 * Resolves the host of a backend and gives only addresses that may be reached; the connection is pinned to one of them. A host
 * that a device chose may lie in named networks only, and few of them are looked up at a time.
 * @throws BackendError ERR_BACKEND_ADDRESS when there is none, ERR_BACKEND_BUSY
 */
export async function resolveBackend(
  host: string,
  { networks, chosen }: BackendReach,
): Promise<readonly { address: string; family: number }[]> {
  const literal = host.replace(/^\[|\]$/g, '');
  const find = (): Promise<{ address: string; family: number }[]> => lookup(host, { all: true });
  const found = isIP(literal)
    ? [{ address: literal, family: isIP(literal) }]
    : await (chosen ? chosenLookups.run(find) : find());
  const allowed = found.filter(({ address }) =>
    chosen ? networksOf(networks).has(address) : mayReach(address, networks),
  );
  if (allowed.length === 0)
    throw new BackendError('ERR_BACKEND_ADDRESS', 'the backend has no address in an allowed network');
  return allowed;
}

/** `lookup` for sockets: the check happens at every connect, so a name cannot change its meaning later. */
export function pinnedLookup(reach: BackendReach): LookupFunction {
  return (host, options, callback) => {
    resolveBackend(host, reach).then(
      (addresses) => {
        if (options.all) callback(null, [...addresses]);
        else callback(null, addresses[0]!.address, addresses[0]!.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, ''),
    );
  };
}
