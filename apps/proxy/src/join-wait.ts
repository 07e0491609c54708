import { setTimeout as sleep } from 'node:timers/promises';
import type { SecurityClientError } from '@sallyport/security-client';
import type { Log } from '@sallyport/telemetry';

/** Between two tries, ms: the first time, and at most. */
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 5_000;

/** A Proxy that meets no Security at its join waits for it, as one that has joined does, and says so. One belongs to one process. */
export class JoinWait {
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
   * Joins, again and again while no Security node answers. The key must be the same each time: an answer may be lost.
   * @throws SecurityClientError whatever else goes wrong: time does not mend a token that is refused
   */
  async through<T>(joining: () => Promise<T>): Promise<T> {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
      try {
        const joined = await joining();
        if (this.#words !== undefined) this.#log.info('Security answers: this Proxy has joined');
        this.#words = undefined;
        return joined;
      } catch (error) {
        if (!isUnanswered(error)) throw error;
        const { message, cause } = error;
        this.#words = cause instanceof Error ? `${message}: ${cause.message}` : message;
        this.#log.warn({ err: error, pauseMs }, 'Security does not answer yet: this Proxy waits to join');
      }
      await sleep(pauseMs);
    }
  }
}

function isUnanswered(error: unknown): error is SecurityClientError {
  return (error as { code?: unknown }).code === 'ERR_SECURITY_UNREACHABLE';
}
