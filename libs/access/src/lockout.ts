/** Counts failures by key and makes each further try wait longer. What it holds may vanish at any time. */
export interface Lockout {
  /** Notes a failure; gives the ms until the next try is allowed, 0 while there are tries left. */
  fail(key: string): Promise<number>;
  /** Ms until a try is allowed. */
  blockedMs(key: string): Promise<number>;
  /** Forgets the failures of a key: it has succeeded. */
  clear(key: string): Promise<void>;
}

/** Failures that cost nothing, the first wait, the longest wait, and how long after the last failure all is forgotten, ms. */
export const LOCKOUT: {
  readonly free: number;
  readonly firstMs: number;
  readonly longestMs: number;
  readonly memoryMs: number;
} = { free: 5, firstMs: 15_000, longestMs: 900_000, memoryMs: 3_600_000 };

/** The wait after so many failures in a row: none, then doubling. */
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
  const blockedMs = (key: string): number => {
    const { count, at } = known(key);
    return Math.max(0, Math.ceil(at + lockoutWaitMs(count) - now()));
  };
  return {
    async fail(key) {
      const count = known(key).count + 1;
      failures.delete(key);
      failures.set(key, { count, at: now() });
      if (failures.size > maxKeys) failures.delete(failures.keys().next().value!);
      return blockedMs(key);
    },
    blockedMs: async (key) => blockedMs(key),
    clear: async (key) => void failures.delete(key),
  };
}
