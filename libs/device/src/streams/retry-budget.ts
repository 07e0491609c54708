/** Part of the requests that may be repeated because the gateway is overloaded, and how many at once. */
const PART = 0.1;
const MOST = 10;

/**
 * What a device may repeat when it was told to calm down: a tenth of what it asks for. More of it would be part of the overload.
 * Not shared.
 */
export class RetryBudget {
  #left = MOST;

  /** Something was asked for. */
  asked(): void {
    this.#left = Math.min(MOST, this.#left + PART);
  }

  /** Takes one repetition; false when there is none left. */
  take(): boolean {
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
