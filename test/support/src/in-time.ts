/** How much longer each next try has. */
const GROWTH = 4;
const TRIES = 4;

/**
 * Does what must be done before a time is over, with longer and longer times: a machine may be busy. `work` gets the time in ms and
 * gives undefined when it came too late. @throws Error when it always came too late
 */
export async function inTime<T>(firstMs: number, work: (ms: number) => Promise<T | undefined>): Promise<T> {
  for (let i = 0; i < TRIES; i++) {
    const result = await work(firstMs * GROWTH ** i);
    if (result !== undefined) return result;
  }
  throw new Error(`it came too late, even with ${firstMs * GROWTH ** (TRIES - 1)} ms`);
}
