const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** For how long exports are kept, by how many of them: ages in ms. 0: none for that reason. */
export interface KeepRule {
  /** All. */
  readonly all: number;
  /** One of each hour, day and month (UTC). */
  readonly hourly: number;
  readonly daily: number;
  readonly monthly: number;
}

const UNITS: Readonly<Record<string, number>> = {
  h: HOUR_MS,
  d: DAY_MS,
  w: 7 * DAY_MS,
  m: 31 * DAY_MS,
  y: 366 * DAY_MS,
};
const NAMES = ['all', 'hourly', 'daily', 'monthly'] as const;

/** What holds unless somebody says otherwise. */
export const DEFAULT_KEEP = 'all 1d, hourly 7d, daily 5w, monthly 2y';

/**
 * Reads a rule such as `all 1d, hourly 7d, daily 5w, monthly 2y`: `all` is needed, each other one may be left out; units are h, d, w,
 * m (31 days) and y (366).
 * @throws TypeError that says what is wrong
 */
export function parseKeepRule(text: string): KeepRule {
  const rule: Record<(typeof NAMES)[number], number> = { all: 0, hourly: 0, daily: 0, monthly: 0 };
  const seen = new Set<string>();
  for (const part of text.split(',')) {
    const [, name = '', count = '', unit = ''] = /^\s*([a-z]+)\s+(\d{1,5})([hdwmy])\s*$/.exec(part) ?? [];
    if (!isName(name) || seen.has(name)) throw new TypeError(`expected something like "${DEFAULT_KEEP}"`);
    seen.add(name);
    rule[name] = Number(count) * UNITS[unit]!;
  }
  if (rule.all < DAY_MS) throw new TypeError('all exports of a day at least are kept: "all 1d, …"');
  return rule;
}

function isName(name: string): name is (typeof NAMES)[number] {
  return NAMES.some((known) => known === name);
}

/** An export, as retention sees it. */
export interface KeptExport {
  readonly name: string;
  /** By its name, epoch ms. */
  readonly takenAt: number;
  /** It has a manifest. */
  readonly whole: boolean;
  /** It has a receipt. */
  readonly verified: boolean;
}

/** Why an export stays. */
export type KeepReason = 'verified' | 'newest' | 'future' | 'unfinished' | 'all' | 'hourly' | 'daily' | 'monthly';

/** What to do with the exports of a target. */
export interface KeepPlan {
  readonly keep: ReadonlyMap<string, KeepReason>;
  /** Names, the oldest first. */
  readonly remove: readonly string[];
  /** Names of times that have not come yet: a clock was wrong. They stay. */
  readonly future: readonly string[];
}

/**
 * A gap between two exports makes older ones older by this at most, ms: a clock that leaps ahead costs no more than two days do. Where
 * one of a month stays, gaps are as wide as that.
 */
const MAX_GAP_MS = 2 * DAY_MS;
const MAX_MONTHLY_GAP_MS = 62 * DAY_MS;
/** Names this far in the future are no sign of a wrong clock yet, ms. */
const AHEAD_MS = 10 * 60_000;
/** So many verified ones stay whatever their age: two, so that one that somebody removes by what he saw before does no harm. */
const VERIFIED_KEPT = 2;

/** What one of each stays of, and how many digits of a name say which one that is. */
const PERIODS = [
  ['hourly', 11],
  ['daily', 8],
  ['monthly', 6],
] as const;

/**
 * Which exports stay, and which go. The age of an export is counted from the newest one and not from now, and a wide gap between two
 * counts as two days, so that nothing goes because no export was made, or because a clock was wrong. Where one of an hour, day or
 * month stays, it is the newest that was verified, or else the newest. Always stay: the two newest verified ones, the newest one, and
 * those of the future. What has no manifest counts for nothing, and goes once it is a day old.
 */
export function planKeep(exports: readonly KeptExport[], rule: KeepRule, now: number): KeepPlan {
  const newestFirst = [...exports].sort(byNewest);
  const future = newestFirst.filter(({ takenAt }) => takenAt > now + AHEAD_MS);
  const past = newestFirst.filter(({ takenAt }) => takenAt <= now + AHEAD_MS);
  const keep = new Map<string, KeepReason>();
  const hold = (ones: readonly KeptExport[], reason: KeepReason): void => {
    for (const { name } of ones) if (!keep.has(name)) keep.set(name, reason);
  };
  const whole = past.filter((one) => one.whole);
  const ages = agesOf(past, countedBy(rule));
  const younger =
    (ms: number) =>
    (one: KeptExport): boolean =>
      ages.get(one.name)! < ms;
  hold(whole.filter(({ verified }) => verified).slice(0, VERIFIED_KEPT), 'verified');
  hold(whole.slice(0, 1), 'newest');
  hold(future, 'future');
  hold(
    past.filter((one) => !one.whole && younger(DAY_MS)(one)),
    'unfinished',
  );
  hold(whole.filter(younger(rule.all)), 'all');
  for (const [reason, digits] of PERIODS) hold(oneOfEach(whole, digits).filter(younger(rule[reason])), reason);
  const remove = past
    .filter(({ name }) => !keep.has(name))
    .map(({ name }) => name)
    .reverse();
  return { keep, remove, future: future.map(({ name }) => name).reverse() };
}

