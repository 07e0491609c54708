/** Beats of one connection that are answered at the same time: one that hangs on a database must not hold up the next ones. */
const AT_ONCE = 4;

/**
 * Answers the beats of one connection, a few at a time, and of those that come meanwhile only the newest: what the others say, it says
 * too, and a Proxy that has an answer to it waits for none of them. So a Proxy that sends more than it should takes no more of the
 * database than a few beats at a time, and no other one waits behind it.
 */
export class NewestBeats<Beat extends object> {
  readonly #answer: (beat: Beat) => Promise<void>;
  #answering = 0;
  #next: Beat | undefined;

  /** `answer` never rejects. */
  constructor(answer: (beat: Beat) => Promise<void>) {
    this.#answer = answer;
  }

  /** A beat has come. */
  take(beat: Beat): void {
    if (this.#answering >= AT_ONCE) {
      this.#next = beat;
      return;
    }
    this.#answering += 1;
    void this.#answer(beat).finally(() => this.#answered());
  }

  /** The connection is gone: nobody waits any more. */
  end(): void {
    this.#next = undefined;
  }

  #answered(): void {
    this.#answering -= 1;
    const next = this.#next;
    this.#next = undefined;
    if (next) this.take(next);
  }
}
