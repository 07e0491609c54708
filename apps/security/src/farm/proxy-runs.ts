import { memoryThrottle, type Throttle } from '@sallyport/access';

/** Runs of a Proxy that begin at once, and in a minute: as many as one that fails again and again begins. */
const LIMIT = { burst: 64, perMinute: 60 } as const;
/** Runs of each Proxy that are remembered: those begin nothing. */
const MAX_KNOWN = 64;

/**
 * How many runs a Proxy may begin. Each has a lease row of its own, which stays for minutes and which every node reads each second: who
 * makes up one after the other would fill what all others beat by. One belongs to one node.
 */
export class ProxyRuns {
  readonly #throttle: Throttle;
  readonly #known = new Map<string, readonly string[]>();
  readonly #refused = new Set<string>();
  readonly #say: (proxy: string) => void;

  /** `say` hears once of a Proxy that begins too many, until one of its runs may begin again. */
  constructor(monotonicMs: () => number, say: (proxy: string) => void) {
    this.#throttle = memoryThrottle({ ...LIMIT, now: monotonicMs });
    this.#say = say;
  }

  /** Whether a run may beat: one that is known, or one that may begin. */
  async mayBeat(proxy: string, instance: string): Promise<boolean> {
    const known = this.#known.get(proxy) ?? [];
    if (known.includes(instance)) return true;
    if ((await this.#throttle.take(proxy)) > 0) {
      if (!this.#refused.has(proxy)) this.#say(proxy);
      this.#refused.add(proxy);
      return false;
    }
    this.#refused.delete(proxy);
    this.#known.set(proxy, [...(this.#known.get(proxy) ?? []), instance].slice(-MAX_KNOWN));
    return true;
  }
}
