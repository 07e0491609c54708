import { type AccessContext, getRealm } from '@sallyport/access';

/** How many there are of what grows, and when that was counted, epoch ms. */
export interface Counts {
  readonly liveSessions: number;
  readonly installations: number;
  readonly users: number;
  readonly countedAt: number;
}

/** After a count that took long the store rests for so many times as long: at most this part of its time goes into counting. */
const REST_FACTOR = 20;
/** A count that is quicker than this needs no rest, ms. */
const QUICK_MS = 50;

/**
 * Counts rows for the status. A database reads them all for that, so looks that come together share one count, a long one is
 * not repeated soon, and nobody waits for it longer than asked: then the last one is told, with its time. One belongs to one node.
 */
export class CountWatch {
  readonly #count: () => Promise<Counts>;
  readonly #nowMs: () => number;
  #last: Counts | undefined;
  #running: Promise<void> | undefined;
  #restsUntil = Number.NEGATIVE_INFINITY;

  /** `nowMs` is monotonic. */
  constructor(count: () => Promise<Counts>, nowMs: () => number = () => performance.now()) {
    this.#count = count;
    this.#nowMs = nowMs;
  }

  /** The newest counts; waits at most `patienceMs` where there are some. */
  async look(patienceMs: number): Promise<Counts> {
    if (this.#last && this.#nowMs() < this.#restsUntil) return this.#last;
    // What was begun before does not know what happened meanwhile; unless it is long, it is done again.
    const before = this.#running;
    const fresh = (before ? before.catch(() => undefined).then(() => this.#begin()) : this.#begin()).then(() => true);
    // Who does not wait any more does not hear of a store that does not answer.
    fresh.catch(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), patienceMs);
    });
    const done = await Promise.race([fresh, patience]).finally(() => clearTimeout(timer));
    if (!done && !this.#last) await fresh;
    return this.#last!;
  }

  #begin(): Promise<void> {
    if (this.#last && this.#nowMs() < this.#restsUntil) return Promise.resolve();
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    const begun = this.#nowMs();
    this.#last = await this.#count();
    const tookMs = this.#nowMs() - begun;
    if (tookMs > QUICK_MS) this.#restsUntil = this.#nowMs() + REST_FACTOR * tookMs;
  }
}

/** Counts users, installations that are not revoked and live sessions of a realm, reading them all. */
export function countRealm({ store }: AccessContext): Promise<Counts> {
  return store.transaction(async (transaction) => {
    const { notBefore } = await getRealm(transaction);
    const { sessions, installations, users } = transaction.tables;
    const countedAt = transaction.now();
    const unended = { where: { endedAt: null }, above: ['expiresAt', countedAt] } as const;
    // Whatever revokes everything before a moment, or everything, leaves its sessions as they are and sets this time.
    const tooOld = await sessions.count({ ...unended, below: ['createdAt', notBefore] });
    return {
      liveSessions: (await sessions.count(unended)) - tooOld,
      installations: (await installations.count()) - (await installations.count({ where: { status: 'revoked' } })),
      users: await users.count(),
      countedAt,
    };
  });
}
