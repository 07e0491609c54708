import { Sightings } from '../farm/sightings.ts';
import { rateMarginMs } from '../realm/lease-time.ts';
import { leaseHolderOf } from './lease.ts';
import type { LeaseRow } from './rows.ts';

/** A Proxy that may still serve without having applied an entry. */
export interface WaitingProxy {
  readonly proxy: string;
  /** Which of its processes. */
  readonly instance: string;
  readonly applied: number;
  /** Ms until its lease is over at the latest. */
  readonly remainingMs: number;
}

/**
 * Knows on one node's monotonic clock when leases are over at the latest. No wall clock takes part, so neither a step of a
 * node's clock nor a database host with another time can shorten or lengthen a revocation.
 */
export class LeaseWatch {
  readonly #now: () => number;
  readonly #sightings: Sightings<LeaseRow>;

  constructor(monotonicMs: () => number) {
    this.#now = monotonicMs;
    this.#sightings = new Sightings(monotonicMs, ({ proxy }) => proxy, markOf);
  }

  /** Takes all leases as just read from the store. */
  observe(leases: readonly LeaseRow[]): void {
    this.#sightings.observe(leases);
  }

  /**
   * For whom an entry waits that was committed before `committedAt` (our monotonic clock), by leases that were read
   * after that. A lease is over one `leaseMs` after its beat was first seen, and in any case after the commit: every
   * later beat is answered with the entry, which is applied before the lease of that beat counts.
   */
  waiting(leases: readonly LeaseRow[], index: number, committedAt: number): WaitingProxy[] {
    this.observe(leases);
    const now = this.#now();
    return leases
      .filter(({ applied }) => applied < index)
      .map(({ proxy, applied, leaseMs }) => {
        const from = Math.min(committedAt, this.#sightings.seenAt(proxy)!);
        const { name, instance } = leaseHolderOf({ proxy });
        return { proxy: name, instance, applied, remainingMs: Math.ceil(from + leaseMs + rateMarginMs(leaseMs) - now) };
      })
      .filter(({ remainingMs }) => remainingMs > 0);
  }

  /** Rows of processes that have been silent for so many ms. */
  silent(leases: readonly LeaseRow[], ms: number): LeaseRow[] {
    return leases.filter(({ proxy }) => this.#now() - (this.#sightings.seenAt(proxy) ?? this.#now()) > ms);
  }

  /** True while a Proxy's lease may live, by the leases that were observed last. */
  mayLive({ proxy, leaseMs }: LeaseRow): boolean {
    const seenAt = this.#sightings.seenAt(proxy);
    return seenAt !== undefined && this.#now() < seenAt + leaseMs;
  }
}

/** What changes with every beat; nodes of the version before did not count them. */
function markOf({ beat, expiresAt }: LeaseRow): string {
  return `${beat}/${expiresAt}`;
}
