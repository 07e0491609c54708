import { expect, test } from 'vitest';
import { listRevocations, listSessions, revoke } from '../../src/index.ts';
import { enrolled, keys, login, withAda } from '../ada.ts';
import { BY } from '../scene.ts';

test('revoking: contiguous indexes, the same id the same entry, another body a conflict', async () => {
  const { access } = await withAda();
  const installation = await enrolled(access);
  const [key] = await keys(access, installation.id);
  const sessions = [await login(access, installation.id, key!), await login(access, installation.id, key!)];
  const revocation = { requestId: 'r-1', kind: 'session', subject: sessions[0]!.row.id } as const;
  const first = await revoke(access, revocation, BY);
  expect(await revoke(access, revocation, BY)).toEqual(first);
  await expect(revoke(access, { ...revocation, subject: sessions[1]!.row.id }, BY)).rejects.toMatchObject({
    code: 'ERR_ACCESS_CONFLICT',
  });
  await expect(revoke(access, { requestId: 'r-2', kind: 'session', subject: 'none' }, BY)).rejects.toMatchObject({
    code: 'ERR_ACCESS_NOT_FOUND',
  });
  const everything = await revoke(access, { requestId: 'r-3', kind: 'before', subject: 'now' }, BY);
  expect(everything.index).toBe(first.index + 1);
  expect(await listSessions(access, { all: false, limit: 100 })).toHaveLength(0);
});

test('a revoked version of an app cannot sign in any more', async () => {
  const { access } = await withAda();
  const installation = await enrolled(access);
  await revoke(access, { requestId: 'r', kind: 'app', subject: 'a@1' }, BY);
  expect(await login(access, installation.id, (await keys(access, installation.id))[0]!)).toBeUndefined();
});

test('a revoked version of an app can be lifted, is listed, and can be revoked again', async () => {
  const { access } = await withAda();
  const installation = await enrolled(access);
  const signIn = async () =>
    (await login(access, installation.id, (await keys(access, installation.id))[0]!)) !== undefined;
  const say = (requestId: string, kind: 'app' | 'lift') => revoke(access, { requestId, kind, subject: 'a@1' }, BY);
  await expect(say('l0', 'lift')).rejects.toMatchObject({ code: 'ERR_ACCESS_NOT_FOUND' });
  await say('r1', 'app');
  expect(await signIn()).toBe(false);
  await say('l1', 'lift');
  expect(await signIn()).toBe(true);
  await expect(say('l2', 'lift')).rejects.toMatchObject({ code: 'ERR_ACCESS_NOT_FOUND' });
  const listed = async () =>
    (await listRevocations(access, { limit: 10 })).map(({ kind, subject, lifted }) => [kind, subject, lifted]);
  expect(await listed()).toEqual([
    ['lift', 'a@1', false],
    ['app', 'a@1', true],
  ]);
  await say('r2', 'app');
  expect(await signIn()).toBe(false);
  expect((await listed())[0]).toEqual(['app', 'a@1', false]);
  const older = await listRevocations(access, { limit: 10, before: 2 });
  expect(older.map(({ index }) => index)).toEqual([1]);
});

test('no clock decides what "everything" is, and no time that is still to come can be revoked before', async () => {
  const { access, clock } = await withAda();
  const installation = await enrolled(access);
  const revokeBefore = (subject: string) =>
    revoke(access, { requestId: `before-${subject}`, kind: 'before', subject }, BY);
  for (const subject of [String(clock.now + 1), String(clock.now * 1_000), '1e3', ''])
    await expect(revokeBefore(subject)).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
  expect(await revokeBefore('now')).toMatchObject({ kind: 'generation', subject: '1' });
  // The clock goes back by a day: who signs in now is in, for the whole of a session.
  clock.now -= 86_400_000;
  const session = await login(access, installation.id, (await keys(access, installation.id))[0]!);
  expect(session!.row).toMatchObject({ generation: 1, expiresAt: clock.now + 12 * 3_600_000 });
});
