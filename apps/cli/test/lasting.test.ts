import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Lasting, type LastingPart } from '../src/up/lasting.ts';

const BACK_OFF = { firstMs: 1, longestMs: 4, healthyMs: 60_000 };

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 18_000 && !condition(); i++) await sleep(5);
  expect(condition()).toBe(true);
}

test('a part that ends is started again, with words and growing pauses, until it is told to end', async () => {
  const ends: (() => void)[] = [];
  const said: string[] = [];
  let failing = false;
  const ended: number[] = [];
  const lasting = new Lasting({
    start: async (onEnd): Promise<LastingPart> => {
      if (failing) throw new Error('the port is taken');
      ends.push(onEnd);
      return { end: async () => void ended.push(1) };
    },
    say: (text) => void said.push(text),
    backOff: BACK_OFF,
  });
  await lasting.begin();
  ends[0]!();
  await until(() => ends.length === 2);
  failing = true;
  ends[1]!();
  await until(() => said.filter((text) => text.startsWith('did not start')).length >= 3);
  failing = false;
  await until(() => ends.length === 3);
  await until(() => said.at(-1) === 'runs again');
  expect(said[0]).toMatch(/ended unexpectedly; it is started again in 0.001 s/);
  expect(said).toContainEqual(expect.stringMatching(/in 0.004 s/));
  await lasting.end();
  expect(ended.length).toBe(1);
  ends[2]!();
  await sleep(20);
  expect(ends.length).toBe(3);
});

test('a part that never ran is not tried again', async () => {
  const lasting = new Lasting({
    start: () => Promise.reject(new Error('no')),
    say: () => undefined,
    backOff: BACK_OFF,
  });
  await expect(lasting.begin()).rejects.toThrow('no');
  await lasting.end();
});
