import type { RevocationEntry } from '@sallyport/security-api';
import type { AccessContext } from './context.ts';
import { getRealm } from './realm.ts';
import { entriesAfter } from './revocation.ts';

/** How long a Proxy may serve after its last beat, in ms, counted from the beat's send time. Bounds revocation. */
export const DEFAULT_LEASE_MS = 15_000;

/** What a beat gets. */
export interface BeatResult {
  readonly head: number;
  readonly entries: readonly RevocationEntry[];
}

/**
 * Records a Proxy's lease and reads the log in one durable transaction. The share lock on the realm's row makes a
 * revocation wait for this commit, so whoever revokes sees every lease that was given without its entry.
 */
export async function recordBeat(
  access: AccessContext,
  beat: {
    readonly proxy: string;
    readonly applied: number;
    readonly channels: number;
    readonly leaseMs: number;
    /** A Proxy without channels needs no entries, only the head. */
    readonly fresh?: boolean;
  },
): Promise<BeatResult> {
  return access.store.transaction(async (transaction) => {
    const realm = await getRealm(transaction, 'share');
    const { leases } = transaction.tables;
    const lease = {
      applied: beat.applied,
      channels: beat.channels,
      expiresAt: (await transaction.now()) + beat.leaseMs,
    };
    const found = await leases.update({ where: { proxy: beat.proxy } }, lease);
    if (found === 0) await leases.insert({ proxy: beat.proxy, ...lease });
    const entries = !beat.fresh && beat.applied < realm.head ? await entriesAfter(transaction, beat.applied) : [];
    return { head: realm.head, entries };
  });
}

/** A Proxy that may still serve without having applied an entry. */
export interface WaitingProxy {
  readonly proxy: string;
  readonly applied: number;
  /** When its lease ends at the latest, epoch ms of the store's clock. */
  readonly untilAt: number;
}

/** For whom an entry waits; nobody means that it is in force everywhere. */
export async function waitingFor(access: AccessContext, index: number): Promise<WaitingProxy[]> {
  return access.store.transaction(async (transaction) => {
    const now = await transaction.now();
    const live = await transaction.tables.leases.list({ above: ['expiresAt', now] });
    return live
      .filter(({ applied }) => applied < index)
      .map(({ proxy, applied, expiresAt }) => ({ proxy, applied, untilAt: expiresAt }));
  });
}

/** Wall and monotonic time that drift apart by more than this mean a suspend, a snapshot or a clock step, in ms. */
export const MAX_DRIFT_MS = 50;

/** Both clocks of a process. */
export interface Clocks {
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
}

/**
 * The Proxy's side of a lease: live until *send time of the last answered beat* + lease, on the monotonic clock, and
 * never across a drift of the two clocks. Ask `live` last before every upstream write. Not shared.
 */
export class LeaseClock {
  readonly #clocks: Clocks;
  #until = Number.NEGATIVE_INFINITY;
  #offset: number;
  #generation = 0;

  constructor(clocks: Clocks) {
    this.#clocks = clocks;
    this.#offset = clocks.wallMs() - clocks.monotonicMs();
  }

  /** Marks the sending of a beat; hand the mark to `granted` with its answer. */
  beatSent(): { readonly sentAt: number; readonly generation: number } {
    this.#checkDrift();
    return { sentAt: this.#clocks.monotonicMs(), generation: this.#generation };
  }

  /** The answer came, and its entries are applied. An answer to a beat from before a drift counts for nothing. */
  granted(mark: { readonly sentAt: number; readonly generation: number }, leaseMs: number): void {
    this.#checkDrift();
    if (mark.generation !== this.#generation) return;
    this.#until = Math.max(this.#until, mark.sentAt + leaseMs);
  }

  /** True while this Proxy may serve. */
  get live(): boolean {
    this.#checkDrift();
    return this.#clocks.monotonicMs() < this.#until;
  }

  /** How often the clocks drifted: channels of an older generation must be dropped. */
  get generation(): number {
    this.#checkDrift();
    return this.#generation;
  }

  #checkDrift(): void {
    const offset = this.#clocks.wallMs() - this.#clocks.monotonicMs();
    const drifted = Math.abs(offset - this.#offset) > MAX_DRIFT_MS;
    this.#offset = offset;
    if (!drifted) return;
    this.#until = Number.NEGATIVE_INFINITY;
    this.#generation += 1;
  }
}
