import { TokenBucket } from '@sallyport/channel';

/** Counts attempts by key and says when there are too many. What it holds may vanish at any time. */
export interface Throttle {
  /** Takes one attempt; 0, or the ms until the next one is allowed. */
  take(key: string): Promise<number>;
  /** Ms until an attempt is allowed, without taking one. */
  blockedMs(key: string): Promise<number>;
}

/**
 * Throttle in the memory of one node: `burst` attempts at once, then `perMinute`. Holds at most `maxKeys` keys and
 * forgets the oldest.
 */
export function memoryThrottle(options: {
  readonly burst: number;
  readonly perMinute: number;
  readonly now: () => number;
  readonly maxKeys?: number;
}): Throttle {
  const { burst, perMinute, now, maxKeys = 100_000 } = options;
  const buckets = new Map<string, TokenBucket>();
  return {
    async take(key) {
      const bucket = buckets.get(key) ?? new TokenBucket(burst, perMinute / 60, now());
      buckets.delete(key);
      buckets.set(key, bucket);
      if (buckets.size > maxKeys) buckets.delete(buckets.keys().next().value!);
      return bucket.take(now()) ? 0 : bucket.waitMs(now());
    },
    blockedMs: async (key) => buckets.get(key)?.waitMs(now()) ?? 0,
  };
}
