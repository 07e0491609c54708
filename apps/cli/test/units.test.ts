import { expect, test } from 'vitest';
import { CliError } from '../src/output.ts';
import { parseBytes, parseDuration } from '../src/units.ts';

test.each([
  ['75s', 75_000],
  ['5m', 300_000],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
  ['500ms', 500],
  ['1.5s', 1_500],
  [' 5 m ', 300_000],
])('%s is a time', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each(['75', '', 's', '0s', '-1s', '1w', '1e3s', '5 minutes', '1m30s'])(
  '"%s" is not, and the error shows one',
  (text) => {
    expect(() => parseDuration(text)).toThrow(CliError);
  },
);

test('sizes are bytes, or have a unit', () => {
  expect(['5', '64MiB', '1 GiB', '2KiB', '7B'].map(parseBytes)).toEqual([5, 67_108_864, 1_073_741_824, 2_048, 7]);
  for (const text of ['', 'MiB', '-1', '1.5MiB', '1MB', 'x']) expect(() => parseBytes(text), text).toThrow(CliError);
});
