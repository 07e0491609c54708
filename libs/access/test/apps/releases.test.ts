import { randomBytes, randomUUID } from 'node:crypto';
import { parseUpdate } from '@sallyport/channel';
import { expect, test } from 'vitest';
import { changeRollout, noteReport, offerFor, readUpdateFile, releaseStandings } from '../../src/index.ts';
import { enrolled, withAda } from '../ada.ts';
import { BY } from '../scene.ts';
import { DAY, online, packageOf, published, withReleases } from './release-scene.ts';

const HOUR = DAY / 24;

/** A realm in which releases are signed, with ada in it. */
async function withRoot() {
  const made = await withAda();
  await withReleases(made.access, made.clock.now);
  return made;
}

test('of 1,000 installations 5 % are offered a release, then all, and those that have it are counted', async () => {
  const { access } = await withRoot();
  const first = await enrolled(access);
  const asked = Array.from({ length: 1_000 }, () => ({ installationId: randomUUID(), userId: first.userId }));
  const rows = asked.map(({ installationId: id }) => ({
    ...first,
    id,
    app: 'field@1',
    deviceStatic: randomBytes(32),
    status: 'active' as const,
  }));
  await access.store.transaction(({ tables }) => tables.installations.insertEach(rows));
  const { id } = await published(access, packageOf(), { rollout: { steps: [{ percent: 5, afterMs: 0 }] } });
  const offered = async (): Promise<number> => {
    const offers = await Promise.all(asked.map((one) => offerFor(access, one, { version: '1', os: 'android' })));
    return offers.filter(({ release }) => release === id).length;
  };
  // Six standard deviations of 50 of 1,000: once in a billion runs it is chance.
  const few = await offered();
  expect(few, id).toBeGreaterThan(8);
  expect(few, id).toBeLessThan(92);
  expect(await offered()).toBe(few);
  await changeRollout(access, id, { do: 'halt' }, BY);
  expect(await offered()).toBe(0);
  await changeRollout(access, id, { do: 'resume' }, BY);
  await changeRollout(access, id, { do: 'steps', steps: [{ percent: 100, afterMs: 0 }] }, BY);
  expect(await offered()).toBe(1_000);
  const updated = asked.slice(0, 7);
  for (const { installationId } of updated)
    await noteReport(access, { releaseId: id, installationId, outcome: 'installed' });
  await noteReport(access, { releaseId: id, installationId: asked[8]!.installationId, outcome: 'failed' });
  await access.store.transaction(({ tables }) =>
    tables.installations.update(
      { among: ['id', updated.map(({ installationId }) => installationId)] },
      { app: 'field@1.1' },
    ),
  );
  const [standing] = await releaseStandings(access, 'field', 9);
  expect(standing).toMatchObject({ running: 7, refused: 0, counts: { installed: 7, failed: 1, downloading: 0 } });
});

test('a device is offered the newest release that its version of the system can run', async () => {
  const { access } = await withRoot();
  const { id: installationId, userId } = await enrolled(access);
  await access.store.transaction(({ tables }) =>
    tables.installations.update({ where: { id: installationId } }, { app: 'field@1' }),
  );
  const old = await published(access, packageOf({ version: '1.1', minOsVersion: '9' }));
  const later = await published(access, packageOf({ version: '1.2', minOsVersion: '12.1' }));
  const offered = async (osVersion?: string) =>
    (await offerFor(access, { installationId, userId }, { version: '1', os: 'android', osVersion })).release;
  expect(await offered('12')).toBe(old.id);
  expect(await offered('12.1')).toBe(later.id);
  expect(await offered('8.1')).toBeNull();
  // A device that does not say it finds out by itself.
  expect(await offered()).toBe(later.id);
});

test('what is signed online is signed anew before it is too old, by itself; versions only rise', async () => {
  const { access, clock } = await withRoot();
  await published(access);
  const timestamp = async () =>
    parseUpdate('timestamp', Buffer.from((await readUpdateFile(access, 'timestamp.json', online))!)).signed;
  const first = await timestamp();
  expect((await timestamp()).version).toBe(first.version);
  clock.now += 13 * HOUR;
  const second = await timestamp();
  expect(second.version).toBeGreaterThan(first.version);
  expect(second.meta['snapshot.json'].version).toBe(first.meta['snapshot.json'].version);
  // Nobody has asked for weeks: whoever asks first gets what is good.
  clock.now += 500 * HOUR;
  const third = await timestamp();
  expect(Date.parse(third.expires)).toBeGreaterThan(clock.now);
  expect(third.meta['snapshot.json'].version).toBeGreaterThan(first.meta['snapshot.json'].version);
});
