import { expect, test } from 'vitest';
import {
  type AccessContext,
  type BackupFinding,
  type BackupRhythm,
  type BackupTargetRow,
  type BackupTurn,
  backupTargetsNow,
  backupWords,
  backupWorkDue,
  claimBackups,
  endBackupTurn,
  type ForgedRow,
  keepBackupTurn,
  sealedStore,
  verifiedAgeMs,
} from '../../src/index.ts';
import { KEYRING, scene } from '../scene.ts';

const RHYTHM: BackupRhythm = { places: ['folder /a', 'folder /b'], everyMs: 300_000, lookMs: 60_000 };
const [A, B] = RHYTHM.places as [string, string];

const claim = (access: AccessContext, node: string, places = [A], over: readonly BackupTargetRow[] = []) =>
  claimBackups(access, { node, places, over }, RHYTHM);
const end = (access: AccessContext, turn: BackupTurn, found: BackupFinding = {}) =>
  endBackupTurn(access, turn, found, RHYTHM);

async function rowsOf(access: AccessContext): Promise<readonly BackupTargetRow[]> {
  return (await backupTargetsNow(access, RHYTHM.places)).rows;
}

async function auditOf(access: AccessContext): Promise<readonly string[]> {
  const rows = await access.store.transaction(({ tables }) => tables.audit.list());
  return rows.filter(({ action }) => action.startsWith('backup.')).map(({ action, outcome }) => `${action} ${outcome}`);
}

test('one node works at a target at a time; another takes over only the turn that it saw stand still', async () => {
  const { access, clock } = await scene();
  const [first] = await claim(access, 'n1');
  expect(first).toMatchObject({ place: A, work: 'export' });
  expect(await claim(access, 'n2')).toEqual([]);
  const seen = await rowsOf(access);
  await keepBackupTurn(access, first!);
  clock.now += 10 * RHYTHM.everyMs;
  expect(await claim(access, 'n2', [A], seen)).toEqual([]);
  const [second] = await claim(access, 'n2', [A], await rowsOf(access));
  expect(second).toMatchObject({ work: 'export' });
  // The one that was thought dead says nothing of the target any more.
  await expect(keepBackupTurn(access, first!)).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  await expect(end(access, first!)).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  await end(access, second!);
  expect((await rowsOf(access))[0]).toMatchObject({ runId: null, state: { trouble: null } });
});

test('what a node left behind before a restart is its own to take, and a slot that was missed is made up', async () => {
  const { access, clock } = await scene();
  await claim(access, 'n1');
  clock.now += RHYTHM.everyMs;
  expect(await claim(access, 'n1')).toHaveLength(1);
});

test('a target that takes long holds no other, and gets no second turn beside its first', async () => {
  const { access, clock } = await scene();
  const [slow, quick] = await claim(access, 'n1', [A, B]);
  await end(access, quick!);
  clock.now += RHYTHM.everyMs;
  const again = await claim(access, 'n2', [A, B]);
  expect(again.map(({ place }) => place)).toEqual([B]);
  await keepBackupTurn(access, slow!);
});

test('what is due goes by the clock of the store, wherever it steps', () => {
  const row = (triedAt: number, state: BackupTargetRow['state'] = {}): BackupTargetRow => ({
    ...{ place: A, runId: null, runNode: '', runBeat: 1, triedAt, state },
  });
  const now = 1_000_000_000;
  const due = (...given: Parameters<typeof row>) => backupWorkDue(row(...given), now, RHYTHM);
  expect(backupWorkDue(undefined, now, RHYTHM)).toBe('export');
  expect(due(now - 299_999, { lookedAt: now })).toBeUndefined();
  expect(due(now - 299_999, { lookedAt: now - 60_000 })).toBe('look');
  expect(due(now - 300_000, { lookedAt: now })).toBe('export');
  expect(due(now - 3_000_000, { lookedAt: now })).toBe('export');
  const trouble = { code: 'ERR_TARGET_GONE', words: 'away', since: 1 };
  expect(due(now - 59_999, { lookedAt: now, trouble })).toBeUndefined();
  expect(due(now - 60_000, { lookedAt: now, trouble })).toBe('export');
  // The clock went back: what was done later than now was done long ago.
  expect(due(now + 1, { lookedAt: now })).toBe('export');
  expect(due(now - 1, { lookedAt: now + 1 })).toBe('look');
});

