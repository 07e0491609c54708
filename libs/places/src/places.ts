/** Limits of a line in front of something that only so many may use at once. Times in ms. */
export interface PlaceLimits {
  readonly places: number;
  /** So many of the places are for urgent work only. */
  readonly reserved?: number;
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
 * So many at once; the rest waits in line, first come first served but urgent work before all other, and not for ever. Being busy is thereby told apart
 * from being out of order: only who has a place is timed by what they then ask. Not shared.
 */
export class Places {
  readonly #limits: PlaceLimits;
  readonly #now: () => number;
  readonly #line = new Set<Waiting>();
  readonly #urgentLine = new Set<Waiting>();
  #free: number;
  #averageMs = 0;

  constructor(limits: PlaceLimits) {
    this.#limits = limits;
    this.#now = limits.monotonicMs ?? (() => performance.now());
    this.#free = limits.places;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#line.size + this.#urgentLine.size;
  }

  /** Runs work once there is a place for it. @throws BusyError with nothing done */
  async run<T>(work: () => Promise<T>, { urgent = false }: { readonly urgent?: boolean } = {}): Promise<T> {
    if (this.#free > this.#keptFrom(urgent)) this.#free -= 1;
    else await this.#wait(urgent ? this.#urgentLine : this.#line);
    const begunAt = this.#now();
    try {
      return await work();
    } finally {
      this.#averageMs += WEIGHT * (this.#now() - begunAt - this.#averageMs);
      this.#leave();
    }
  }

  /** Free places that such work leaves alone. */
  #keptFrom(urgent: boolean): number {
    return urgent ? 0 : (this.#limits.reserved ?? 0);
  }

  #wait(line: Set<Waiting>): Promise<void> {
    if (line.size >= this.#limits.maxWaiting) throw this.#busy();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        line.delete(waiting);
        reject(this.#busy());
      }, this.#limits.maxWaitMs);
      const waiting = { begin: resolve, timer };
      line.add(waiting);
    });
  }

  /** Gives the place back, and lets in who may have it. */
  #leave(): void {
    this.#free += 1;
    const line = this.#urgentLine.size > 0 ? this.#urgentLine : this.#line;
    const next = line.values().next().value;
    if (!next || this.#free <= this.#keptFrom(line === this.#urgentLine)) return;
    this.#free -= 1;
    line.delete(next);
    clearTimeout(next.timer);
    next.begin();
  }

  #busy(): BusyError {
    const lineMs = (this.#averageMs * this.#line.size) / this.#limits.places;
    return new BusyError(Math.round(Math.min(SLOWEST_RETRY_MS, Math.max(FASTEST_RETRY_MS, lineMs))));
  }
}
