import { setImmediate as turn } from 'node:timers/promises';

/**
 * Work that is done again and again until it is stopped: `await using` stops it however the test ends. Between two rounds others
 * have a turn, so that work which fails at once, because what it asks has been closed, holds up nobody.
 */
export class Repeating implements AsyncDisposable {
  /** How often it was done. */
  count = 0;
  readonly #loop: Promise<void>;
  #stopped = false;

  constructor(work: () => Promise<void>) {
    this.#loop = this.#run(work);
    // Whoever stops it hears of a failure.
    this.#loop.catch(() => {});
  }

  /** Resolves when what is under way has been done. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #run(work: () => Promise<void>): Promise<void> {
    for (; !this.#stopped; this.count += 1) {
      await work();
      await turn();
    }
  }
}
