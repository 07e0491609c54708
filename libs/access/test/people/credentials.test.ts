import { expect, test } from 'vitest';
import {
  type AccessContext,
  createSession,
  findUser,
  issueCode,
  issueFactor,
  keyCandidates,
  putDirectory,
  putGroup,
  putUser,
  removeFactor,
  removeUser,
  renameUser,
  type SessionRequest,
} from '../../src/index.ts';
import { BY, enrolWithPassword, scene } from '../scene.ts';

const RANDOM = new Uint8Array(32).fill(7);
const OUTCOME = { handshakeHash: RANDOM, clientRandom: RANDOM, serverRandom: RANDOM, kemSecret: RANDOM };

/** A user who has enrolled a device. */
async function enrolled(access: AccessContext, user = 'ada', seed = 1): Promise<string> {
  await putUser(access, user, { password: 'pw' }, BY);
  const { code } = await issueCode(access, user, undefined, BY);
  const keys = { deviceStatic: new Uint8Array(32).fill(seed), signingKey: { kty: 'EC', x: String(seed) } };
  const sharedKey = new Uint8Array(32).fill(9) as never;
  const request = { code, user, password: 'pw', ...keys, sharedKey, app: 'a@1', model: 'm' };
  const result = await enrolWithPassword(access, request);
  if (result.status !== 'ok') throw new Error(result.code);
  return result.installation.id;
}

async function rowOf(access: AccessContext, id: string) {
  return (await access.store.transaction(({ tables }) => tables.installations.find({ id })))!;
}

async function login(access: AccessContext, id: string, over: Partial<SessionRequest> = {}) {
  const [used] = keyCandidates(access.store.realm, access.keyring, await rowOf(access, id));
  return createSession(access, { installationId: id, used: used!, outcome: OUTCOME, app: 'a@1', ...over });
}

async function liveCount(access: AccessContext): Promise<number> {
  return access.store.transaction(({ tables }) => tables.sessions.count({ where: { endedAt: null } }));
}

function entryAt(access: AccessContext, index: number) {
  return access.store.transaction(({ tables }) => tables.revocations.find({ index }));
}

async function lastEntry(access: AccessContext) {
  const [row] = await access.store.transaction(({ tables }) =>
    tables.revocations.list({ newestFirst: true, limit: 1 }),
  );
  return row;
}

const CHANGES = [
  [
    'a new password',
    (access: AccessContext, keepSessions: boolean) => putUser(access, 'ada', { password: 'new', keepSessions }, BY),
  ],
  [
    'a new second factor',
    (access: AccessContext, keepSessions: boolean) => issueFactor(access, 'ada', { keepSessions }, BY),
  ],
  [
    'a second factor taken away',
    async (access: AccessContext, keepSessions: boolean) => {
      await access.store.transaction(({ tables }) =>
        tables.factors.list().then(async (rows) => {
          if (rows.length > 0) return;
          const [user] = await tables.users.list({ where: { name: 'ada' } });
          const secret = Uint8Array.of(1);
          await tables.factors.insert({ userId: user!.id, secret, lastStep: 0, createdAt: 1 } as never);
        }),
      );
      await removeFactor(access, 'ada', { keepSessions }, BY);
    },
  ],
] as const;

test.each(CHANGES)(
  '%s ends sessions and proofs of enrolments with a log entry, unless told otherwise',
  async (_, change) => {
    const { access } = await scene();
    const id = await enrolled(access);
    const { row } = (await login(access, id))!;
    await change(access, true);
    expect(await liveCount(access)).toBe(1);
    await change(access, false);
    expect(await liveCount(access)).toBe(0);
    expect(await lastEntry(access)).toMatchObject({ kind: 'credentials', subject: row.userId });
    expect((await rowOf(access, id)).status).toBe('active');
    const other = await enrolled(access, 'ada', 2);
    expect((await rowOf(access, other)).resumeId).not.toBeNull();
    await change(access, true);
    expect((await rowOf(access, other)).resumeId).toBeNull();
  },
);

test('credentials that are replaced while nobody is signed in are in the log too: a restore must know of them', async () => {
  const { access } = await scene();
  const { user } = await putUser(access, 'ada', { password: 'pw' }, BY);
  expect(await lastEntry(access)).toBeUndefined();
  expect((await putUser(access, 'ada', { password: 'other' }, BY)).ended).toBe(1);
  expect(await lastEntry(access)).toMatchObject({ kind: 'credentials', subject: user.id });
});

