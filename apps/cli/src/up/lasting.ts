import { setTimeout as sleep } from 'node:timers/promises';

/** Pauses before a part that ended is started again, ms: the first, the longest, and the life that makes it the first again. */
export interface BackOff {
  readonly firstMs: number;
  readonly longestMs: number;
  readonly healthyMs: number;
}

const BACK_OFF: BackOff = { firstMs: 1_000, longestMs: 30_000, healthyMs: 60_000 };

/** What runs and can be ended. */
export interface LastingPart {
  end(): Promise<void>;
}

/**
 * A part that is started again whenever it ends, after a pause that grows while it does not last. `start` is told what to
 * call when what it started has ended without having been told to.
 */
export class Lasting implements LastingPart {
  readonly #start: (ended: () => void) => Promise<LastingPart>;
  readonly #say: (text: string) => void;
  readonly #backOff: BackOff;
  readonly #stopped = new AbortController();
  #part: LastingPart | undefined;
  #startedAt = 0;
  #pauseMs: number;
  #again: Promise<void> = Promise.resolve();

  constructor(options: {
    start: (ended: () => void) => Promise<LastingPart>;
    say: (text: string) => void;
    backOff?: BackOff;
  }) {
    this.#start = options.start;
    this.#say = options.say;
    this.#backOff = options.backOff ?? BACK_OFF;
    this.#pauseMs = this.#backOff.firstMs;
  }

  /** Starts it for the first time. @throws what `start` throws: a part that never ran is not tried again. */
  async begin<P extends LastingPart>(): Promise<P> {
    return (await this.#run()) as P;
  }

  async end(): Promise<void> {
    this.#stopped.abort();
    await this.#again;
    await this.#part?.end();
  }

  async #run(): Promise<LastingPart> {
    this.#startedAt = performance.now();
    this.#part = await this.#start(() => {
      this.#again = this.#startAgain();
    });
    return this.#part;
  }

  async #startAgain(): Promise<void> {
    if (performance.now() - this.#startedAt > this.#backOff.healthyMs) this.#pauseMs = this.#backOff.firstMs;
    while (!this.#stopped.signal.aborted) {
      this.#say(`ended unexpectedly; it is started again in ${this.#pauseMs / 1_000} s`);
      const pause = await sleep(this.#pauseMs, 'over', this.#stopped).catch(() => 'stopped');
      if (pause === 'stopped') return;
      this.#pauseMs = Math.min(2 * this.#pauseMs, this.#backOff.longestMs);
      const started = await this.#run().catch((error: Error) => void this.#say(`did not start: ${whyOf(error)}`));
      if (started) return this.#say('runs again');
    }
  }
}

/** Why it did not start, on one line: its log is named beside it. */
function whyOf(error: Error): string {
  return error.message.split('\n', 1)[0]!.replace(/^\S+ did not start: /, '');
}
