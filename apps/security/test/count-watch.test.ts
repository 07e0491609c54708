import { expect, test } from 'vitest';
import { type Counts, CountWatch } from '../src/count-watch.ts';

/** A count that ends when told, on a clock that the test moves. */
function counting() {
  const state = { now: 0, begun: 0, ends: [] as (() => void)[] };
  const watch = new CountWatch(
    () => {
      state.begun += 1;
      const counts: Counts = { liveSessions: state.begun, installations: 0, users: 0, countedAt: state.now };
      return new Promise((resolve) => state.ends.push(() => resolve(counts)));
    },
    () => state.now,
  );
  const end = async (tookMs: number): Promise<void> => {
    state.now += tookMs;
    state.ends.shift()!();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { state, watch, end };
}

test('quick counts are always of this moment', async () => {
  const { watch, end } = counting();
  for (let i = 1; i <= 3; i++) {
    const looked = watch.look(60_000);
    await end(5);
    expect(await looked).toMatchObject({ liveSessions: i });
  }
});

test('a long count is shared, told with its age, and not repeated before the store has rested', async () => {
  const { state, watch, end } = counting();
  const first = watch.look(60_000);
  const many = Array.from({ length: 50 }, () => watch.look(60_000));
  await end(10_000);
  expect(await first).toMatchObject({ liveSessions: 1, countedAt: 0 });
  for (const one of await Promise.all(many)) expect(one).toMatchObject({ liveSessions: 1 });
  state.now += 100_000;
  expect(await watch.look(60_000)).toMatchObject({ liveSessions: 1, countedAt: 0 });
  expect(state.begun).toBe(1);
  state.now += 100_000;
  // The next one is under way: who does not wait gets the last one.
  expect(await watch.look(0)).toMatchObject({ liveSessions: 1, countedAt: 0 });
  expect(state.begun).toBe(2);
  await end(10);
  const next = watch.look(60_000);
  await end(10);
  expect((await next).liveSessions).toBeGreaterThan(1);
});

test('a store that does not answer is said, not counted as nobody', async () => {
  const watch = new CountWatch(() => Promise.reject(new Error('the store is away')));
  await expect(watch.look(1_000)).rejects.toThrow('the store is away');
});
