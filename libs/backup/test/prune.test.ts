import { expect, test } from 'vitest';
import { type ExportWorth, newExportName, parseKeepRule, pruneExports } from '../src/index.ts';
import { LyingTarget } from './lying-target.ts';

const [HOUR, DAY] = [3_600_000, 86_400_000];
const NOW = Date.UTC(2026, 10, 26, 12);
const RULE = parseKeepRule('all 1d');
const OBJECTS = ['README.txt', 'data.age', 'manifest.json', 'receipt.json'];

/** A target with an export for each of these ages in hours; those that are even have a receipt. */
function filled(ages: readonly number[]): { readonly target: LyingTarget; readonly names: readonly string[] } {
  const target = new LyingTarget();
  const names = ages.map((age) => {
    const name = newExportName(NOW - age * HOUR);
    for (const object of age % 2 === 0 ? OBJECTS : OBJECTS.slice(0, 3))
      target.objects.set(`main/${name}/${object}`, Buffer.from(object));
    return name;
  });
  target.objects.set('main/journal/e1/0000000001-0000000002-00000000', Buffer.from('a copy'));
  target.objects.set('other/20200101T000000Z-00000000/manifest.json', Buffer.from('of another realm'));
  return { target, names };
}

function namesIn(target: LyingTarget): string[] {
  return [
    ...new Set(
      [...target.objects.keys()].filter((path) => path.startsWith('main/2')).map((path) => path.split('/')[1]!),
    ),
  ];
}

/** Every name and receipt is what it seems. */
const worth = async (): Promise<ExportWorth> => 'verified';
const order = { realm: 'main', rule: RULE, now: NOW, worth };

test('what is not kept goes with all its objects; the journal and other realms stay', async () => {
  const { target, names } = filled([0, 1, 2, 30, 31, 32, 33]);
  const pruned = await pruneExports(target, order);
  expect(pruned.removed).toEqual(names.slice(3).reverse());
  expect(namesIn(target)).toEqual(names.slice(0, 3));
  expect(target.objects.has('main/journal/e1/0000000001-0000000002-00000000')).toBe(true);
  expect(target.objects.has('other/20200101T000000Z-00000000/manifest.json')).toBe(true);
});

test('a dry run says what would go, and nothing goes', async () => {
  const { target, names } = filled([0, 2, 30, 31]);
  const before = new Map(target.objects);
  const { remove, removed } = await pruneExports(target, { ...order, dryRun: true });
  expect([remove, removed]).toEqual([[names[3], names[2]], []]);
  expect(target.objects).toEqual(before);
});

test('ended at any step, the next one finishes, and what is half removed counts for nothing', async () => {
  const { target: whole } = filled([0, 2, 30, 31]);
  const steps: string[] = [];
  whole.before = (_work, path) => void steps.push(path);
  await pruneExports(whole, order);
  expect(steps.length).toBe(7);
  for (let killedAt = 0; killedAt < steps.length; killedAt++) {
    const { target, names } = filled([0, 2, 30, 31]);
    let step = 0;
    target.before = () => {
      if (step++ === killedAt) throw new Error('killed');
    };
    await expect(pruneExports(target, order)).rejects.toThrow('killed');
    // Of whatever has lost an object the manifest went first.
    for (const name of namesIn(target)) {
      const left = OBJECTS.filter((object) => target.objects.has(`main/${name}/${object}`));
      const isWhole = left.includes('manifest.json');
      if (isWhole) expect(left.filter((object) => object !== 'receipt.json')).toHaveLength(3);
    }
    target.before = () => undefined;
    await pruneExports(target, order);
    expect(namesIn(target)).toEqual(names.slice(0, 2));
  }
});

test('two who prune at once remove what one of them would', async () => {
  const { target, names } = filled([0, 2, 30, 31, 32, 33, 50]);
  target.before = () => new Promise((resolve) => setImmediate(resolve));
  await Promise.all([pruneExports(target, order), pruneExports(target, { ...order, now: NOW + HOUR })]);
  expect(namesIn(target)).toEqual(names.slice(0, 2));
});

