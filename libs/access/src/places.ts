/** Limits of a line in front of something that only so many may use at once. Times in ms. */
export interface PlaceLimits {
  readonly places: number;
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
  readonly monotonicMs?: () => number;
}

/** The line was too long, or the wait. Nothing was done. */
export class BusyError extends Error {
  readonly code = 'ERR_ACCESS_BUSY';
  /** When a place may be free again, ms. */
  readonly retryAfterMs: number;

  constructor(retryAfterMs: number) {
    super('too much waits for a place');
    this.name = 'BusyError';
    this.retryAfterMs = retryAfterMs;
  }
}

interface Waiting {
  readonly begin: () => void;
  readonly timer: NodeJS.Timeout;
}

const FASTEST_RETRY_MS = 500;
const SLOWEST_RETRY_MS = 10_000;
/** How much the last one counts in the average of how long one takes. */
const WEIGHT = 0.1;

/**
 * So many at once; the rest waits in line, first come first served, and not for ever. Being busy is thereby told apart
 * from being out of order: only who has a place is timed by what they then ask. Not shared.
 */
export class Places {
  readonly #limits: PlaceLimits;
  readonly #now: () => number;
  readonly #line = new Set<Waiting>();
  #free: number;
  #averageMs = 0;

  constructor(limits: PlaceLimits) {
    this.#limits = limits;
    this.#now = limits.monotonicMs ?? (() => performance.now());
    this.#free = limits.places;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#line.size;
  }

  /** Runs work once there is a place. @throws BusyError with nothing done */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#wait();
    const begunAt = this.#now();
    try {
      return await work();
    } finally {
      this.#averageMs += WEIGHT * (this.#now() - begunAt - this.#averageMs);
      this.#leave();
    }
  }

  #wait(): Promise<void> {
    if (this.#line.size >= this.#limits.maxWaiting) throw this.#busy();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#line.delete(waiting);
        reject(this.#busy());
      }, this.#limits.maxWaitMs);
      const waiting = { begin: resolve, timer };
      this.#line.add(waiting);
    });
  }

  /** Hands the place to the next in line. */
  #leave(): void {
    const next = this.#line.values().next().value;
    if (!next) {
      this.#free += 1;
      return;
    }
    this.#line.delete(next);
    clearTimeout(next.timer);
    next.begin();
  }

  #busy(): BusyError {
    const lineMs = (this.#averageMs * this.#line.size) / this.#limits.places;
    return new BusyError(Math.round(Math.min(SLOWEST_RETRY_MS, Math.max(FASTEST_RETRY_MS, lineMs))));
  }
}
