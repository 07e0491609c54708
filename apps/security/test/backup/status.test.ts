import { claimBackups, endBackupTurn } from '@sallyport/access';
import { expect, test } from 'vitest';
import { scene as accessScene } from '../../../../libs/access/test/scene.ts';
import { type BackupSetup, backupStatus } from '../../src/backup/status.ts';

const SETUP: BackupSetup = { places: ['folder /a'], everyMs: 300_000, keep: 'all 1d', doubts: [], external: true };

test('a database of its own without a backup is named; the one of a first try is not', async () => {
  const { access } = await accessScene();
  const none = { ...SETUP, places: [] };
  expect(await backupStatus(access, none)).toEqual({ words: [expect.stringMatching(/^there is no backup/)] });
  expect(await backupStatus(access, { ...none, external: false })).toEqual({ words: [] });
});

test('what is wrong is said, the age of what was verified first', async () => {
  const { access, clock } = await accessScene();
  const rhythm = { places: SETUP.places, everyMs: SETUP.everyMs, lookMs: 60_000 };
  const before = await backupStatus(access, { ...SETUP, doubts: ['on the same disk'] });
  expect(before.words).toEqual([expect.stringMatching(/^no backup was ever verified/), 'on the same disk']);
  expect(before.view!.targets).toMatchObject([{ place: 'folder /a', triedAt: null, newest: null, trouble: null }]);
  const [turn] = await claimBackups(access, { node: 'n1', places: SETUP.places, over: [] }, rhythm);
  expect((await backupStatus(access, SETUP)).view!.targets[0]!.node).toBe('n1');
  const exported = { name: 'two', takenAt: clock.now, bytes: 1, tookMs: 1 };
  const verified = { name: 'one', takenAt: clock.now - 60_000, verifiedAt: clock.now };
  const trouble = { code: 'ERR_TARGET_FULL', words: 'no room' };
  await endBackupTurn(access, turn!, { exported, verified, exports: 2, trouble }, rhythm);
  const { view, words } = await backupStatus(access, SETUP);
  expect(words).toEqual([expect.stringContaining('ERR_TARGET_FULL')]);
  expect(view).toMatchObject({ verifiedAgeMs: 60_000, verified: { name: 'one', place: 'folder /a' } });
  expect(view!.targets[0]).toMatchObject({ node: '', backups: 2, newest: { name: 'two' }, dueAt: clock.now + 300_000 });
});
