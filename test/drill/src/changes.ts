import { setTimeout as sleep } from 'node:timers/promises';
import { groups } from '@sallyport/security-api/admin';
import type { AdminClient } from '@sallyport/security-client/admin';

const PAUSE_MS = 250;
const NAME = /^change-(\d+)$/;

/** An operator who changes something again and again; every change that was acknowledged is noted with its time. */
export class SteadyChanges {
  readonly #admin: () => AdminClient;
  readonly #acknowledged: number[] = [];
  readonly #loop: Promise<void>;
  #stopped = false;

  constructor(admin: () => AdminClient) {
    this.#admin = admin;
    this.#loop = this.#run();
  }

  /** From now on nothing is changed. Not waited for: who is cut off hears nothing for long. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * How long before `at` the oldest change was acknowledged that is not there any more, ms; 0 when all are there. Call it when
   * the realm is there again.
   */
  async lostMs(at: number): Promise<number> {
    await this.#loop;
    const names = (await this.#admin().all(groups.list)).map(({ name }) => NAME.exec(name)?.[1]);
    const there = new Set(names.filter((number) => number !== undefined).map(Number));
    const oldest = this.#acknowledged.find((time, number) => time < at && !there.has(number));
    return oldest === undefined ? 0 : at - oldest;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const name = `change-${this.#acknowledged.length}`;
      try {
        await this.#admin().call(groups.put, { params: { name }, reason: 'drill' });
        if (!this.#stopped) this.#acknowledged.push(performance.now());
      } catch {
        if (!this.#stopped) throw new Error(`the change ${name} came to nothing`);
      }
      await sleep(PAUSE_MS);
    }
  }
}
