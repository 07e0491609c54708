/** Work that is done again and again until it is stopped. */
export class Repeating {
  /** How often it was done. */
  count = 0;
  readonly #loop: Promise<void>;
  #stopped = false;

  constructor(work: () => Promise<void>) {
    this.#loop = this.#run(work);
  }

  /** Resolves when what is under way has been done. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
  }

  async #run(work: () => Promise<void>): Promise<void> {
    for (; !this.#stopped; this.count += 1) await work();
  }
}
