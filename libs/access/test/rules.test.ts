import { keyOf, type SharedKey } from '@sallyport/channel';
import { checkContext, compareVersions } from '@sallyport/lease';
import { expect, test } from 'vitest';
import {
  type AccessContext,
  changeSettings,
  createKeyring,
  createSession,
  disableUser,
  enableUser,
  findUser,
  getRealm,
  grantedResources,
  issueCode,
  issueJoinToken,
  type KeyCandidate,
  kekOf,
  keyCandidates,
  LeaseWatch,
  listAudit,
  listRevocations,
  listSessions,
  putGroup,
  putPolicy,
  putResource,
  putUser,
  readPolicySet,
  recordBeat,
  redeemJoinToken,
  removeRight,
  revoke,
  rewrapRealm,
  verifyAudit,
  verifyPassword,
} from '../src/index.ts';
import { BY, enrolWithPassword, scene } from './scene.ts';

/** Stands for the hash of a Proxy's key. */
const KEY = 'f0'.repeat(32);

const REQUEST = {
  user: 'ada',
  password: 'pw',
  signingKey: { kty: 'EC', x: '1' },
  sharedKey: keyOf<SharedKey>(new Uint8Array(32).fill(9)),
  app: 'a@1',
  model: 'm',
};

async function withAda(): ReturnType<typeof scene> {
  const made = await scene();
  await putUser(made.access, 'ada', { password: 'pw' }, BY);
  return made;
}

async function enrolled(access: AccessContext, device = 1) {
  const { code } = await issueCode(access, 'ada', undefined, BY);
  const result = await enrolWithPassword(access, { ...REQUEST, code, deviceStatic: new Uint8Array(32).fill(device) });
  if (result.status !== 'ok') throw new Error(result.code);
  return result.installation;
}

function login(access: AccessContext, installationId: string, used: KeyCandidate, seed = 1) {
  const random = new Uint8Array(32).fill(seed);
  const outcome = { handshakeHash: random, clientRandom: random, serverRandom: random, kemSecret: random };
  return createSession(access, { installationId, used, outcome, app: 'a@1' });
}

async function keys(access: AccessContext, id: string): Promise<KeyCandidate[]> {
  const row = await access.store.transaction(({ tables }) => tables.installations.find({ id }));
  return keyCandidates(access.store.realm, access.keyring, row!);
}

test('an activation code works once, for its user, and dies after five wrong passwords, never by wrong secrets', async () => {
  const { access } = await withAda();
  await putUser(access, 'eve', { password: 'pw' }, BY);
  const deviceStatic = new Uint8Array(32).fill(1);
  const { code } = await issueCode(access, 'ada', undefined, BY);
  expect(await enrolWithPassword(access, { ...REQUEST, code, deviceStatic, user: 'eve' })).toMatchObject({
    status: 'refused',
  });
  expect(await enrolWithPassword(access, { ...REQUEST, code: code.toUpperCase(), deviceStatic })).toMatchObject({
    status: 'ok',
  });
  const other = { ...REQUEST, code, deviceStatic: new Uint8Array(32).fill(2), signingKey: { kty: 'EC', x: '2' } };
  expect(await enrolWithPassword(access, other)).toEqual({ status: 'refused', code: 'CODE_INVALID' });
  const second = await issueCode(access, 'ada', undefined, BY);
  const fresh = { ...REQUEST, deviceStatic: new Uint8Array(32).fill(2), signingKey: { kty: 'EC', x: '2' } };
  for (let i = 0; i < 9; i++)
    expect(await enrolWithPassword(access, { ...fresh, code: `${second.id}-wrongwrongwrong${i}` })).toMatchObject({
      status: 'refused',
    });
  const third = await issueCode(access, 'ada', undefined, BY);
  expect(await enrolWithPassword(access, { ...fresh, code: second.code })).toMatchObject({ status: 'ok' });
  for (let i = 0; i < 5; i++)
    expect(await enrolWithPassword(access, { ...fresh, code: third.code, password: 'guess' })).toMatchObject({
      code: 'CREDENTIALS_INVALID',
    });
  expect(await enrolWithPassword(access, { ...fresh, code: third.code })).toEqual({
    status: 'refused',
    code: 'CODE_INVALID',
  });
});

test('an expired code is refused', async () => {
  const { access, clock } = await withAda();
  const { code } = await issueCode(access, 'ada', 60_000, BY);
  clock.now += 60_000;
  expect(await enrolWithPassword(access, { ...REQUEST, code, deviceStatic: new Uint8Array(32) })).toMatchObject({
    code: 'CODE_INVALID',
  });
});

