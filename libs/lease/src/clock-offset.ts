/** A bracket that is at most this wide tells the offset of two clocks, ms. A read takes microseconds; a pause takes longer. */
const NARROW_MS = 5;
/** How often a wide bracket is read again at once. */
const MAX_TRIES = 8;

/** What a reading says of the offset of a clock: as before, changed, or not to be known at the moment. */
export type Offset = 'steady' | 'stepped' | 'unknown';

/** Which clock is held against the monotonic one, and how well. All times in ms. */
export interface ClockPair {
  readonly monotonicMs: () => number;
  readonly readMs: () => number;
  /** Steps in which `readMs` counts: the true time lies up to one step later. */
  readonly stepMs: number;
  /** A change of the offset by more is a step of the clock. */
  readonly maxChangeMs: number;
}

/**
 * How far a clock is from the monotonic one, and whether that changed. A process may be paused between any two reads, so the
 * clock is read between two reads of the monotonic one: the offset is known to lie within that bracket and no better. A wide
 * bracket is read again, and the tightest one counts. `steady` is said only of what cannot have changed by more than
 * allowed, `stepped` when brackets are so far apart that it must have; between the two, a narrow bracket decides for
 * `stepped`, and a wide one for `unknown`. Slow drift is followed. Not shared.
 */
export class ClockOffset {
  readonly #pair: ClockPair;
  /** The offset as it was known last, NaN before it was known. */
  #low = Number.NaN;
  #high = Number.NaN;
  /** The bracket of the last reading. */
  #readLow = 0;
  #readHigh = 0;
  #readWidth = 0;

  constructor(pair: ClockPair) {
    this.#pair = pair;
    this.judge();
  }

  /** False before the offset was known, and after a step until it is known again. */
  get settled(): boolean {
    return !Number.isNaN(this.#low);
  }

  /** Reads both clocks and judges. `stepped` is said once for a step. */
  judge(): Offset {
    let stepped = false;
    let width = Number.POSITIVE_INFINITY;
    let low = 0;
    let high = 0;
    for (let tries = 0; tries < MAX_TRIES && width > NARROW_MS; tries++) {
      this.#read();
      const steps = this.#surelyStepped();
      if (steps) this.forget();
      stepped ||= steps;
      if (!steps && this.#readWidth >= width) continue;
      width = this.#readWidth;
      low = this.#readLow;
      high = this.#readHigh;
    }
    const narrow = width <= NARROW_MS;
    stepped ||= narrow && this.settled && !this.#surelySteady(low, high);
    if (narrow) this.#settle(low, high);
    if (stepped) return 'stepped';
    return narrow || this.#surelySteady(low, high) ? 'steady' : 'unknown';
  }

  /** Nothing is known any more: the next narrow bracket counts as the offset. */
  forget(): void {
    this.#low = this.#high = Number.NaN;
  }

  #read(): void {
    const { monotonicMs, readMs, stepMs } = this.#pair;
    const before = monotonicMs();
    const at = readMs();
    const after = monotonicMs();
    this.#readLow = at - after;
    this.#readHigh = at + stepMs - before;
    this.#readWidth = after - before;
  }

  #surelyStepped(): boolean {
    const { maxChangeMs } = this.#pair;
    return this.#readLow - this.#high > maxChangeMs || this.#low - this.#readHigh > maxChangeMs;
  }

  #surelySteady(low: number, high: number): boolean {
    const { maxChangeMs } = this.#pair;
    return high - this.#low <= maxChangeMs && this.#high - low <= maxChangeMs;
  }

  #settle(low: number, high: number): void {
    this.#low = low;
    this.#high = high;
  }
}
