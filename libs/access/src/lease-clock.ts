/** Wall and monotonic time that drift apart by more than this mean a suspend, a snapshot or a clock step, in ms. */
export const MAX_DRIFT_MS = 50;

/** The clocks of a process. */
export interface Clocks {
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
  /**
   * Time since boot, which goes on in suspend (CLOCK_BOOTTIME). With it a suspend is noticed even when the wall clock is
   * set back at the same time by as much as the suspend lasted.
   */
  readonly bootMs?: () => number;
  /** Calls back before anything else runs in the process: `bootMs` is slow to read, once a turn is enough. */
  readonly nextTurn?: (begin: () => void) => void;
}

/** When a beat was sent, and in which generation of the lease. */
export interface BeatMark {
  readonly sentAt: number;
  readonly generation: number;
}

/**
 * The Proxy's side of a lease: live until *send time of the last answered beat* + lease, on the monotonic clock, and
 * never across a drift of the two clocks. Ask `live` last before every upstream write. Not shared.
 */
export class LeaseClock {
  readonly #clocks: Clocks;
  #until = Number.NEGATIVE_INFINITY;
  #offset: number;
  #bootOffset: number;
  #checkedThisTurn = false;
  #generation = 0;

  constructor(clocks: Clocks) {
    this.#clocks = clocks;
    this.#offset = clocks.wallMs() - clocks.monotonicMs();
    this.#bootOffset = this.#currentBootOffset();
  }

  /** Marks the sending of a beat; hand the mark to `granted` with its answer. */
  beatSent(): BeatMark {
    this.#checkDrift();
    return { sentAt: this.#clocks.monotonicMs(), generation: this.#generation };
  }

  /** The answer came, and its entries are applied. An answer to a beat from before a drift counts for nothing. */
  granted(mark: BeatMark, leaseMs: number): void {
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
    const monotonicMs = this.#clocks.monotonicMs();
    const offset = this.#clocks.wallMs() - monotonicMs;
    const drifted = Math.abs(offset - this.#offset) > MAX_DRIFT_MS;
    this.#offset = offset;
    if (!drifted && !this.#suspended()) return;
    this.#until = Number.NEGATIVE_INFINITY;
    this.#generation += 1;
  }

  #suspended(): boolean {
    if (this.#checkedThisTurn) return false;
    this.#checkedThisTurn = this.#clocks.nextTurn !== undefined;
    this.#clocks.nextTurn?.(() => {
      this.#checkedThisTurn = false;
    });
    const before = this.#bootOffset;
    this.#bootOffset = this.#currentBootOffset();
    return Math.abs(this.#bootOffset - before) > MAX_DRIFT_MS;
  }

  #currentBootOffset(): number {
    const { bootMs, monotonicMs } = this.#clocks;
    return bootMs ? bootMs() - monotonicMs() : 0;
  }
}
