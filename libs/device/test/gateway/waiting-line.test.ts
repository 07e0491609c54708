import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { WaitingLine } from '../../src/gateway/waiting-line.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('who waits goes on in the order of coming, and is told when nothing ends for a minute', async () => {
  const line = new WaitingLine();
  const heard: unknown[] = [];
  const wait = (name: string): void => {
    line.wait().then(
      () => heard.push(name),
      ({ code, mayHaveRun, message }) => heard.push([name, code, mayHaveRun, message]),
    );
  };
  wait('first');
  wait('second');
  await vi.advanceTimersByTimeAsync(59_000);
  line.admit();
  await vi.advanceTimersByTimeAsync(59_000);
  expect(heard).toEqual(['first', 'second']);
  wait('third');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(heard[2]).toEqual(['third', 'STREAM_LIMIT', false, expect.stringContaining('close something')]);
  line.admit();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(heard).toHaveLength(3);
});
