import { rateMarginMs } from '../realm/lease-time.ts';
import { noteLongestLease } from '../realm/realm.ts';
import type { RealmRow } from '../realm/rows.ts';
import type { RealmStore } from '../store/store.ts';

/** The realm's row as just read, and in which run of the database server. */
export interface HeldRealm {
  readonly realm: Pick<RealmRow, 'epoch' | 'held' | 'heldRun' | 'longestLeaseMs'>;
  readonly serverRun: string;
}

/** What a hold waits for: leases of an epoch before, or of an earlier run of the database server, whose rows may be lost. */
export type HoldReason = 'restore' | 'serverRun';

/** A hold that is not over yet. */
export interface RunningHold {
  readonly reason: HoldReason;
  readonly remainingMs: number;
}

/**
 * The hold of a new epoch and of a new run of the database server, on one node's monotonic clock: nothing is in force before every
 * lease from before is over, and no row need know those. Counted from when this node first saw the epoch or the run, which is after
 * it began.
 */
export class Hold {
  readonly #now: () => number;
  readonly #authorityMs: number;
  #epoch: Sight | undefined;
  #run: Sight | undefined;
  /** True once this node has seen more than one run: a row that names a run which has returned knows nothing of those between. */
  #moved = false;
  /** The longest lease that any row has named: what raised it may be lost as well. */
  #longestMs = 0;

  /** `authorityMs`: for so long a node of the epoch before may give leases without having looked at the journal's claim. */
  constructor(monotonicMs: () => number, authorityMs = 0) {
    this.#now = monotonicMs;
    this.#authorityMs = authorityMs;
  }

  /** Takes the realm's row; gives the hold that ends last, undefined for none. */
  running({ realm, serverRun }: HeldRealm): RunningHold | undefined {
    const { epoch, held, heldRun } = realm;
    this.#longestMs = Math.max(this.#longestMs, realm.longestLeaseMs);
    this.#moved ||= this.#run !== undefined && this.#run.what !== serverRun;
    this.#epoch = this.#sight(this.#epoch, epoch);
    this.#run = this.#sight(this.#run, serverRun);
    const ofEpoch = held ? 0 : this.#leftMs(this.#epoch, this.#longestMs + this.#authorityMs);
    const ofRun = heldRun === serverRun && !this.#moved ? 0 : this.#leftMs(this.#run, this.#longestMs);
    const remainingMs = Math.max(ofEpoch, ofRun);
    if (remainingMs === 0) return undefined;
    return { reason: ofEpoch > 0 ? 'restore' : 'serverRun', remainingMs };
  }

  #sight(before: Sight | undefined, what: string): Sight {
    return before?.what === what ? before : { what, seenAt: this.#now() };
  }

  #leftMs({ seenAt }: Sight, ms: number): number {
    return Math.max(0, Math.ceil(seenAt + ms + rateMarginMs(ms) - this.#now()));
  }
}

/** When something was first seen. */
interface Sight {
  readonly what: string;
  readonly seenAt: number;
}

/** True when somebody has waited for the end of every hold. */
export function isHeld({ realm, serverRun }: HeldRealm): boolean {
  return realm.held && realm.heldRun === serverRun;
}

/** Notes that somebody has waited for the end of the hold, so that a node that starts later need not; nothing in another run. */
export async function endHold(store: RealmStore, { realm: { epoch }, serverRun }: HeldRealm): Promise<void> {
  await store.transaction(async (transaction) => {
    if (transaction.serverRun !== serverRun) return;
    const change = { held: true, heldRun: serverRun };
    await transaction.tables.realms.update({ where: { id: 'realm', epoch } }, change);
  });
}

/** Raises the longest lease before one is given. To call at the start of a node. */
export async function raiseLongestLease(store: RealmStore, leaseMs: number): Promise<void> {
  await store.transaction((transaction) => noteLongestLease(transaction, leaseMs));
}
