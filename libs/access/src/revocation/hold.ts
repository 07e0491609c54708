import { rateMarginMs } from '../realm/lease-time.ts';
import { noteLongestLease } from '../realm/realm.ts';
import type { RealmRow } from '../realm/rows.ts';
import type { RealmStore } from '../store/store.ts';

type EpochPart = Pick<RealmRow, 'epoch' | 'held' | 'longestLeaseMs'>;

/**
 * The hold of a new epoch, on one node's monotonic clock: nothing is in force before every lease of the epoch before is over,
 * and no row knows those. Counted from when this node first saw the epoch, which is after it was opened.
 */
export class Hold {
  readonly #now: () => number;
  readonly #authorityMs: number;
  #epoch: string | undefined;
  #seenAt = 0;

  /** `authorityMs`: for so long a node of the epoch before may give leases without having looked at the journal's claim. */
  constructor(monotonicMs: () => number, authorityMs = 0) {
    this.#now = monotonicMs;
    this.#authorityMs = authorityMs;
  }

  /** Takes the realm's row as just read; gives the ms that are left of the hold, 0 for none. */
  remainingMs({ epoch, held, longestLeaseMs }: EpochPart): number {
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#seenAt = this.#now();
    }
    if (held) return 0;
    const ms = longestLeaseMs + this.#authorityMs;
    return Math.max(0, Math.ceil(this.#seenAt + ms + rateMarginMs(ms) - this.#now()));
  }
}

/** Notes that somebody has waited for the end of the hold, so that a node that starts later need not. */
export async function endHold(store: RealmStore, epoch: string): Promise<void> {
  await store.transaction(({ tables }) => tables.realms.update({ where: { id: 'realm', epoch } }, { held: true }));
}

/** Raises the longest lease before one is given. To call at the start of a node. */
export async function raiseLongestLease(store: RealmStore, leaseMs: number): Promise<void> {
  await store.transaction((transaction) => noteLongestLease(transaction, leaseMs));
}
