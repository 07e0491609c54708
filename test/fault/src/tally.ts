/** A number with what it must be. */
export interface Check {
  readonly what: string;
  readonly found: number;
  readonly wanted: string;
  readonly ok: boolean;
  /** A time: reported always, demanded only in long runs, because machines are shared. */
  readonly timed: boolean;
  /** The bound: one of both. */
  readonly most?: number;
  readonly least?: number;
}

/** What a run of a scenario found, also as it is saved. */
export type Found = Pick<Tally, 'checks' | 'numbers' | 'samples'>;

/** What a scenario found, as checks that hold or not and numbers to report. */
export class Tally {
  readonly checks: Check[] = [];
  readonly numbers: Record<string, number | string> = {};

  /** What `times` was given, ms, so that runs can be added up. */
  readonly samples: Record<string, readonly number[]> = {};

  /** Something that must not have happened. */
  never(what: string, found: number): void {
    this.checks.push(checkOf({ what, found, most: 0, timed: false }));
  }

  atMost(what: string, found: number, limit: number): void {
    this.checks.push(checkOf({ what, found, most: limit, timed: false }));
  }

  atLeast(what: string, found: number, limit: number): void {
    this.checks.push(checkOf({ what, found, least: limit, timed: false }));
  }

  /** A time that is to be reached on a machine that does nothing else. */
  within(what: string, ms: number, limitMs: number): void {
    this.checks.push(checkOf({ what: `${what}, ms`, found: Math.round(ms), most: limitMs, timed: true }));
  }

  /** Something that a fault is to reach, on a machine that does nothing else: on a slow one it may come too late. */
  reached(what: string, found: number, limit: number): void {
    this.checks.push(checkOf({ what, found, least: limit, timed: true }));
  }

  /** Reports a distribution in ms. */
  times(what: string, values: readonly number[]): void {
    this.samples[what] = values;
    this.numbers[what] = values.length === 0 ? 'none' : describe(values);
  }

  /** Adds what another run of the scenario found: counts and what was wanted of them add up, of times the worst one counts. */
  add({ checks, numbers, samples }: Found): void {
    for (const check of checks) {
      const known = this.checks.findIndex(({ what }) => what === check.what);
      if (known < 0) this.checks.push(check);
      else this.checks[known] = together(this.checks[known]!, check);
    }
    for (const [what, value] of Object.entries(numbers)) {
      const [before, values] = [this.numbers[what], samples[what]];
      if (values) this.times(what, [...(this.samples[what] ?? []), ...values]);
      else this.numbers[what] = typeof before === 'number' && typeof value === 'number' ? before + value : value;
    }
  }

  /** True when everything held; times count only when asked for. */
  holds(withTimes: boolean): boolean {
    return this.checks.every(({ ok, timed }) => ok || (timed && !withTimes));
  }
}

function checkOf({ what, found, most, least = 0, timed }: Omit<Check, 'wanted' | 'ok'>): Check {
  const [wanted, ok] =
    most === undefined ? [`>= ${least}`, found >= least] : [most === 0 ? '0' : `<= ${most}`, found <= most];
  return { what, found, wanted, ok, timed, ...(most === undefined ? { least } : { most }) };
}

function together(one: Check, other: Check): Check {
  const found = one.found + other.found;
  if (one.most === undefined) return checkOf({ ...one, found, least: (one.least ?? 0) + (other.least ?? 0) });
  return checkOf({ ...one, found: one.most === 0 ? found : Math.max(one.found, other.found) });
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
