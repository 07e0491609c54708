import { expect, test } from 'vitest';
import {
  type AccessContext,
  AuditWatch,
  auditRefusal,
  changeSettings,
  issueJoinToken,
  LiveKeyring,
  listReleases,
  putSite,
  type SessionRow,
  sealedStore,
  searchAudit,
  sweepEnded,
  trimAudit,
  verifyAudit,
  withdrawRelease,
} from '../../src/index.ts';
import { packageOf, published, withReleases } from '../apps/release-scene.ts';
import { keyringOf, renewAll } from '../keys/renewed.ts';
import { sampleSession } from '../sample-session.ts';
import { BY, KEYRING, scene } from '../scene.ts';

const DAY = 86_400_000;

async function sessions(access: AccessContext, rows: readonly Partial<SessionRow>[]): Promise<void> {
  const base = { secret: null, createdAt: 0, expiresAt: 2 ** 52 };
  await access.store.transaction(({ tables }) =>
    tables.sessions.insertEach(rows.map(({ id, ...row }) => sampleSession(id!, { ...base, ...row }))),
  );
}

const idsOf = (access: AccessContext) =>
  access.store.transaction(async ({ tables }) => (await tables.sessions.list()).map(({ id }) => id));

test('what ended longer ago than the realm keeps it is removed in batches, what lives or ended lately stays', async () => {
  const { access, clock } = await scene();
  const now = clock.now;
  const old = Array.from({ length: 1_200 }, (_, i) => ({ id: `old-${i}`, endedAt: now - 91 * DAY }));
  await sessions(access, [...old, { id: 'lately', endedAt: now - 89 * DAY }, { id: 'live' }]);
  await putSite(access, { name: 'here', origins: ['wss://x'] }, BY);
  await issueJoinToken(access, { name: 'p1', site: 'here' }, BY);
  const batches = [await sweepEnded(access), await sweepEnded(access), await sweepEnded(access)];
  expect(batches.map(({ removed, more }) => [removed, more])).toEqual([
    [500, true],
    [500, true],
    [200, false],
  ]);
  expect(await idsOf(access)).toEqual(['lately', 'live']);
  clock.now += 91 * DAY;
  expect(await sweepEnded(access)).toEqual({ removed: 2, more: false });
  expect(await access.store.transaction(({ tables }) => tables.joinTokens.count())).toBe(0);
  expect(await idsOf(access)).toEqual(['live']);
});

test('a withdrawn release goes after all that devices said of it, so much at a time; one that is live stays', async () => {
  const { access, clock } = await scene();
  await withReleases(access, clock.now);
  const [live, withdrawn, lately] = [
    await published(access, packageOf({ version: '1.1' })),
    await published(access, packageOf({ version: '1.2' })),
    await published(access, packageOf({ version: '1.3' })),
  ];
  const said = Array.from({ length: 700 }, (_, i) => ({ installationId: `i${i}`, outcome: 'installed' as const }));
  await access.store.transaction(({ tables }) =>
    tables.releaseReports.insertEach([
      ...said.map((one) => ({ releaseId: withdrawn.id, ...one })),
      { releaseId: live.id, ...said[0]! },
    ]),
  );
  await withdrawRelease(access, withdrawn.id, BY);
  clock.now += 91 * DAY;
  await withdrawRelease(access, lately.id, BY);
  expect([await sweepEnded(access), await sweepEnded(access)]).toEqual([
    { removed: 500, more: true },
    { removed: 201, more: false },
  ]);
  expect((await listReleases(access, { after: '', limit: 9 })).map(({ id }) => id).sort()).toEqual(
    [live.id, lately.id].sort(),
  );
  expect(await access.store.transaction(({ tables }) => tables.releaseReports.count())).toBe(1);
});

async function aged(): ReturnType<typeof scene> {
  const made = await scene();
  await changeSettings(made.access, { auditKeepMs: 10 * DAY }, BY);
  for (let day = 0; day < 20; day++) {
    await auditRefusal(made.access, { actor: 'ada', action: 'login', subject: `day ${day}`, reason: 'wrong' });
    made.clock.now += DAY;
  }
  return made;
}

test('old audit events are removed up to a sealed checkpoint, from which the chain still fits', async () => {
  const { access: begun, store } = await aged();
  const keyring = new LiveKeyring(KEYRING);
  const access = { ...begun, keyring, store: sealedStore(store.in('main'), keyring, () => undefined) };
  const watch = new AuditWatch(access);
  expect(await watch.look(60_000)).toMatchObject({ events: 21, intact: true });
  expect(await trimAudit(access)).toEqual({ removed: 11, more: false });
  expect(await trimAudit(access)).toEqual({ removed: 0, more: false });
  const kept = await searchAudit(access, { after: 0, limit: 100 }, {});
  expect(kept[0]).toMatchObject({ seq: 12, subject: 'day 10' });
  expect(kept.at(-1)).toMatchObject({ action: 'audit.trim', subject: 'up to event 11', actor: 'retention' });
  // A node that looked before, one that begins now, and a key-encryption key that turns.
  keyring.replace(keyringOf(access.crypto, [1, 2], 2));
  await renewAll(store.in('main'), keyring);
  keyring.replace(keyringOf(access.crypto, [2], 2));
  for (const looking of [watch, new AuditWatch(access)])
    expect(await looking.look(60_000)).toEqual({ events: 22, verified: 22, intact: true });
  await watch.recheck();
  expect((await watch.look(60_000)).intact).toBe(true);
  expect(await access.store.transaction((transaction) => verifyAudit(transaction, access.crypto))).toBe(22);
});

test('a checkpoint that no Security server made is found, and so is a chain that was cut before trimming', async () => {
  const { access } = await aged();
  await trimAudit(access);
  const [first, second] = await searchAudit(access, { after: 0, limit: 2 }, {});
  await access.store.transaction(async ({ tables }) => {
    await tables.audit.remove({ where: { seq: first!.seq } });
    await tables.auditHeads.update({ where: { id: 'start' } }, { seq: first!.seq, hash: second!.previousHash });
  });
  expect((await new AuditWatch(access).look(60_000)).intact).toBe(false);
  const other = await aged();
  await other.access.store.transaction(({ tables }) => tables.audit.update({ where: { seq: 3 } }, { actor: 'eve' }));
  await expect(trimAudit(other.access)).rejects.toMatchObject({ code: 'ERR_ACCESS_AUDIT_BROKEN' });
  expect(await other.access.store.transaction(({ tables }) => tables.audit.count())).toBe(21);
});

test('audit events are kept for ever when the realm says so, and the last one always', async () => {
  const { access, clock } = await aged();
  clock.now += 1_000 * DAY;
  await changeSettings(access, { auditKeepMs: 0 }, BY);
  expect(await trimAudit(access)).toEqual({ removed: 0, more: false });
  await changeSettings(access, { auditKeepMs: DAY }, BY);
  clock.now += 1_000 * DAY;
  await trimAudit(access);
  expect((await new AuditWatch(access).look(60_000)).intact).toBe(true);
  expect(await access.store.transaction(({ tables }) => tables.audit.count())).toBe(2);
});
