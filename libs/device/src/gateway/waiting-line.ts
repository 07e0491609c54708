import { remoteError } from '../errors.ts';

/** While as much is open as may be, and nothing of it ends for so long, whoever waits is told, ms. */
const STUCK_MS = 60_000;

/** Those who wait until a channel may open one more stream, in their order. Not shared. */
export class WaitingLine {
  readonly #waiting = new Set<() => void>();

  /** Resolves when somebody may go on, who looks again. @throws DeviceError STREAM_LIMIT, certainly not run, when nobody could for a minute */
  async wait(): Promise<void> {
    if (!(await this.waitFor(STUCK_MS))) throw remoteError('STREAM_LIMIT');
  }

  /** The same for who may go elsewhere: false when nobody could go on for so long, ms. */
  waitFor(maxMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const admit = (): void => {
        clearTimeout(timer);
        resolve(true);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(admit);
        resolve(false);
      }, maxMs);
      this.#waiting.add(admit);
    });
  }

  /** All of them look again: a stream has ended, or the channel has. */
  admit(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const admit of waiting) admit();
  }
}
