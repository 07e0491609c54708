/** How long the present turn of the event loop has lasted, as far as anybody asked in it. */
export class Turn {
  #startedAt: number | undefined;
  readonly #over = (): void => {
    this.#startedAt = undefined;
  };

  /** Ms since the first question of this turn. */
  ms(): number {
    const now = performance.now();
    if (this.#startedAt === undefined) {
      this.#startedAt = now;
      setImmediate(this.#over);
    }
    return now - this.#startedAt;
  }
}
