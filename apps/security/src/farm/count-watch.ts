import type { RealmCounts } from '@sallyport/access';

/** After a count that took long the store rests for so many times as long: at most this part of its time goes into counting. */
const REST_FACTOR = 20;
/** A count that is quicker than this needs no rest, ms. */
const QUICK_MS = 50;

/**
 * Counts rows for the status. A database reads them all for that, so looks that come together share one count, a long one is
 * not repeated soon, and nobody waits for it longer than asked: then the last one is told, with its time. One belongs to one node.
 */
export class CountWatch {
  readonly #count: () => Promise<RealmCounts>;
  readonly #nowMs: () => number;
  #last: RealmCounts | undefined;
  #running: Promise<void> | undefined;
  #restsUntil = Number.NEGATIVE_INFINITY;

  /** `nowMs` is monotonic. */
  constructor(count: () => Promise<RealmCounts>, nowMs: () => number = () => performance.now()) {
    this.#count = count;
    this.#nowMs = nowMs;
  }

  /** The newest counts; waits at most `patienceMs` where there are some. */
  async look(patienceMs: number): Promise<RealmCounts> {
    if (this.#last && this.#nowMs() < this.#restsUntil) return this.#last;
    // What was begun before does not know what happened meanwhile; unless it is long, it is done again.
    const before = this.#running;
    const fresh = (before ? before.catch(() => undefined).then(() => this.#begin()) : this.#begin()).then(() => true);
    // Who does not wait any more does not hear of a store that does not answer.
    fresh.catch(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), patienceMs);
    });
    const done = await Promise.race([fresh, patience]).finally(() => clearTimeout(timer));
    if (!done && !this.#last) await fresh;
    return this.#last!;
  }

  #begin(): Promise<void> {
    if (this.#last && this.#nowMs() < this.#restsUntil) return Promise.resolve();
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    const begun = this.#nowMs();
    this.#last = await this.#count();
    const tookMs = this.#nowMs() - begun;
    if (tookMs > QUICK_MS) this.#restsUntil = this.#nowMs() + REST_FACTOR * tookMs;
  }
}
