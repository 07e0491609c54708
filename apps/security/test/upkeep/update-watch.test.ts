import type { Log } from '@sallyport/telemetry';
import { expect, test } from 'vitest';
import { DAY, published, withReleases } from '../../../../libs/access/test/apps/release-scene.ts';
import { scene } from '../../../../libs/access/test/scene.ts';
import { startUpdateWatch } from '../../src/upkeep/update-watch.ts';

/** Looks once, and gives the metrics and what the log was told. */
async function look(access: Awaited<ReturnType<typeof scene>>['access']) {
  const gauges = new Map<string, () => number>();
  const told: unknown[] = [];
  // What the watch uses of a log.
  const log = { warn: (what: unknown) => told.push(what) } as unknown as Log;
  const metrics = { gauge: (name: string, _help: string, read: () => number) => void gauges.set(name, read) };
  const stop = startUpdateWatch({ access, metrics, log });
  // The look that it begins with is a transaction, and the store takes one after the other.
  await access.store.transaction(async () => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  stop();
  const read = (role: string): number => gauges.get(`sallyport_updates_${role}_end_seconds`)!();
  return { root: read('root'), targets: read('targets'), told };
}

test('a realm without updates has no end to tell of', async () => {
  const { access } = await scene();
  expect(await look(access)).toEqual({ root: Number.NaN, targets: Number.NaN, told: [] });
});

test('metrics tell when root and targets end, and the log of what is over or ends within 30 days', async () => {
  const { access, clock } = await scene();
  // Watches go by the clock of their machine: the root is made so that it ends in 20 days of that.
  clock.now = Date.now() - 345 * DAY;
  await withReleases(access, clock.now);
  expect(await look(access)).toMatchObject({ targets: Number.NaN });
  await published(access);
  const { root, targets, told } = await look(access);
  expect(root).toBe(Math.floor((clock.now + 365 * DAY) / 1_000));
  expect(targets).toBe(Math.floor((clock.now + 180 * DAY) / 1_000));
  expect(told).toEqual([
    {
      updates: [
        expect.stringMatching(/root of updates \(1\) ends.*in (19|20) days/),
        expect.stringContaining('is over since'),
      ],
    },
  ]);
});
