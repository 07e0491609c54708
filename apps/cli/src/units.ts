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
