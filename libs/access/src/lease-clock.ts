/** Wall and monotonic time that drift apart by more than this mean a suspend, a snapshot or a clock step, in ms. */
export const MAX_DRIFT_MS = 50;

/** Both clocks of a process. */
export interface Clocks {
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
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
  #generation = 0;

  constructor(clocks: Clocks) {
    this.#clocks = clocks;
    this.#offset = clocks.wallMs() - clocks.monotonicMs();
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
    const offset = this.#clocks.wallMs() - this.#clocks.monotonicMs();
    const drifted = Math.abs(offset - this.#offset) > MAX_DRIFT_MS;
    this.#offset = offset;
    if (!drifted) return;
    this.#until = Number.NEGATIVE_INFINITY;
    this.#generation += 1;
  }
}
