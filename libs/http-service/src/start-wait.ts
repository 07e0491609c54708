import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '@sallyport/telemetry';

/** Between two tries, ms: the first time, and at most. */
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 5_000;

/** Of whom a start waits. */
interface AwaitedAtStart {
  /** True of what is said where the awaited does not answer; whatever else goes wrong, time does not mend. */
  isAway(error: unknown): error is Error;
  /** For the log, once when a wait is over, and each time that it goes on. */
  readonly words: { readonly over: string; readonly waiting: string };
}

/** A start that meets somebody who does not answer waits, as a server that is up does, and says so. One belongs to one process. */
export class StartWait {
  readonly #log: Log;
  readonly #awaited: AwaitedAtStart;
  #words: string | undefined;

  constructor(log: Log, awaited: AwaitedAtStart) {
    this.#log = log;
    this.#awaited = awaited;
  }

  /** What is waited for and why, in words; undefined while nothing is. */
  get words(): string | undefined {
    return this.#words;
  }

  /**
   * Takes a step of the start, again and again while the awaited does not answer: it reads where things stand each time.
   * @throws whatever else goes wrong
   */
  async through<T>(step: () => Promise<T>): Promise<T> {
    const { isAway, words } = this.#awaited;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
      try {
        const result = await step();
        if (this.#words !== undefined) this.#log.info(words.over);
        this.#words = undefined;
        return result;
      } catch (error) {
        if (!isAway(error)) throw error;
        const { message, cause } = error;
        this.#words = cause instanceof Error ? `${message}: ${cause.message}` : message;
        this.#log.warn({ err: error, pauseMs }, words.waiting);
      }
      await sleep(pauseMs);
    }
  }
}
