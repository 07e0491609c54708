import type { Lockout } from '@sallyport/access';

/** What came of a try: its result, or how long to wait before the next one. */
export type Limited<T> = { readonly result: T } | { readonly waitMs: number };

/** A try under a lock-out: whether it was right is counted, an error that nobody could help is not. */
export async function limited<T>(
  lockout: Lockout,
  key: string,
  { work, right }: { readonly work: () => Promise<T>; readonly right: (result: T) => boolean },
): Promise<Limited<T>> {
  const waitMs = await lockout.take(key);
  if (waitMs > 0) return { waitMs };
  const result = await work().catch(async (error: unknown) => {
    await lockout.giveBack(key);
    throw error;
  });
  await (right(result) ? lockout.clear(key) : lockout.fail(key));
  return { result };
}
