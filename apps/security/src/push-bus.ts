/**
 * In-process fan-out: new entries of the log wake the control connections, recorded beats wake whoever waits for a
 * revocation. Only a speed-up: the beat delivers entries and the waiter polls in any case.
 */
export class PushBus {
  readonly #listeners = new Set<() => void>();
  #waiters: (() => void)[] = [];

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** New entries are committed. */
  wake(): void {
    for (const listener of this.#listeners) listener();
  }

  /** A lease was recorded. */
  wakeWaiters(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }

  /** Resolves at the next recorded lease, or after `ms`. */
  nextLease(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#waiters.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