test('enrolling again with the same signing key replaces a pending row, never an active one', async () => {
  const { access } = await withAda();
  const { code } = await issueCode(access, 'ada', undefined, BY);
  const request = { ...REQUEST, code, deviceStatic: new Uint8Array(32).fill(1) };
  const first = await enrolWithPassword(access, request);
  const second = await enrolWithPassword(access, request);
  if (first.status !== 'ok' || second.status !== 'ok') throw new Error('refused');
  expect(second.installation.id).toBe(first.installation.id);
  await login(access, first.installation.id, (await keys(access, first.installation.id))[0]!);
  expect(await enrolWithPassword(access, request)).toMatchObject({ status: 'refused' });
});

test('rotation: next is written before the answer, promoted when used, and the old key works for its grace time', async () => {
  const { access, clock } = await withAda();
  const { id } = await enrolled(access);
  const [first] = await keys(access, id);
  expect((await login(access, id, first!))!.rotation.rotate).toBe(false);
  clock.now += 25 * 3_600_000;
  expect((await login(access, id, first!))!.rotation).toMatchObject({ rotate: true, generation: 1 });
  // The answer was lost: the device still has the first key, and a new next replaces the one it never got.
  expect((await login(access, id, first!, 2))!.rotation).toMatchObject({ rotate: true, generation: 1 });
  const next = (await keys(access, id)).find(({ slot }) => slot === 'next')!;
  expect((await login(access, id, next))!.rotation).toMatchObject({ rotate: false, generation: 1 });
  expect((await keys(access, id)).map(({ slot }) => slot)).toEqual(['current', 'previous']);
  const old = (await login(access, id, { ...first!, slot: 'previous' }, 3))!;
  expect(old.rotation).toMatchObject({ rotate: true, suspicious: true });
  const actions = (await access.store.transaction((transaction) => listAudit(transaction, 5))).map(
    ({ action }) => action,
  );
  expect(actions).toContain('key.previous-used');
  clock.now += 3_600_001;
  expect(await login(access, id, { ...first!, slot: 'previous' })).toBeUndefined();
  // A longer grace time that an older version has stored counts for a day at most.
  await changeSettings(access, { previousKeyGraceMs: 30 * 24 * 3_600_000 }, BY);
  expect((await login(access, id, { ...first!, slot: 'previous' }))!.rotation).toMatchObject({ suspicious: true });
  clock.now += 24 * 3_600_000;
  expect(await login(access, id, { ...first!, slot: 'previous' })).toBeUndefined();
  // With the next login it is erased, too.
  const [current] = await keys(access, id);
  await login(access, id, current!);
  expect((await keys(access, id)).map(({ slot }) => slot)).not.toContain('previous');
});

test('disabling a user ends everything of theirs, and enabling again revives nothing', async () => {
  const { access } = await withAda();
  const installation = await enrolled(access);
  const [key] = await keys(access, installation.id);
  await login(access, installation.id, key!);
  const { code } = await issueCode(access, 'ada', undefined, BY);
  expect(await listSessions(access, { all: false, limit: 100 })).toHaveLength(1);
  const { index } = await disableUser(access, 'ada', 'request-1', BY);
  expect(await disableUser(access, 'ada', 'request-1', BY)).toMatchObject({ index });
  await enableUser(access, 'ada', BY);
  expect(await listSessions(access, { all: false, limit: 100 })).toHaveLength(0);
  expect(await login(access, installation.id, key!)).toBeUndefined();
  expect(await enrolWithPassword(access, { ...REQUEST, code, deviceStatic: new Uint8Array(32).fill(5) })).toMatchObject(
    {
      status: 'refused',
    },
  );
});

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

