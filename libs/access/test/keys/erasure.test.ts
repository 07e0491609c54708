import { keyOf, type SharedKey } from '@sallyport/channel';
import { expect, test } from 'vitest';
import {
  type AccessContext,
  createSession,
  disableUser,
  endProviderSessions,
  eraseSecrets,
  issueCode,
  keyCandidates,
  putDirectory,
  putUser,
  revoke,
} from '../../src/index.ts';
import { type Rows, TABLES } from '../../src/store.ts';
import { BY, directoryOf, enrolWithPassword, scene } from '../scene.ts';

/** Sessions, installations and codes that are over, with the secret columns that they still have. */
async function leftovers(access: AccessContext): Promise<string[]> {
  const { sessions, installations, codes } = await access.store.transaction(async ({ tables }) => ({
    sessions: await tables.sessions.list(),
    installations: await tables.installations.list(),
    codes: await tables.codes.list(),
  }));
  const active = new Set(installations.filter(({ status }) => status !== 'pending').map(({ id }) => id));
  return [
    ...sessions.filter(({ endedAt }) => endedAt !== null).flatMap((row) => secretsIn('sessions', row)),
    ...installations.filter(({ status }) => status === 'revoked').flatMap((row) => secretsIn('installations', row)),
    ...codes.filter(({ installationId }) => active.has(installationId ?? '')).flatMap((row) => secretsIn('codes', row)),
  ];
}

/** Not secret, or, as `endKey`, a key that ends a session and opens nothing. */
const HARMLESS = ['deviceStatic', 'rowMac', 'endKey'];

/** Byte columns of a row that are not public: whatever is added later is found as well. */
function secretsIn<Name extends 'sessions' | 'installations' | 'codes'>(name: Name, row: Rows[Name]): string[] {
  const columns = Object.entries(TABLES[name].columns as Record<string, string>);
  return columns
    .filter(([column, type]) => type === 'bytes' && !HARMLESS.includes(column))
    .filter(([column]) => (row as unknown as Record<string, unknown>)[column] !== null)
    .map(([column]) => `${name}.${column}`);
}

async function signedIn() {
  const made = await scene();
  const { access } = made;
  await putUser(access, 'ada', { password: 'pw' }, BY);
  const { code } = await issueCode(access, 'ada', undefined, BY);
  const enrolled = await enrolWithPassword(access, {
    code,
    user: 'ada',
    password: 'pw',
    deviceStatic: new Uint8Array(32).fill(1),
    signingKey: { kty: 'EC' },
    sharedKey: keyOf<SharedKey>(new Uint8Array(32).fill(9)),
    app: 'a@1',
    model: 'm',
  });
  if (enrolled.status !== 'ok') throw new Error(enrolled.code);
  const { installation } = enrolled;
  const random = new Uint8Array(32).fill(7);
  const session = await createSession(access, {
    installationId: installation.id,
    used: keyCandidates(access.store.realm, access.keyring, installation)[0]!,
    outcome: { handshakeHash: random, clientRandom: random, serverRandom: random, kemSecret: random },
    app: 'a@1',
    signIn: { directory: 'corp', delegated: '[]' },
  });
  return { ...made, installation, session: session!.row };
}

test('a session begins with secrets, and the code that led to it has none left', async () => {
  const { access, session } = await signedIn();
  expect(secretsIn('sessions', session).sort()).toEqual(['sessions.delegated', 'sessions.secret']);
  expect(await leftovers(access)).toEqual([]);
});

test.each(['session', 'installation', 'user', 'app'] as const)('a revoked %s leaves no secret behind', async (kind) => {
  const { access, session, installation } = await signedIn();
  const subjects = { session: session.id, installation: installation.id, user: session.userId, app: 'a@1' };
  await revoke(access, { requestId: 'request-1', kind, subject: subjects[kind] }, BY);
  expect(await access.store.transaction(({ tables }) => tables.sessions.count({ where: { endedAt: null } }))).toBe(0);
  expect(await leftovers(access)).toEqual([]);
});

test('a disabled user leaves no secret behind', async () => {
  const { access } = await signedIn();
  await disableUser(access, 'ada', 'request-1', BY);
  expect(await leftovers(access)).toEqual([]);
});

test('a new password and a provider that logs out leave no secret of a session behind', async () => {
  const changed = await signedIn();
  await putUser(changed.access, 'ada', { password: 'new' }, BY);
  expect(await leftovers(changed.access)).toEqual([]);
  const { access } = await signedIn();
  await putDirectory(access, 'corp', directoryOf('oidc'), BY);
  await access.store.transaction(({ tables }) => tables.sessions.update({}, { providerSession: 'sid-1' }));
  const order = { directory: 'corp', id: 'jti-1', session: 'sid-1', subject: undefined };
  expect(await endProviderSessions(access, order)).toMatchObject({ ended: 1 });
  expect(await leftovers(access)).toEqual([]);
});

test('sessions that ran out and those from before a moment are ended and erased, live ones are not', async () => {
  const { access, clock, session } = await signedIn();
  expect(await eraseSecrets(access)).toBe(0);
  clock.now = session.expiresAt + 60_000;
  // A clock that has stepped ahead must end nobody for good.
  expect(await eraseSecrets(access)).toBeLessThanOrEqual(1);
  const row = () => access.store.transaction(({ tables }) => tables.sessions.find({ id: session.id }));
  expect((await row())!.secret).not.toBeNull();
  clock.now += 3_600_000;
  await eraseSecrets(access);
  expect(await row()).toMatchObject({ secret: null, delegated: null, endReason: 'expired' });
  const other = await signedIn();
  await revoke(other.access, { requestId: 'request-1', kind: 'before', subject: 'now' }, BY);
  expect(await eraseSecrets(other.access)).toBe(1);
  expect(await leftovers(other.access)).toEqual([]);
});

test('a code that has expired is gone with its key', async () => {
  const { access, clock } = await scene();
  await putUser(access, 'ada', { password: 'pw' }, BY);
  const { id, expiresAt } = await issueCode(access, 'ada', 60_000, BY);
  clock.now = expiresAt + 3_600_001;
  expect(await eraseSecrets(access)).toBe(1);
  expect(await access.store.transaction(({ tables }) => tables.codes.find({ id }))).toBeUndefined();
});
