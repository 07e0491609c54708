import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DEFAULT_KEEP, type KeptExport, newExportName, parseKeepRule, planKeep } from '../src/index.ts';

const [MINUTE, HOUR, DAY] = [60_000, 3_600_000, 86_400_000];
const START = Date.UTC(2026, 0, 1);
const RULE = parseKeepRule(DEFAULT_KEEP);

function exportAt(takenAt: number, { verified = true, whole = true } = {}): KeptExport {
  const second = Math.floor(takenAt / 1_000) * 1_000;
  return { name: newExportName(second), takenAt: second, whole, verified: verified && whole };
}

test('a rule is read as it is written', () => {
  expect(RULE).toEqual({ all: DAY, hourly: 7 * DAY, daily: 35 * DAY, monthly: 732 * DAY });
  expect(parseKeepRule(' all 48h ')).toEqual({ all: 2 * DAY, hourly: 0, daily: 0, monthly: 0 });
  for (const wrong of [
    '',
    'all',
    'all 1',
    'hourly 7d',
    'all 1d, all 2d',
    'all 1d; hourly 2d',
    'all 5h',
    'all 1d, weekly 3w',
    'all -1d',
  ])
    expect(() => parseKeepRule(wrong), wrong).toThrow(TypeError);
});

test('all of a day stay, then one of an hour, a day and a month', () => {
  const every = 30 * MINUTE;
  const exports = Array.from({ length: (100 * DAY) / every }, (_, i) => exportAt(START + i * every));
  const { keep, remove } = planKeep(exports, RULE, START + 100 * DAY);
  const count = (reason: string): number => [...keep.values()].filter((one) => one === reason).length;
  expect(keep.size + remove.length).toBe(exports.length);
  expect(count('all') + count('verified') + count('newest')).toBe(48);
  expect(count('hourly')).toBe(6 * 24);
  expect(count('daily')).toBe(28);
  // Of April and March one stays as one of a day.
  expect(count('monthly')).toBe(2);
});

/** What was left at each hour, when it was pruned again and again while exports went on. */
function pruneAlong(times: readonly number[], verifiedOf: (index: number) => boolean): readonly KeptExport[] {
  let there: readonly KeptExport[] = [];
  times.forEach((at, index) => {
    there = [...there, exportAt(at, { verified: verifiedOf(index) })];
    const { keep } = planKeep(there, RULE, at);
    there = there.filter(({ name }) => keep.has(name));
  });
  return there;
}

test('pruned again and again, there is one of each hour of the week and each day of the month', () => {
  const days = 45;
  const times = Array.from({ length: days * 48 }, (_, i) => START + i * 30 * MINUTE);
  const left = pruneAlong(times, () => true);
  const last = times.at(-1)!;
  const hours = new Set(left.map(({ takenAt }) => Math.floor(takenAt / HOUR)));
  const dates = new Set(left.map(({ takenAt }) => Math.floor(takenAt / DAY)));
  for (let hour = Math.floor(last / HOUR); hour > (last - 7 * DAY) / HOUR; hour--) expect(hours).toContain(hour);
  for (let day = Math.floor(last / DAY); day > (last - 35 * DAY) / DAY; day--) expect(dates).toContain(day);
  expect(left.length).toBeLessThan(48 + 7 * 24 + 37);
});

const someExports = fc
  .array(
    fc.record({
      minutes: fc.integer({ min: 0, max: 60 * 24 * 400 }),
      verified: fc.boolean(),
      whole: fc.boolean(),
    }),
    { maxLength: 60 },
  )
  .map((all) => all.map(({ minutes, ...rest }) => exportAt(START + minutes * MINUTE, rest)));
const someTime = fc.integer({ min: 0, max: 60 * 24 * 400 }).map((minutes) => START + minutes * MINUTE);