/**
 * Those that must be what they seem for a plan to be carried out: those that stay for what goes or as verified ones, and those from
 * which the age of what goes is counted.
 */
export function standIns(exports: readonly KeptExport[], rule: KeepRule, plan: KeepPlan): ReadonlySet<string> {
  const { keep, remove, future } = plan;
  const found = new Set([...keep].filter(([, reason]) => reason === 'verified').map(([name]) => name));
  const ahead = new Set(future);
  const newestFirst = exports.filter(({ name, whole }) => whole && !ahead.has(name)).sort(byNewest);
  for (const [, digits] of PERIODS) {
    const gone = new Set(remove.map((name) => name.slice(0, digits)));
    for (const { name } of oneOfEach(newestFirst, digits))
      if (keep.has(name) && gone.has(name.slice(0, digits))) found.add(name);
  }
  const [oldest] = remove;
  for (const { name } of waypointsOf(newestFirst, countedBy(rule)))
    if (oldest !== undefined && name > oldest) found.add(name);
  return found;
}

function byNewest(a: KeptExport, b: KeptExport): number {
  return a.name < b.name ? 1 : -1;
}

/** From this age on one of a month may be all that is left, ms. */
function countedBy(rule: KeepRule): number {
  return Math.max(rule.all, rule.hourly, rule.daily);
}

interface Waypoint extends KeptExport {
  /** How old it is, from the newest on, ms. */
  readonly age: number;
}

function widestGap(age: number, monthlyFrom: number): number {
  return age < monthlyFrom - MAX_GAP_MS ? MAX_GAP_MS : MAX_MONTHLY_GAP_MS;
}

/**
 * The few exports over which ages are counted, each as far from the one before as a gap may be: names in between, be they exports or not,
 * make nothing older.
 */
function waypointsOf(newestFirst: readonly KeptExport[], monthlyFrom: number): readonly Waypoint[] {
  const [newest, ...older] = newestFirst;
  if (!newest) return [];
  const found: Waypoint[] = [{ ...newest, age: 0 }];
  let last = newest;
  for (const one of older) {
    const from = found.at(-1)!;
    const isFar = from.takenAt - one.takenAt > widestGap(from.age, monthlyFrom);
    if (isFar && last.name !== from.name) found.push({ ...last, age: ageBehind(from, last.takenAt, monthlyFrom) });
    const near = found.at(-1)!;
    if (near.takenAt - one.takenAt > widestGap(near.age, monthlyFrom))
      found.push({ ...one, age: ageBehind(near, one.takenAt, monthlyFrom) });
    last = one;
  }
  return found;
}

function ageBehind({ age, takenAt: from }: Waypoint, takenAt: number, monthlyFrom: number): number {
  return age + Math.min(Math.max(0, from - takenAt), widestGap(age, monthlyFrom));
}

/** How old each is, from the newest whole one on, ms. */
function agesOf(newestFirst: readonly KeptExport[], monthlyFrom: number): ReadonlyMap<string, number> {
  const waypoints = waypointsOf(
    newestFirst.filter(({ whole }) => whole),
    monthlyFrom,
  );
  const ages = new Map<string, number>();
  let next = 0;
  for (const { name, takenAt } of newestFirst) {
    while (next < waypoints.length && waypoints[next]!.name >= name) next += 1;
    const from = waypoints[next - 1];
    ages.set(name, from ? ageBehind(from, takenAt, monthlyFrom) : 0);
  }
  return ages;
}

/** The one that stands for each time whose name begins with the same digits. */
function oneOfEach(newestFirst: readonly KeptExport[], digits: number): readonly KeptExport[] {
  const chosen = new Map<string, KeptExport>();
  for (const one of newestFirst) {
    const time = one.name.slice(0, digits);
    const before = chosen.get(time);
    if (!before || (one.verified && !before.verified)) chosen.set(time, one);
  }
  return [...chosen.values()];
}
