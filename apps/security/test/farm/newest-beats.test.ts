import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { NewestBeats } from '../../src/farm/newest-beats.ts';

test('a Proxy that floods is answered a few beats at a time, and then the newest; none that hangs holds up the next', async () => {
  const asked: { readonly id: number; readonly done: () => void }[] = [];
  const beats = new NewestBeats<{ readonly id: number }>(({ id }) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    asked.push({ id, done: resolve });
    return promise;
  });
  const ids = (): number[] => asked.map(({ id }) => id);
  for (let id = 1; id <= 10_000; id++) beats.take({ id });
  expect(ids()).toEqual([1, 2, 3, 4]);
  asked[2]!.done();
  await setImmediate();
  expect(ids()).toEqual([1, 2, 3, 4, 10_000]);
  for (const { done } of asked) done();
  await setImmediate();
  expect(ids()).toHaveLength(5);
  for (let id = 20_001; id <= 20_009; id++) beats.take({ id });
  beats.end();
  for (const { done } of asked) done();
  await setImmediate();
  expect(ids()).toEqual([1, 2, 3, 4, 10_000, 20_001, 20_002, 20_003, 20_004]);
});