test('on record are what was verified, and troubles as they begin and end', async () => {
  const { access, clock } = await scene();
  const turn = async (found: BackupFinding): Promise<void> => {
    clock.now += RHYTHM.everyMs;
    const [one] = await claim(access, 'n1');
    await end(access, one!, found);
  };
  const verified = (name: string) => ({ name, takenAt: clock.now, verifiedAt: clock.now });
  await turn({ verified: verified('one') });
  await turn({ verified: verified('two') });
  const trouble = { code: 'ERR_TARGET_FULL', words: 'no room' };
  await turn({ trouble });
  const [row] = await rowsOf(access);
  expect(row!.state).toMatchObject({ verified: { name: 'two' }, trouble: { ...trouble, since: clock.now } });
  const { since } = row!.state.trouble!;
  await turn({ trouble });
  expect((await rowsOf(access))[0]!.state.trouble!.since).toBe(since);
  await turn({});
  expect(await auditOf(access)).toEqual([
    'backup.verified done',
    'backup.verified done',
    'backup.fail refused',
    // Nothing new was verified for three slots: said once.
    'backup.overdue refused',
    'backup.recover done',
  ]);
  await turn({ verified: verified('three') });
  expect((await auditOf(access)).at(-1)).toBe('backup.verified done');
});

test('a target that has lost what was verified is not believed any more', async () => {
  const { access, clock } = await scene();
  const [turn] = await claim(access, 'n1');
  await end(access, turn!, { verified: { name: 'x', takenAt: clock.now, verifiedAt: clock.now } });
  clock.now += RHYTHM.lookMs;
  const [away] = await claim(access, 'n1');
  await end(access, away!, { trouble: { code: 'ERR_TARGET_GONE', words: 'away' } });
  // Nobody could look: it is as old as it was.
  expect(verifiedAgeMs(await rowsOf(access), clock.now)).toBe(RHYTHM.lookMs);
  clock.now += RHYTHM.lookMs;
  const [empty] = await claim(access, 'n1');
  await end(access, empty!, { verified: null });
  expect(verifiedAgeMs(await rowsOf(access), clock.now)).toBe(Number.POSITIVE_INFINITY);
});

test('what was not verified for twice the time is named first, by the newest at any target', async () => {
  const { access, clock } = await scene();
  const everyMs = RHYTHM.everyMs;
  const words = async (): Promise<string[]> => backupWords(await rowsOf(access), { now: clock.now, everyMs });
  expect((await words())[0]).toMatch(/no backup was ever verified/);
  expect(verifiedAgeMs([], clock.now)).toBe(Number.POSITIVE_INFINITY);
  const [a, b] = await claim(access, 'n1', [A, B]);
  await end(access, a!, { trouble: { code: 'ERR_TARGET_DENIED', words: 'the key is refused' } });
  await end(access, b!, { verified: { name: 'x', takenAt: clock.now, verifiedAt: clock.now }, future: 2 });
  expect(await words()).toEqual([
    expect.stringMatching(/^backup to folder \/a fails since .* \(ERR_TARGET_DENIED\): the key is refused$/),
    expect.stringMatching(/^2 backups at folder \/b have names of times that have not come yet/),
  ]);
  clock.now += 2 * everyMs + 1;
  expect((await words())[0]).toBe('the newest verified backup is 10 min old, of x at folder /b: one every 5 min');
});

test('what nobody with the keys of the realm wrote says nothing, and gives way', async () => {
  const { access: strict, store, clock } = await scene();
  const forged: string[] = [];
  const report = ({ key }: ForgedRow): void => void forged.push(key);
  const access = { ...strict, store: sealedStore(store.in('main'), KEYRING, report) };
  const [turn] = await claim(access, 'n1');
  await end(access, turn!, { verified: { name: 'x', takenAt: clock.now, verifiedAt: clock.now } });
  clock.now += 3 * RHYTHM.everyMs;
  // As if it had been verified just now, and nothing were due for a while.
  const state = { verified: { name: 'x', takenAt: clock.now, verifiedAt: clock.now }, lookedAt: clock.now };
  const forge = { state, triedAt: clock.now };
  await store.in('main').transaction(({ tables }) => tables.backupTargets.update({ where: { place: A } }, forge));
  expect(await rowsOf(access)).toEqual([]);
  expect(forged).toEqual([A]);
  const [again] = await claim(access, 'n2');
  expect(again).toMatchObject({ work: 'export', expected: undefined });
  await end(access, again!, { verified: null });
  expect((await rowsOf(access))[0]!.state).toMatchObject({ verified: null, overdue: true });
});
