import { expect, test } from 'vitest';
import {
  type AccessContext,
  beginNewEpoch,
  forgetSafeguard,
  listAudit,
  listSafeguards,
  memoryJournal,
  missedSafeguards,
  noteArchiveProof,
  noteCopy,
  noteStandbys,
  putUser,
  readHeads,
  readRealm,
  revoke,
  safeguardWords,
} from '../../src/index.ts';
import { BY, scene } from '../scene.ts';

const STANDBY = { name: 'b1', address: '10.0.0.2' };
const PRIMARY = '10.0.0.1';
const MINUTE = 60_000;
const DAY = 86_400_000;

async function wordsOf(access: AccessContext, { archived = false, primary = PRIMARY } = {}): Promise<string[]> {
  const { rows, now } = await listSafeguards(access);
  return safeguardWords(rows, { now, archived, primary });
}

/** Where the logs of the realm end now, as somebody would find it in what was restored. */
function endsOf(access: AccessContext) {
  return readHeads(access.store);
}

test('a standby that follows no more is missed, until it follows again or is forgotten', async () => {
  const { access, clock } = await scene();
  await noteStandbys(access, [STANDBY]);
  expect(await wordsOf(access)).toEqual([]);
  clock.now += MINUTE;
  await noteStandbys(access, []);
  expect(await wordsOf(access)).toEqual([]);
  clock.now += 2 * MINUTE;
  expect(await wordsOf(access)).toEqual([expect.stringMatching(/^standby b1 follows no more since .*forget b1/)]);
  await noteStandbys(access, [STANDBY]);
  expect(await wordsOf(access)).toEqual([]);
  clock.now += 3 * MINUTE;
  expect(await forgetSafeguard(access, { kind: 'standby', name: 'b1' }, BY)).toBe(true);
  expect(await forgetSafeguard(access, { kind: 'standby', name: 'b1' }, BY)).toBe(false);
  expect(await wordsOf(access)).toEqual([]);
});

test.each([
  ['that is the primary now', { name: 'b1', address: PRIMARY }, false],
  ['of which nobody says where it was', { name: 'b1', address: '' }, false],
  ['of another site by its name, wherever it was', { name: 'standby-site-b', address: '' }, true],
  ['that is elsewhere', { name: 'b1', address: '10.0.0.3' }, true],
])('a standby %s', async (_what, seen, missed) => {
  const { access, clock } = await scene();
  await noteStandbys(access, [seen]);
  clock.now += 3 * MINUTE;
  expect(await wordsOf(access)).toHaveLength(missed ? 1 : 0);
});

test('a copy that is not made again is missed after twice its time', async () => {
  const { access, clock } = await scene();
  await noteCopy(access, { name: 'b:5432/sallyport', takenAt: clock.now, everyMs: 5 * MINUTE });
  clock.now += 10 * MINUTE;
  expect(await wordsOf(access)).toEqual([]);
  clock.now += 1;
  expect(await wordsOf(access)).toEqual([expect.stringContaining('the copy at b:5432/sallyport is of')]);
});

test('an archive counts once somebody has restored it, and for a week', async () => {
  const { access, clock } = await scene();
  expect(await wordsOf(access)).toEqual([]);
  expect(await wordsOf(access, { archived: true })).toEqual([expect.stringContaining('nobody has ever restored')]);
  await revoke(access, { requestId: 'r-1', kind: 'before', subject: 'now' }, BY);
  await noteArchiveProof(access, await endsOf(access), BY);
  expect(await wordsOf(access, { archived: true })).toEqual([]);
  const [event] = await access.store.transaction((transaction) => listAudit(transaction, 1));
  expect(event).toMatchObject({ action: 'archive.verified', actor: BY.actor });
  clock.now += 9 * DAY;
  expect(await wordsOf(access, { archived: true })).toEqual([expect.stringContaining('restored the archive since')]);
  expect(await wordsOf(access)).toEqual([]);
});

test('what is not of the logs of this realm, or older than what was restored before, proves nothing', async () => {
  const { access, clock } = await scene();
  await putUser(access, 'ada', {}, BY);
  const early = await endsOf(access);
  clock.now += MINUTE;
  await putUser(access, 'bob', {}, BY);
  const good = await endsOf(access);
  const wrong = [
    { ...good, epoch: 'f'.repeat(32) },
    { ...good, log: { head: good.log.head + 1, hash: 'f'.repeat(64) } },
    { ...good, audit: { ...good.audit, hash: early.audit.hash } },
    { ...good, audit: { seq: good.audit.seq + 7, hash: good.audit.hash } },
  ];
  for (const proof of wrong)
    await expect(noteArchiveProof(access, proof, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
  await noteArchiveProof(access, good, BY);
  await expect(noteArchiveProof(access, early, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
});

test('what stood by the database of before a restore is not missed by the one that took its place', async () => {
  const { access, clock } = await scene();
  await noteStandbys(access, [STANDBY]);
  const journal = memoryJournal();
  await journal.claim(undefined, (await readRealm(access.store)).epoch);
  await beginNewEpoch({ access, journal, lost: false, by: BY });
  clock.now += DAY;
  const { rows, now } = await listSafeguards(access);
  expect(missedSafeguards(rows, { now, primary: PRIMARY })).toEqual([]);
});
