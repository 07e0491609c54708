import { expect, test } from 'vitest';
import { Places } from '../src/index.ts';

function held() {
  const running: (() => void)[] = [];
  const order: number[] = [];
  const work = (id: number) => (): Promise<number> => {
    order.push(id);
    return new Promise((resolve) => running.push(() => resolve(id)));
  };
  return { running, order, work };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('so many run at once, the rest in the order in which they came', async () => {
  const places = new Places({ places: 2, maxWaiting: 10, maxWaitMs: 60_000 });
  const { running, order, work } = held();
  const all = [1, 2, 3, 4].map((id) => places.run(work(id)));
  await turn();
  expect(order).toEqual([1, 2]);
  expect(places.waiting).toBe(2);
  running[1]!();
  await turn();
  expect(order).toEqual([1, 2, 3]);
  running[0]!();
  await turn();
  for (const end of running) end();
  expect(await Promise.all(all)).toEqual([1, 2, 3, 4]);
  expect(places.waiting).toBe(0);
});

test('a full line takes nobody more and says when to come again', async () => {
  let now = 0;
  const places = new Places({ places: 1, maxWaiting: 1, maxWaitMs: 60_000, monotonicMs: () => now });
  const slow = places.run(async () => {
    now += 100_000;
  });
  await slow;
  const { running, work } = held();
  const all = [places.run(work(1)), places.run(work(2))];
  await expect(places.run(work(3))).rejects.toMatchObject({ code: 'ERR_ACCESS_BUSY', retryAfterMs: 10_000 });
  running[0]!();
  await turn();
  running[1]!();
  expect(await Promise.all(all)).toEqual([1, 2]);
});

test('nobody waits for ever, and who gave up takes no place', async () => {
  const places = new Places({ places: 1, maxWaiting: 10, maxWaitMs: 20 });
  const { running, order, work } = held();
  const first = places.run(work(1));
  await expect(places.run(work(2))).rejects.toMatchObject({ code: 'ERR_ACCESS_BUSY' });
  running[0]!();
  await first;
  const third = places.run(work(3));
  await turn();
  expect(order).toEqual([1, 3]);
  running[1]!();
  await third;
});

test('work that fails gives its place back', async () => {
  const places = new Places({ places: 1, maxWaiting: 0, maxWaitMs: 20 });
  await expect(places.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await places.run(async () => 'yes')).toBe('yes');
});

test('urgent work goes before all other, and has places that nobody else takes', async () => {
  const places = new Places({ places: 3, reserved: 1, maxWaiting: 10, maxWaitMs: 60_000 });
  const { running, order, work } = held();
  const ordinary = [1, 2, 3].map((id) => places.run(work(id)));
  const urgent = [10, 11].map((id) => places.run(work(id), { urgent: true }));
  await turn();
  expect(order).toEqual([1, 2, 10]);
  running[0]!();
  await turn();
  expect(order).toEqual([1, 2, 10, 11]);
  running[2]!();
  await turn();
  expect(order).toEqual([1, 2, 10, 11]);
  running[3]!();
  await turn();
  expect(order).toEqual([1, 2, 10, 11, 3]);
  for (const end of running) end();
  expect(await Promise.all([...ordinary, ...urgent])).toEqual([1, 2, 3, 10, 11]);
  expect(places.waiting).toBe(0);
});
