import type { BackendErrorCode } from './errors.ts';

/** How long a server gets nothing after it failed, ms; doubled while it goes on failing. */
const FIRST_REST_MS = 1_000;
const LONGEST_REST_MS = 60_000;
/** Answers that failed in a row before a server rests: one may be the fault of one request. */
const MAX_FAILED_ANSWERS = 3;
/** Checks that failed in a row before a server rests. */
const MAX_FAILED_CHECKS = 2;
/** When nobody has looked after the rest, it is over, ms. */
const UNWATCHED_MS = 5_000;

/** Failures after which certainly nothing was sent: the server is not there. */
const GONE: ReadonlySet<BackendErrorCode> = new Set(['ERR_BACKEND_UNREACHABLE', 'ERR_BACKEND_ADDRESS']);
/** Failures that say something of the server, not of a device or of us. */
const ITS_OWN: ReadonlySet<BackendErrorCode> = new Set([
  'ERR_BACKEND_TIMEOUT',
  'ERR_BACKEND_CLOSED',
  'ERR_BACKEND_RESPONSE',
]);

/**
 * How one server of several does: it rests after failures, and comes back when it is found to be well. One per server; times in
 * ms of the monotonic clock.
 */
export class ServerHealth {
  readonly #changed: (well: boolean) => void;
  readonly #random: () => number;
  #failedAnswers = 0;
  #failedChecks = 0;
  #rests = 0;
  #restsUntil: number | undefined;

  /**
   * `changed` hears when it begins to rest and when it is well again. `random` gives 0 to 1: jitter, so that the Proxies of a farm
   * do not all look at the same moment.
   */
  constructor(changed: (well: boolean) => void = () => undefined, random: () => number = Math.random) {
    this.#changed = changed;
    this.#random = random;
  }

  /** True when it may get requests. */
  usable(now: number): boolean {
    return this.#restsUntil === undefined || now >= this.#restsUntil + UNWATCHED_MS;
  }

  get resting(): boolean {
    return this.#restsUntil !== undefined;
  }

  /** True when its rest is over and it is time to look whether it is well. */
  lookDue(now: number): boolean {
    return this.#restsUntil !== undefined && now >= this.#restsUntil;
  }

  /** It gave an answer, whatever it was. */
  answered(): void {
    this.#failedAnswers = 0;
  }

  /** A request failed at it. */
  failed(code: BackendErrorCode, now: number): void {
    if (this.#restsUntil !== undefined && now < this.#restsUntil) return;
    if (GONE.has(code)) return this.#rest(now);
    if (!ITS_OWN.has(code)) return;
    this.#failedAnswers += 1;
    if (this.#failedAnswers >= MAX_FAILED_ANSWERS) this.#rest(now);
  }

  /** Somebody has looked: it is well, or not. */
  checked(well: boolean, now: number): void {
    this.#failedChecks = well ? 0 : this.#failedChecks + 1;
    if (well) {
      if (this.resting) this.#changed(true);
      this.#restsUntil = undefined;
      this.#rests = 0;
      this.#failedAnswers = 0;
    } else if (this.resting || this.#failedChecks >= MAX_FAILED_CHECKS) {
      this.#rest(now);
    }
  }

  #rest(now: number): void {
    const restMs = Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** this.#rests);
    this.#rests = Math.min(this.#rests + 1, 16);
    this.#failedAnswers = 0;
    if (!this.resting) this.#changed(false);
    this.#restsUntil = now + restMs * (0.8 + 0.4 * this.#random());
  }
}