test('the newest two that are verified stay, and the newest, and what is of the future', () => {
  fc.assert(
    fc.property(someExports, someTime, (exports, now) => {
      const { keep, remove, future } = planKeep(exports, RULE, now);
      const past = exports.filter(({ takenAt }) => takenAt <= now).sort((a, b) => (a.name < b.name ? 1 : -1));
      const whole = past.filter((one) => one.whole);
      for (const { name } of [...whole.filter(({ verified }) => verified).slice(0, 2), ...whole.slice(0, 1)])
        expect(keep.has(name)).toBe(true);
      for (const { name, takenAt } of exports) {
        expect(keep.has(name)).toBe(!remove.includes(name));
        if (takenAt > now + HOUR) expect(future).toContain(name);
      }
      for (const name of future) expect(keep.has(name)).toBe(true);
    }),
  );
});

test('what stays stays when it is looked at again, with others gone', () => {
  fc.assert(
    fc.property(someExports, someTime, (exports, now) => {
      const { keep } = planKeep(exports, RULE, now);
      const left = exports.filter(({ name }) => keep.has(name));
      expect(planKeep(left, RULE, now).remove).toEqual([]);
    }),
  );
});

test('nothing goes because no export was made: time alone removes none', () => {
  fc.assert(
    fc.property(someExports, someTime, fc.integer({ min: 0, max: 1_000 }), (exports, now, days) => {
      const past = exports.filter(({ takenAt }) => takenAt <= now);
      const { keep } = planKeep(past, RULE, now);
      const left = past.filter(({ name }) => keep.has(name));
      expect(planKeep(left, RULE, now + days * DAY).remove).toEqual([]);
    }),
  );
});

test('a clock that leaps years ahead costs no more than the thinning of two days', () => {
  const times = Array.from({ length: 30 * 24 }, (_, i) => START + i * HOUR);
  const before = pruneAlong(times, () => true);
  const leapt = [...before, exportAt(times.at(-1)! + 5 * 366 * DAY)];
  const { keep } = planKeep(leapt, RULE, times.at(-1)! + 5 * 366 * DAY);
  // A day or two go from those of each hour, and no day is lost.
  expect(new Set(leapt.filter(({ name }) => keep.has(name)).map(({ takenAt }) => Math.floor(takenAt / DAY))).size).toBe(
    31,
  );
  // Once the clock is right again, the export of the future is in nobody's way.
  const right = [...leapt, exportAt(times.at(-1)! + HOUR)];
  const { keep: kept, future } = planKeep(right, RULE, times.at(-1)! + HOUR);
  expect(future).toHaveLength(1);
  expect([...kept.keys()].length).toBeGreaterThan(before.length - 3);
});

test('two who prune by what they saw at different times leave one that is verified', () => {
  fc.assert(
    fc.property(someExports, fc.array(fc.nat({ max: 59 }), { maxLength: 20 }), (exports, receipts) => {
      // The second one sees more receipts; the first one has made sure, and removes one more by what it saw before.
      const later = exports.map((one, index) => (receipts.includes(index) ? { ...one, verified: one.whole } : one));
      const now = START + 500 * DAY;
      const early = planKeep(exports, RULE, now).remove;
      const late = planKeep(later, RULE, now).remove;
      if (later.filter(({ verified }) => verified).length < 2) return;
      const left = later.filter(({ verified, name }) => verified && !late.includes(name));
      for (const stale of early) expect(left.filter(({ name }) => name !== stale)).not.toEqual([]);
    }),
  );
});

test('what was left half goes once it is a day old', () => {
  const half = exportAt(START, { whole: false });
  const young = [half, exportAt(START + HOUR)];
  expect(planKeep(young, RULE, START + HOUR).keep.get(half.name)).toBe('unfinished');
  expect(planKeep([half, exportAt(START + 25 * HOUR)], RULE, START + 25 * HOUR).remove).toEqual([half.name]);
});

test('of an hour the one that was verified stays', () => {
  const begin = START + 100 * DAY;
  const hour = [0, 10, 20, 30].map((minute) => exportAt(begin + minute * MINUTE, { verified: minute === 10 }));
  const since = Array.from({ length: 60 }, (_, i) => exportAt(begin + (i + 1) * HOUR));
  const { keep } = planKeep([...hour, ...since], RULE, begin + 60 * HOUR);
  expect(hour.filter(({ name }) => keep.has(name))).toEqual([hour[1]]);
});