test('what was verified while somebody prunes stays', async () => {
  const { target, names } = filled([0, 31, 33]);
  target.before = () => void target.objects.set(`main/${names[1]}/receipt.json`, Buffer.from('a receipt'));
  const { removed } = await pruneExports(target, order);
  expect(removed).toEqual([names[2]]);
  expect(namesIn(target)).toContain(names[1]);
});

test('a receipt that counts for nothing does not take the place of a good one', async () => {
  const { target, names } = filled([1, 30, 40, 50, 60]);
  const doubtful = [names[1]!, names[2]!];
  const look = async (name: string): Promise<ExportWorth> => (doubtful.includes(name) ? 'whole' : 'verified');
  const { removed } = await pruneExports(target, { ...order, worth: look });
  expect(removed).toEqual([names[2], names[1]]);
});

test('nothing goes for what somebody else puts there, and that is nobody’s to remove', async () => {
  const { target, names } = filled([0, 30, 54, 78]);
  const own = new Set(names);
  // One beside each, a second newer, with a receipt; and newer ones of each day.
  const planted = [0, 30, 54, 78, 28, 52, 76].map((age) => newExportName(NOW - age * HOUR + 1_000));
  for (const name of planted)
    for (const object of OBJECTS) target.objects.set(`main/${name}/${object}`, Buffer.from('{}'));
  const look = async (name: string): Promise<ExportWorth> => (own.has(name) ? 'verified' : 'nothing');
  const rule = parseKeepRule('all 1d, hourly 7d, daily 5w');
  const { removed } = await pruneExports(target, { ...order, rule, worth: look });
  expect(removed).toEqual([]);
  expect(new Set(namesIn(target))).toEqual(new Set([...names, ...planted]));
  const many = filled(Array.from({ length: 1_100 }, (_, minutes) => 30 + minutes / 60));
  for (const name of many.names) many.target.objects.set(`main/${name}/receipt.json`, Buffer.from('{}'));
  const pruning = pruneExports(many.target, { ...order, worth: async () => 'nothing' });
  await expect(pruning).rejects.toThrow('nothing is removed');
  expect(namesIn(many.target)).toHaveLength(1_100);
});

test('names that somebody puts between two exports make the older one no older', async () => {
  const hours = Array.from({ length: 40 }, (_, i) => 40 * 24 + i);
  const rule = parseKeepRule('all 1d, hourly 7d');
  const { target, names } = filled([0, ...hours]);
  expect((await pruneExports(target, { ...order, rule })).removed).toEqual([]);
  const own = new Set(names);
  for (let day = 1; day < 40; day++)
    for (const [object, at] of [...OBJECTS.map((one) => [one, 0] as const), ['data.age', HOUR] as const])
      target.objects.set(`main/${newExportName(NOW - day * DAY + at)}/${object}`, Buffer.from('{}'));
  let looks = 0;
  const look = async (name: string): Promise<ExportWorth> => {
    looks += 1;
    return own.has(name) ? 'verified' : 'nothing';
  };
  const { removed } = await pruneExports(target, { ...order, rule, worth: look });
  expect(removed.filter((name) => own.has(name))).toEqual([]);
  expect(looks).toBeLessThan(100);
});

test('names of the future are nobody’s to remove, whatever the clock says', async () => {
  const { target, names } = filled([-400 * 24, 0, 2, 30]);
  const { removed, future } = await pruneExports(target, order);
  expect([removed, future]).toEqual([[names[3]], [names[0]]]);
  // Whose clock is ahead removes none of the day before either.
  const { target: other } = filled([0, 1, 2, 3]);
  expect((await pruneExports(other, { ...order, now: NOW + 400 * DAY })).removed).toEqual([]);
});
