import { withdrawRelease } from '@sallyport/access';
import type { Log } from '@sallyport/telemetry';
import { expect, test } from 'vitest';
import { DAY, packageOf, published, withReleases } from '../../../../libs/access/test/apps/release-scene.ts';
import { BY, scene } from '../../../../libs/access/test/scene.ts';
import type { PackageStore } from '../../src/updates/package-store.ts';
import { startUpdateWatch } from '../../src/upkeep/update-watch.ts';

const HAS_ALL = { ensure: async () => undefined };

/** Looks once, and gives the metrics and what the log was told. */
async function look(
  access: Awaited<ReturnType<typeof scene>>['access'],
  store: Pick<PackageStore, 'ensure'> = HAS_ALL,
) {
  const gauges = new Map<string, () => number>();
  const told: unknown[] = [];
  // What the watch uses of a log.
  const log = { warn: (what: unknown) => told.push(what) } as unknown as Log;
  const metrics = { gauge: (name: string, _help: string, read: () => number) => void gauges.set(name, read) };
  const stop = startUpdateWatch({ access, packages: store, metrics, log });
  // The looks that it begins with are transactions, and the store takes one after the other.
  await access.store.transaction(async () => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  stop();
  const read = (role: string): number => gauges.get(`sallyport_updates_${role}_end_seconds`)!();
  const missing = gauges.get('sallyport_updates_packages_missing')!();
  return { root: read('root'), targets: read('targets'), missing, told };
}

test('a realm without updates has no end to tell of', async () => {
  const { access } = await scene();
  expect(await look(access)).toEqual({ root: Number.NaN, targets: Number.NaN, missing: 0, told: [] });
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

test('packages of live releases that this node does not have are told of by name, before a device asks for one', async () => {
  const { access, clock } = await scene();
  clock.now = Date.now();
  await withReleases(access, clock.now);
  const [here, away] = [packageOf({ version: '1.1' }), packageOf({ version: '1.2' })];
  for (const one of [here, away]) await published(access, one);
  await withdrawRelease(access, (await published(access, packageOf({ version: '1.3' }))).id, BY);
  const ensure = async ({ sha256 }: { sha256: string }) => {
    if (sha256 !== here.sha256) throw new Error('it is not at this node');
  };
  const { missing, told } = await look(access, { ensure });
  expect(missing).toBe(1);
  expect(told).toEqual([{ packages: ['field 1.2: it is not at this node'] }]);
  expect(await look(access)).toMatchObject({ missing: 0, told: [] });
});
