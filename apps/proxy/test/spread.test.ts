import { afterEach, expect, test, vi } from 'vitest';
import { Spread } from '../src/serving/spread.ts';

afterEach(() => void vi.useRealTimers());

/** So many devices, what each of them was told, and how many were told in each tenth of a second. */
function scene(count: number) {
  vi.useFakeTimers();
  const told = new Map<number, number[]>();
  const all = Array.from({ length: count }, (_, i) => i);
  const tell = (one: number, news: number): void => void told.set(one, [...(told.get(one) ?? []), news]);
  return { told, spread: new Spread<number, number>({ withinMs: 2_000, all: () => all, tell }) };
}

test('a thousand devices are told within two seconds, and not at one moment', async () => {
  const { told, spread } = scene(1_000);
  spread.spread(1);
  expect(told.size).toBe(50);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(told.size).toBeGreaterThan(400);
  expect(told.size).toBeLessThan(700);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(told.size).toBe(1_000);
  expect([...told.values()].every((news) => news.length === 1)).toBe(true);
});

test('a few are told at once, or nearly so', async () => {
  const { told, spread } = scene(3);
  spread.spread(1);
  await vi.advanceTimersByTimeAsync(200);
  expect(told.size).toBe(3);
});

test('news that come meanwhile take the place of those before: nobody is told what is over, everybody the last', async () => {
  const { told, spread } = scene(200);
  spread.spread(1);
  await vi.advanceTimersByTimeAsync(500);
  for (const news of [2, 3, 4]) spread.spread(news);
  await vi.advanceTimersByTimeAsync(4_000);
  const all = [...told.values()];
  expect(all.flat()).not.toContain(2);
  expect(all.flat()).not.toContain(3);
  expect(all.every((news) => news.at(-1) === 4)).toBe(true);
});

test('stopped, it tells nobody any more', async () => {
  const { told, spread } = scene(100);
  spread.spread(1);
  spread.stop();
  await vi.advanceTimersByTimeAsync(4_000);
  expect(told.size).toBe(5);
});
