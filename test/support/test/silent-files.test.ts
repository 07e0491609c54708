import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SilentFiles } from '../src/silent-files.ts';

const MINUTE = 60_000;
const [quick, hanging] = [{ moduleId: '/quick.test.ts' }, { moduleId: '/hanging.test.ts' }];

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function begun() {
  const [say, end] = [vi.fn<(text: string) => void>(), vi.fn()];
  const files = new SilentFiles({ say, processes: () => 'ssh-keygen -l', end });
  files.onTestRunStart();
  for (const file of [quick, hanging]) files.onTestModuleQueued(file);
  return { files, end, said: () => say.mock.calls.flat().join('') };
}

test('a file in which no test ends is named every five minutes with what runs, and ends the run after twenty', () => {
  const { files, end, said } = begun();
  for (let minute = 0; minute < 19; minute++) {
    files.onTestCaseResult({ module: quick });
    vi.advanceTimersByTime(MINUTE);
  }
  expect(said().match(/hanging\.test\.ts: no test has ended for \d+ minutes/g)).toHaveLength(3);
  expect(said()).toContain('ssh-keygen -l');
  expect(said()).not.toContain('quick');
  expect(end).not.toHaveBeenCalled();
  vi.advanceTimersByTime(2 * MINUTE);
  expect(end).toHaveBeenCalled();
  files.onTestRunEnd();
});

test('of files that have ended, and of a run that has, nothing is said', () => {
  const { files, end, said } = begun();
  for (const file of [quick, hanging]) files.onTestModuleEnd(file);
  // Reports of one file may overtake each other.
  files.onTestCaseResult({ module: hanging });
  vi.advanceTimersByTime(60 * MINUTE);
  files.onTestModuleQueued(hanging);
  files.onTestRunEnd();
  vi.advanceTimersByTime(60 * MINUTE);
  expect(said()).toBe('');
  expect(end).not.toHaveBeenCalled();
});
