import type { Lockout } from '@sallyport/access';

/** What came of a try: its result, or how long to wait before the next one. */
export type Limited<T> = { readonly result: T } | { readonly waitMs: number };

/**
 * A try under several lock-outs at once: whether it was right is counted; what is neither right nor wrong (undefined) is not, and an
 * error that nobody could help neither.
 */
export async function limited<T>(
  lockout: Lockout,
  keys: readonly string[],
  { work, right }: { readonly work: () => Promise<T>; readonly right: (result: T) => boolean | undefined },
): Promise<Limited<T>> {
  const taken: string[] = [];
  const end = (how: 'giveBack' | 'clear' | 'fail') => Promise.all(taken.map((key) => lockout[how](key)));
  for (const key of keys) {
    const waitMs = await lockout.take(key);
    if (waitMs === 0) {
      taken.push(key);
      continue;
    }
    await end('giveBack');
    return { waitMs };
  }
  const result = await work().catch(async (error: unknown) => {
    await end('giveBack');
    throw error;
  });
  const was = right(result);
  await end(was === undefined ? 'giveBack' : was ? 'clear' : 'fail');
  return { result };
}