test('the proof of an enrolment opens one session', async () => {
  const { access } = await scene();
  const id = await enrolled(access);
  const resumeId = (await rowOf(access, id)).resumeId!;
  await expect(login(access, id, { resumeId: 'another' })).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  expect(await login(access, id, { resumeId })).toBeDefined();
  await expect(login(access, id, { resumeId })).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
});

test('a sign-in that looked at credentials which were replaced meanwhile opens nothing', async () => {
  const { access } = await scene();
  const id = await enrolled(access);
  const { user } = (await findUser(access, 'ada'))!;
  const checked = { passwordHash: user.passwordHash, factorAt: null };
  await putUser(access, 'ada', { password: 'new' }, BY);
  await expect(login(access, id, { checked })).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  const fresh = { passwordHash: (await findUser(access, 'ada'))!.user.passwordHash, factorAt: null };
  expect(await login(access, id, { checked: fresh })).toBeDefined();
  await issueFactor(access, 'ada', {}, BY);
  await expect(login(access, id, { checked: fresh })).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
});

test('a user who is removed is out with everything, and the name is free again for somebody else', async () => {
  const { access } = await scene();
  const id = await enrolled(access);
  await putGroup(access, 'staff', BY);
  await putUser(access, 'ada', { groups: ['staff'] }, BY);
  const { row } = (await login(access, id))!;
  const index = await removeUser(access, 'ada', 'request-0001', BY);
  expect(await entryAt(access, index)).toMatchObject({ index, kind: 'user', subject: row.userId });
  expect(await lastEntry(access)).toMatchObject({ kind: 'installation', subject: id });
  expect(await liveCount(access)).toBe(0);
  expect((await rowOf(access, id)).status).toBe('revoked');
  expect(await login(access, id)).toBeUndefined();
  // The same request again gives the same entry; another one finds nobody.
  expect(await removeUser(access, 'ada', 'request-0001', BY)).toBe(index);
  await expect(removeUser(access, 'ada', 'request-0002', BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_NOT_FOUND' });
  const again = await putUser(access, 'ada', { password: 'pw' }, BY);
  expect(again.user.id).not.toBe(row.userId);
  expect(again.groups).toEqual([]);
});

test('who is in by a directory is not removed or renamed here, who has left it is', async () => {
  const { access } = await scene();
  await putDirectory(access, 'corp', { kind: 'scim', stage: 'active', settings: {} }, BY);
  await putUser(access, 'ada', {}, BY);
  const { user } = (await findUser(access, 'ada'))!;
  const none = { externalId: '', dn: '', onlyName: null, version: '', attributes: {}, createdAt: 1, changedAt: 1 };
  const account = { ...none, directory: 'corp', subject: 's', userId: user.id, login: 'ada', expiresAt: 2 ** 52 };
  await access.store.transaction(async ({ tables }) => {
    await tables.users.update({ where: { id: user.id } }, { directory: 'corp' });
    await tables.identities.insert({ ...account, active: true });
  });
  await expect(removeUser(access, 'ada', 'request-0001', BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
  await expect(renameUser(access, 'ada', 'eve', BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
  await access.store.transaction(({ tables }) => tables.identities.update({}, { active: false }));
  await removeUser(access, 'ada', 'request-0001', BY);
  expect((await access.store.transaction(({ tables }) => tables.identities.list()))[0]).toMatchObject({ userId: '' });
});

test('a user who is renamed is the same one; a name that is taken is refused', async () => {
  const { access } = await scene();
  const id = await enrolled(access);
  await putUser(access, 'eve', {}, BY);
  await login(access, id);
  await expect(renameUser(access, 'ada', 'eve', BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  const { user } = (await findUser(access, 'ada'))!;
  await renameUser(access, 'ada', 'ada.king', BY);
  expect((await findUser(access, 'ada.king'))!.user.id).toBe(user.id);
  expect(await findUser(access, 'ada')).toBeUndefined();
  expect(await lastEntry(access)).toMatchObject({ kind: 'rights', subject: user.id });
  expect(await liveCount(access)).toBe(1);
});
