/** A number with what it must be. */
export interface Check {
  readonly what: string;
  readonly found: number;
  readonly wanted: string;
  readonly ok: boolean;
  /** A time: reported always, demanded only in long runs, because machines are shared. */
  readonly timed: boolean;
}

/** What a scenario found, as checks that hold or not and numbers to report. */
export class Tally {
  readonly checks: Check[] = [];
  readonly numbers: Record<string, number | string> = {};

  /** Something that must not have happened. */
  never(what: string, found: number): void {
    this.checks.push({ what, found, wanted: '0', ok: found === 0, timed: false });
  }

  atMost(what: string, found: number, limit: number): void {
    this.checks.push({ what, found, wanted: `<= ${limit}`, ok: found <= limit, timed: false });
  }

  atLeast(what: string, found: number, limit: number): void {
    this.checks.push({ what, found, wanted: `>= ${limit}`, ok: found >= limit, timed: false });
  }

  /** A time that is to be reached on a machine that does nothing else. */
  within(what: string, ms: number, limitMs: number): void {
    const found = Math.round(ms);
    this.checks.push({ what: `${what}, ms`, found, wanted: `<= ${limitMs}`, ok: found <= limitMs, timed: true });
  }

  /** Something that a fault is to reach, on a machine that does nothing else: on a slow one it may come too late. */
  reached(what: string, found: number, limit: number): void {
    this.checks.push({ what, found, wanted: `>= ${limit}`, ok: found >= limit, timed: true });
  }

  /** Reports a distribution in ms. */
  times(what: string, values: readonly number[]): void {
    this.numbers[what] = values.length === 0 ? 'none' : describe(values);
  }

  /** True when everything held; times count only when asked for. */
  holds(withTimes: boolean): boolean {
    return this.checks.every(({ ok, timed }) => ok || (timed && !withTimes));
  }
}

/** The value below which a share of all lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

function describe(values: readonly number[]): string {
  const at = (share: number): number => Math.round(quantile(values, share));
  return `n=${values.length} p50=${at(0.5)} p99=${at(0.99)} max=${Math.round(Math.max(...values))} ms`;
}
