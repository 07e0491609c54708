/** Requests of one resource that are under way at once; browsers have six for each host, and servers count on about that. */
const MAX_AT_ONCE = 8;
/** After this long a request no longer counts, ms: long polls and streams of events would keep all others away. */
const COUNTED_MS = 5_000;

/** Lets the requests of each resource go in turns, in the order in which they came. */
export class Turns {
  readonly #busy = new Map<string, number>();
  readonly #waiting = new Map<string, (() => void)[]>();

  /** Waits for a turn; gives what ends it, which may be called more than once. */
  async take(authority: string): Promise<() => void> {
    const busy = this.#busy.get(authority) ?? 0;
    if (busy < MAX_AT_ONCE) this.#busy.set(authority, busy + 1);
    else await this.#wait(authority);
    let over = false;
    const end = (): void => {
      clearTimeout(timer);
      if (!over) this.#next(authority);
      over = true;
    };
    const timer = setTimeout(end, COUNTED_MS);
    return end;
  }

  #wait(authority: string): Promise<void> {
    const waiting = this.#waiting.get(authority) ?? [];
    this.#waiting.set(authority, waiting);
    return new Promise((resolve) => waiting.push(resolve));
  }

  /** Hands the turn on, or gives it back. */
  #next(authority: string): void {
    const next = this.#waiting.get(authority)?.shift();
    if (next) next();
    else this.#busy.set(authority, (this.#busy.get(authority) ?? 1) - 1);
  }
}
