/** Units of work in one turn of the event loop: each is about a microsecond or less, so a turn is a few milliseconds. */
const UNITS = 5_000;

/**
 * Cuts long work into turns of the event loop, so that beats, leases and other people's requests go on meanwhile. Whoever
 * works counts what it does and waits where it is told to.
 */
export class Pace {
  #left = UNITS;
  #turns = 1;

  /** Turns that the work has taken so far. */
  get turns(): number {
    return this.#turns;
  }

  /** Counts work that was done; true when the rest should wait for the next turn. */
  spend(units = 1): boolean {
    this.#left -= units;
    return this.#left <= 0;
  }

  /** Waits for the next turn. */
  async rest(): Promise<void> {
    this.#left = UNITS;
    this.#turns += 1;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
