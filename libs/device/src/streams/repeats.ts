import type { DeviceError } from '../errors.ts';
import { mayRetry } from './fetch.ts';
import type { RequestBody } from './http-call.ts';
import { RetryBudget } from './retry-budget.ts';

const RETRY_MIN_MS = 100;
/** The same when the gateway is overloaded. */
const CALM_MS = 500;
const MAX_TRIES = 4;

/** What says whether a request may be sent again. */
export interface Repeatable {
  readonly method: string;
  readonly body: RequestBody;
  readonly signal?: AbortSignal | undefined;
}

/** Sends the requests of one device, and again those that a passing fault has met and that may run twice or did not run. */
export class Repeats {
  readonly #budget = new RetryBudget();
  readonly #pause: (ms: number) => Promise<void>;

  constructor(wait: (ms: number) => Promise<void> = pause) {
    this.#pause = wait;
  }

  /** What `send` gives. @throws what it throws, when that is no passing fault, or there were enough tries */
  async sending<T>({ method, body, signal }: Repeatable, send: () => Promise<T>): Promise<T> {
    this.#budget.asked();
    for (let attempt = 1; ; attempt++) {
      try {
        return await send();
      } catch (error) {
        if (attempt >= MAX_TRIES || signal?.aborted || !mayRetry(error, method, body)) throw error;
        const calmly = (error as DeviceError).code === 'CALM_DOWN';
        if (calmly && !this.#budget.take()) throw error;
        await this.#pause((calmly ? CALM_MS : RETRY_MIN_MS) * attempt * (0.5 + Math.random()));
      }
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
