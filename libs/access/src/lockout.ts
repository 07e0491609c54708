/**
 * Counts tries by key and makes each further one wait longer. A try counts as failed from the start, so that many at once
 * are no more than as many one after the other. What it holds may vanish at any time.
 */
export interface Lockout {
  /** Takes a try; 0, or the ms until the next one is allowed, and then it was not taken. */
  take(key: string): Promise<number>;
  /** Gives a try back that was neither right nor wrong, because nobody could tell. */
  giveBack(key: string): Promise<void>;
  /** Forgets the tries of a key: it has succeeded. */
  clear(key: string): Promise<void>;
}

/** Failures that cost nothing, the first wait, the longest wait, and how long after the last failure all is forgotten, ms. */
export const LOCKOUT: {
  readonly free: number;
  readonly firstMs: number;
  readonly longestMs: number;
  readonly memoryMs: number;
} = { free: 5, firstMs: 15_000, longestMs: 900_000, memoryMs: 3_600_000 };

/** The wait after so many failed tries in a row: none, then doubling. */
export function lockoutWaitMs(failures: number): number {
  if (failures < LOCKOUT.free) return 0;
  return Math.min(LOCKOUT.longestMs, LOCKOUT.firstMs * 2 ** (failures - LOCKOUT.free));
}

interface Failures {
  readonly count: number;
  readonly at: number;
}

/**
 * Lock-out in the memory of one node; `now` in ms. Holds at most `maxKeys` keys and forgets the oldest. Keys name user and
 * address together, so nobody can lock out somebody else from another address.
 */
export function memoryLockout({ now, maxKeys = 100_000 }: { now: () => number; maxKeys?: number }): Lockout {
  const failures = new Map<string, Failures>();
  const known = (key: string): Failures => {
    const found = failures.get(key);
    return found && now() - found.at < LOCKOUT.memoryMs ? found : { count: 0, at: now() };
  };
  const keep = (key: string, entry: Failures): void => {
    failures.delete(key);
    failures.set(key, entry);
    if (failures.size > maxKeys) failures.delete(failures.keys().next().value!);
  };
  return {
    async take(key) {
      const { count, at } = known(key);
      const waitMs = Math.max(0, Math.ceil(at + lockoutWaitMs(count) - now()));
      if (waitMs === 0) keep(key, { count: count + 1, at: now() });
      return waitMs;
    },
    async giveBack(key) {
      const { count, at } = known(key);
      if (count > 0) keep(key, { count: count - 1, at });
    },
    clear: async (key) => void failures.delete(key),
  };
}
