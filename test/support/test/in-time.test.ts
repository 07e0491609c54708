import { expect, test } from 'vitest';
import { inTime } from '../src/in-time.ts';

test('what comes too late gets more time, until it is clear that it never comes in time', async () => {
  const given: number[] = [];
  const slow = async (ms: number): Promise<string | undefined> => {
    given.push(ms);
    return ms < 16 ? undefined : 'done';
  };
  expect(await inTime(1, slow)).toBe('done');
  expect(given).toEqual([1, 4, 16]);
  await expect(inTime(1, async () => undefined)).rejects.toThrow('even with 64 ms');
});