test('a revocation waits for exactly the Proxies that may still serve without it', async () => {
  const { access, clock } = await withAda();
  const installation = await enrolled(access);
  for (const name of ['p1', 'p2']) {
    const token = await issueJoinToken(access, { name, site: 'here' }, BY);
    await redeemJoinToken(access, token, KEY);
  }
  const { epoch } = await access.store.transaction((transaction) => getRealm(transaction));
  const instance = '1'.repeat(32);
  const beat = async (proxy: string, done?: { index: number; hash: string }) => {
    const place = done
      ? { epoch, seen: done.index, hash: done.hash, done: done.index }
      : { seen: 0, hash: '', done: 0 };
    const record = { proxy, keyHash: KEY, beat: { instance, channels: 0, ...place }, leaseMs: 15_000, node: 'n1' };
    const result = await recordBeat(access, record);
    if (result.type !== 'lease') throw new Error(result.type);
    return result;
  };
  const watch = new LeaseWatch(() => clock.now);
  const waitingFor = async (index: number, committedAt: number) => {
    const leases = await access.store.transaction(({ tables }) => tables.leases.list());
    return watch.waiting(leases, index, committedAt).map(({ proxy }) => proxy);
  };
  const { head, headHash } = await beat('p1');
  await beat('p2');
  const row = await revoke(access, { requestId: 'r', kind: 'installation', subject: installation.id }, BY);
  expect(row.index).toBe(head + 1);
  const committedAt = clock.now;
  expect(await waitingFor(row.index, committedAt)).toEqual(['p1', 'p2']);
  expect((await beat('p1', { index: head, hash: headHash })).entries.map(({ index }) => index)).toEqual([row.index]);
  await beat('p1', row);
  expect(await waitingFor(row.index, committedAt)).toEqual(['p2']);
  clock.now += 15_049;
  // Beats that go on without ever being answered do not keep a revocation waiting.
  await beat('p2', { index: head, hash: headHash });
  expect(await waitingFor(row.index, committedAt)).toEqual(['p2']);
  clock.now += 1;
  expect(await waitingFor(row.index, committedAt)).toEqual([]);
});

test('groups decide which resources a grant holds; a change of rights is an entry of the log', async () => {
  const { access } = await withAda();
  await putGroup(access, 'staff', BY);
  await putResource(
    access,
    'wiki',
    { kind: 'http', authority: 'wiki.corp', backend: { url: 'http://127.0.0.1:1', networks: [] } },
    BY,
  );
  await putPolicy(access, 'p', { groups: ['staff'], resources: ['wiki'], context: {}, paths: ['/a'] }, BY);
  const granted = (groups: string[]) =>
    access.store.transaction(async (transaction) =>
      grantedResources(await readPolicySet(transaction), groups).map(({ name }) => name),
    );
  expect(await granted(['staff'])).toEqual(['wiki']);
  expect(await granted(['guests'])).toEqual([]);
  const head = async () => (await access.store.transaction((transaction) => getRealm(transaction))).head;
  const before = await head();
  await putUser(access, 'ada', { groups: ['staff'] }, BY);
  await putUser(access, 'ada', { groups: ['staff'] }, BY);
  expect(await head()).toBe(before + 1);
  expect(await removeRight(access, 'policies', 'p', BY)).toBe(true);
  expect(await granted(['staff'])).toEqual([]);
  await expect(putPolicy(access, 'q', { groups: ['none'], resources: [], context: {} }, BY)).rejects.toMatchObject({
    code: 'ERR_ACCESS_NOT_FOUND',
  });
});

test('the audit chain notices a changed, a removed and a cut-off event', async () => {
  const { access } = await withAda();
  await putGroup(access, 'a', BY);
  await putGroup(access, 'b', BY);
  const verify = () => access.store.transaction((transaction) => verifyAudit(transaction, access.crypto));
  expect(await verify()).toBe(3);
  const original = await access.store.transaction(({ tables }) => tables.audit.find({ seq: 2 }));
  const tamper = (
    work: (tables: Parameters<Parameters<typeof access.store.transaction>[0]>[0]['tables']) => Promise<unknown>,
  ) => access.store.transaction(({ tables }) => work(tables));
  await tamper((tables) => tables.audit.update({ where: { seq: 2 } }, { subject: 'changed' }));
  await expect(verify()).rejects.toMatchObject({ code: 'ERR_ACCESS_AUDIT_BROKEN' });
  await tamper((tables) => tables.audit.remove({ where: { seq: 2 } }));
  await expect(verify()).rejects.toThrow('event 2');
  await tamper((tables) => tables.audit.insert(original!));
  await tamper((tables) => tables.audit.remove({ where: { seq: 3 } }));
  await expect(verify()).rejects.toThrow('ends after event 2');
});

test('passwords: wrong, empty, of nobody and of a disabled user never fit', async () => {
  const { access } = await withAda();
  const { user } = (await findUser(access, 'ada'))!;
  expect(await verifyPassword(access, user, 'pw')).toBe(true);
  for (const [who, password] of [
    [user, 'x'],
    [user, ''],
    [undefined, 'pw'],
    [{ ...user, enabled: false }, 'pw'],
    [{ ...user, passwordHash: null }, ''],
  ] as const) {
    expect(await verifyPassword(access, who, password)).toBe(false);
  }
});

