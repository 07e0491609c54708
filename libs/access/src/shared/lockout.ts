/**
 * Counts failed tries by key and makes each further one wait longer. Tries that are under way are bounded, so that many at
 * once are not many more than one after the other. What it holds may vanish at any time.
 */
export interface Lockout {
  /** Begins a try; 0, or the ms until one is allowed, and then it has not begun. One of the others ends it. */
  take(key: string): Promise<number>;
  /** The try has failed. */
  fail(key: string): Promise<void>;
  /** The try was neither right nor wrong, because nobody could tell. */
  giveBack(key: string): Promise<void>;
  /** The try has succeeded: failures before it are forgotten. */
  clear(key: string): Promise<void>;
}

/** Limits of a lock-out; times in ms. */
export interface LockoutLimits {
  /** Failures that cost nothing. */
  readonly free: number;
  readonly firstMs: number;
  readonly longestMs: number;
  /** How long after the last failure all is forgotten. */
  readonly memoryMs: number;
  /** Tries under way at once, how long one more waits then, and after what time they count as lost. */
  readonly underWay: number;
  readonly busyMs: number;
  readonly lostMs: number;
}

/** Limits of all lock-outs. */
export const LOCKOUT: LockoutLimits = {
  free: 5,
  firstMs: 15_000,
  longestMs: 900_000,
  memoryMs: 3_600_000,
  underWay: 32,
  busyMs: 1_000,
  lostMs: 60_000,
};

/** The wait after so many failed tries in a row: none, then doubling. */
export function lockoutWaitMs(failures: number): number {
  if (failures < LOCKOUT.free) return 0;
  return Math.min(LOCKOUT.longestMs, LOCKOUT.firstMs * 2 ** (failures - LOCKOUT.free));
}

interface Tries {
  readonly failures: number;
  readonly failedAt: number;
  readonly underWay: number;
  readonly begunAt: number;
}

/**
 * Lock-out in the memory of one node; `now` in ms. Holds at most `maxKeys` keys and forgets the oldest. Keys name user and
 * address together, so nobody can lock out somebody else from another address.
 */
export function memoryLockout({ now, maxKeys = 100_000 }: { now: () => number; maxKeys?: number }): Lockout {
  const kept = new Map<string, Tries>();
  const known = (key: string): Tries => {
    const { failures = 0, failedAt = 0, underWay = 0, begunAt = 0 } = kept.get(key) ?? {};
    const forgotten = now() - failedAt >= LOCKOUT.memoryMs;
    const lost = now() - begunAt >= LOCKOUT.lostMs;
    return { failures: forgotten ? 0 : failures, failedAt, underWay: lost ? 0 : underWay, begunAt };
  };
  const change = (key: string, of: (tries: Tries) => Partial<Tries>): void => {
    const tries = known(key);
    kept.delete(key);
    kept.set(key, { ...tries, ...of(tries) });
    if (kept.size > maxKeys) kept.delete(kept.keys().next().value!);
  };
  const ended = ({ underWay }: Tries): number => Math.max(0, underWay - 1);
  return {
    async take(key) {
      const { failures, failedAt, underWay } = known(key);
      const waitMs = Math.max(0, Math.ceil(failedAt + lockoutWaitMs(failures) - now()));
      if (failures >= LOCKOUT.free && waitMs > 0) return waitMs;
      if (underWay >= LOCKOUT.underWay) return LOCKOUT.busyMs;
      change(key, (tries) => ({ underWay: tries.underWay + 1, begunAt: now() }));
      return 0;
    },
    async fail(key) {
      change(key, (tries) => ({ underWay: ended(tries), failures: tries.failures + 1, failedAt: now() }));
    },
    async giveBack(key) {
      change(key, (tries) => ({ underWay: ended(tries) }));
    },
    async clear(key) {
      change(key, (tries) => ({ underWay: ended(tries), failures: 0 }));
    },
  };
}
