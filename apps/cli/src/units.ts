import { CliError } from './output.ts';

const TIME_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time with its unit, like `75s`, `5m` or `500ms`, in ms. @throws CliError for anything else */
export function parseDuration(text: string): number {
  const [, number = '', unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?) ?(ms|s|m|h|d)$/.exec(text.trim()) ?? [];
  const ms = Number(number) * (TIME_UNITS[unit] ?? Number.NaN);
  if (!(ms >= 1))
    throw new CliError(`${text} is not a time`, 'write it with its unit, for instance 75s, 5m, 2h or 500ms');
  return Math.round(ms);
}

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824 };

/** A size, like `64MiB` or a number of bytes. @throws CliError for anything else */
export function parseBytes(text: string): number {
  const [, number = '', unit = ''] = /^(\d{1,12}) ?(B|KiB|MiB|GiB)?$/.exec(text.trim()) ?? [];
  if (number === '')
    throw new CliError(`${text} is not a size`, 'write it in bytes or with its unit, for instance 64MiB');
  return Number(number) * SIZE_UNITS[unit]!;
}