test('secrets are wrapped in place and wrapped anew by the next key', async () => {
  const { access } = await withAda();
  const installation = await enrolled(access);
  const row = await access.store.transaction(({ tables }) => tables.installations.find({ id: installation.id }));
  expect(kekOf(row!.currentKey!)).toBe(1);
  expect(() => access.keyring.unwrap(row!.currentKey!, 'another place')).toThrow(
    expect.objectContaining({ code: 'ERR_ACCESS_UNWRAP' }),
  );
  const both = new Map([
    [1, new Uint8Array(32).fill(1)],
    [2, new Uint8Array(32).fill(2)],
  ]);
  const renewed = { ...access, keyring: createKeyring(access.crypto, both, 2) };
  expect(await rewrapRealm(renewed)).toBeGreaterThan(0);
  expect(await rewrapRealm(renewed)).toBe(0);
  const onlyNew = { ...access, keyring: createKeyring(access.crypto, new Map([[2, new Uint8Array(32).fill(2)]]), 2) };
  expect((await keys(onlyNew, installation.id))[0]!.key).toEqual(REQUEST.sharedKey);
});

test('one realm knows nothing of another', async () => {
  const { store } = await withAda();
  const other = await scene('other', store);
  expect(await findUser(other.access, 'ada')).toBeUndefined();
  await expect(issueCode(other.access, 'ada', undefined, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_NOT_FOUND' });
});

test.each([
  ['1.2.3', '1.2.3', 0],
  ['1.10', '1.9', 1],
  ['1.2', '1.2.0', 0],
  ['1', '1.0.1', -1],
  ['x', '1', -1],
])('version %s against %s', (a, b, sign) => {
  expect(Math.sign(compareVersions(a, b))).toBe(sign);
});

const APP = {
  id: 'app',
  version: '2.1',
  build: '',
  signer: new Uint8Array(32),
  os: 'android',
  osVersion: '15',
  osPatch: '',
  model: '',
  sdk: '',
  posture: { rooted: false },
};

test.each([
  ['nothing asked', {}, undefined],
  ['the app and version', { apps: [{ id: 'app', minVersion: '2.0' }] }, undefined],
  ['an app too old', { apps: [{ id: 'app', minVersion: '2.2' }] }, 'APP_UPDATE_REQUIRED'],
  ['another app', { apps: [{ id: 'other' }] }, 'CONTEXT_DENIED'],
  ['another signer', { apps: [{ id: 'app', signers: ['ff'.repeat(32)] }] }, 'CONTEXT_DENIED'],
  ['a known fact', { posture: { rooted: false } }, undefined],
  ['a fact that differs', { posture: { rooted: true } }, 'CONTEXT_DENIED'],
  ['a fact the device does not know', { posture: { encrypted: true } }, 'CONTEXT_DENIED'],
  ['an older system', { minOsVersion: '16' }, 'CONTEXT_DENIED'],
  ['another system', { os: ['ios'] }, 'CONTEXT_DENIED'],
])('context rule: %s', (_what, rule, expected) => {
  expect(checkContext(rule, APP)).toBe(expected);
});

const UNKNOWN = { ...APP, signer: new Uint8Array(0), os: '', osVersion: '', posture: {} };

test.each([
  ['system', { os: ['android', ''] }],
  ['version of the system', { minOsVersion: '0' }],
  ['signer', { apps: [{ id: 'app', signers: ['00'.repeat(32)] }] }],
  ['posture', { posture: { rooted: false } }],
])('a %s that is left out fulfils no rule', (_what, rule) => {
  expect(checkContext(rule, UNKNOWN)).toBe('CONTEXT_DENIED');
});

test.each([
  ['10.0.0.0/8', true],
  ['fd00::/8', true],
  ['::1/128', true],
  ['10.0.0.0', false],
  ['10.0.0.0/33', false],
  ['300.0.0.0/8', false],
  ['intranet/8', false],
  ['10.0.0.0/8/8', false],
])('a network written as %s is taken: %s', async (network, taken) => {
  const { access } = await scene();
  const put = putResource(
    access,
    'r',
    { kind: 'http', authority: 'r.corp', backend: { url: 'http://x', networks: [network] } },
    BY,
  );
  if (taken) await put;
  else await expect(put).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
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

test("a realm's rule for app contexts is a right: open channels read theirs again when it changes", async () => {
  const { access } = await scene();
  const entries = async () =>
    (await access.store.transaction(({ tables }) => tables.revocations.list())).map(({ kind, subject }) => [
      kind,
      subject,
    ]);
  await changeSettings(access, { openBurst: 7 }, BY);
  expect(await entries()).toEqual([]);
  await changeSettings(access, { context: { posture: { rooted: false } } }, BY);
  expect(await entries()).toEqual([['rights', '*']]);
});
