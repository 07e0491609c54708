import { setTimeout as sleep } from 'node:timers/promises';
import { isOutage } from '@sallyport/store-sql';
import type { Log } from '@sallyport/telemetry';

/** Between two tries, ms: the first time, and at most. */
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 5_000;
const AWAY: readonly unknown[] = ['ERR_STORE_UNAVAILABLE', 'ERR_STORE_UNKNOWN', 'ERR_JOURNAL_UNAVAILABLE'];

/**
 * A start that meets a database which does not answer waits for it, as a server that is up does, and says so. One belongs to
 * one process.
 */
export class StartWait {
  readonly #log: Log;
  #words: string | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** What is waited for and why, in words; undefined while nothing is. */
  get words(): string | undefined {
    return this.#words;
  }

  /**
   * Takes a step of the start, again and again while a database does not answer: it reads where things stand each time.
   * @throws whatever else goes wrong: time does not mend that
   */
  async through<T>(step: () => Promise<T>): Promise<T> {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
      try {
        const result = await step();
        if (this.#words !== undefined) this.#log.info('the database answers: the start goes on');
        this.#words = undefined;
        return result;
      } catch (error) {
        if (!isAway(error)) throw error;
        const { message, cause } = error;
        this.#words = cause instanceof Error ? `${message}: ${cause.message}` : message;
        this.#log.warn({ err: error, pauseMs }, 'the start waits for a database that does not answer');
      }
      await sleep(pauseMs);
    }
  }
}

function isAway(error: unknown): error is Error {
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  return AWAY.includes(code) && isOutage(cause);
}
