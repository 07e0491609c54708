import { expect, test } from 'vitest';
import {
  type AccessContext,
  createSession,
  disableUser,
  enableUser,
  issueCode,
  keyCandidates,
  putUser,
  type RealmStore,
  revoke,
} from '../../src/index.ts';
import { findLastingSessions, findLiveSessions } from '../../src/session/sessions.ts';
import { TABLE_NAMES, type TableName } from '../../src/store.ts';
import { BY, enrolWithPassword, scene } from '../scene.ts';

const RANDOM = new Uint8Array(32).fill(7);
const OUTCOME = { handshakeHash: RANDOM, clientRandom: RANDOM, serverRandom: RANDOM, kemSecret: RANDOM };

async function enrolled(access: AccessContext, seed = 1): Promise<string> {
  const { code } = await issueCode(access, 'ada', undefined, BY);
  const keys = { deviceStatic: new Uint8Array(32).fill(seed), signingKey: { kty: 'EC', x: String(seed) } };
  const request = { code, user: 'ada', password: 'pw', ...keys, sharedKey: new Uint8Array(32).fill(9) as never };
  const result = await enrolWithPassword(access, { ...request, app: 'a@1', model: 'm' });
  if (result.status !== 'ok') throw new Error(result.code);
  return result.installation.id;
}

async function login(access: AccessContext, id: string): Promise<string | undefined> {
  const row = await access.store.transaction(({ tables }) => tables.installations.find({ id }));
  const [used] = keyCandidates(access.store.realm, access.keyring, row!);
  const made = used && (await createSession(access, { installationId: id, used, outcome: OUTCOME, app: 'a@1' }));
  return made?.row.id;
}

function lives(access: AccessContext, sid: string): Promise<boolean> {
  return access.store.transaction(async (transaction) => {
    const live = await findLiveSessions(transaction, await findLastingSessions(transaction, { sids: [sid] }));
    return live.has(sid);
  });
}

const LOG: readonly TableName[] = ['realms', 'revocations', 'audit', 'auditHeads'];

/** Somebody who can write to the database: keeps rows as they are, with their MACs, and brings them back later. */
async function copyOf(store: RealmStore): Promise<() => Promise<void>> {
  const names = TABLE_NAMES.filter((name) => !LOG.includes(name));
  const kept = await store.transaction(async ({ tables }) => {
    const all: [TableName, readonly object[]][] = [];
    for (const name of names) all.push([name, await tables[name].list()]);
    return all;
  });
  return () =>
    store.transaction(async ({ tables }) => {
      for (const [name, rows] of kept) {
        await tables[name].remove({});
        await tables[name].insertEach(rows as never);
      }
    });
}

const ENDS: [
  string,
  (access: AccessContext, of: { sid: string; id: string; userId: string }) => Promise<unknown>,
  boolean,
][] = [
  [
    'a session that was revoked',
    (access, { sid }) => revoke(access, { requestId: 'request-1', kind: 'session', subject: sid }, BY),
    true,
  ],
  [
    'an installation that was revoked',
    (access, { id }) => revoke(access, { requestId: 'request-1', kind: 'installation', subject: id }, BY),
    false,
  ],
  ['credentials that were replaced', (access) => putUser(access, 'ada', { password: 'new one' }, BY), true],
  ['a user who was disabled', (access) => disableUser(access, 'ada', 'request-1', BY), false],
  [
    'a user who was revoked',
    (access, { userId }) => revoke(access, { requestId: 'request-1', kind: 'user', subject: userId }, BY),
    false,
  ],
];

test.each(ENDS)('rows of %s that are brought back as they were revive nothing', async (_, end, signsInAgain) => {
  const { access, store, clock } = await scene();
  const { user } = await putUser(access, 'ada', { password: 'pw' }, BY);
  const id = await enrolled(access);
  const sid = (await login(access, id))!;
  expect(await lives(access, sid)).toBe(true);
  const bringBack = await copyOf(store.in('main'));
  await end(access, { sid, id, userId: user.id });
  expect(await lives(access, sid)).toBe(false);
  clock.now += 1_000;
  await bringBack();
  expect(await lives(access, sid)).toBe(false);
  // A device whose session alone was ended may sign in again.
  const again = await login(access, id);
  expect(again !== undefined).toBe(signsInAgain);
  if (again !== undefined) expect(await lives(access, again)).toBe(true);
});

test('who is let in again is so, with a new device, even while the clock of the store is behind', async () => {
  const { access, store, clock } = await scene();
  await putUser(access, 'ada', { password: 'pw' }, BY);
  const old = await enrolled(access);
  const oldSid = (await login(access, old))!;
  const bringBack = await copyOf(store.in('main'));
  await disableUser(access, 'ada', 'request-1', BY);
  clock.now -= 60_000;
  await enableUser(access, 'ada', BY);
  const sid = (await login(access, await enrolled(access, 2)))!;
  expect(await lives(access, sid)).toBe(true);
  await bringBack();
  expect(await login(access, old)).toBeUndefined();
  expect(await lives(access, oldSid)).toBe(false);
});
