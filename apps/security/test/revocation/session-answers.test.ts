import { createHash } from 'node:crypto';
import { newSessionId, PURPOSES, type PublicJwk, putUser, type RealmStore, revoke } from '@sallyport/access';
import {
  decodeHint,
  decodeSessionTold,
  deriveEndKey,
  encodeSessionAsk,
  encodeSessionEnd,
  formatHex,
  HINT_CODES,
  MESSAGE_TYPES,
} from '@sallyport/channel';
import { expect, test } from 'vitest';
import { sampleSession } from '../../../../libs/access/test/sample-session.ts';
import { SessionAnswers } from '../../src/revocation/session-end.ts';
import { scene } from '../scene.ts';

const BY = { actor: 'olga', reason: 'unit test' };
const OFFICE = '203.0.113.9';
const HOUR_MS = 3_600_000;

/** Answers of a node whose budget of an address is five, and how often it looked into its store. */
async function office() {
  const { context, clock } = await scene();
  const { access } = context;
  await putUser(access, 'ada', { password: 'long enough' }, BY);
  let looks = 0;
  const transaction: RealmStore['transaction'] = (work, urgency) => {
    looks += 1;
    return access.store.transaction(work, urgency);
  };
  const counted = { ...access, store: { realm: access.store.realm, transaction } };
  const answers = new SessionAnswers({ ...context, access: counted });
  const keyOf = (sid: Uint8Array) => deriveEndKey(access.crypto, createHash('sha256').update(sid).digest());
  await access.store.transaction(async ({ tables, now }) => {
    const userId = (await tables.users.list())[0]!.id;
    const keys = { currentKey: null, nextKey: null, previousKey: null };
    const times = { rotatedAt: now(), createdAt: now(), lastSeenAt: null };
    await tables.installations.insert({
      ...{ id: 'i1', userId, deviceStatic: new Uint8Array(32), signingKey: {} as PublicJwk, status: 'active' },
      ...{ generation: 1, app: 'app@1', model: 'm', resumeId: null, ...keys, ...times },
    });
  });
  const signIn = async (sid = newSessionId(access)): Promise<Uint8Array> => {
    const id = formatHex(sid);
    await access.store.transaction(async ({ tables, now }) => {
      const userId = (await tables.users.list())[0]!.id;
      const endKey = access.keyring.wrap(keyOf(sid), PURPOSES.sessionEnd(access.store.realm, id));
      const times = { createdAt: now(), expiresAt: now() + HOUR_MS };
      await tables.sessions.insert(sampleSession(id, { installationId: 'i1', userId, endKey, ...times }));
    });
    return sid;
  };
  const ask = (sid: Uint8Array, from = OFFICE) =>
    answers.answer(encodeSessionAsk(access.crypto, keyOf(sid), sid, access.crypto.randomBytes(16)), from);
  const end = (sid: Uint8Array, from = OFFICE) =>
    answers.answer(encodeSessionEnd(access.crypto, MESSAGE_TYPES.END, keyOf(sid), sid), from);
  const madeUp = () => ask(access.crypto.randomBytes(16));
  return { access, clock, signIn, ask, end, madeUp, looks: () => looks };
}

const hintOf = (answer: Uint8Array): number | undefined =>
  answer[0] === MESSAGE_TYPES.HINT ? HINT_CODES[decodeHint(answer).code] : undefined;

test('a thousand devices behind one address hear at once that everything was revoked, beside a stranger there', async () => {
  const { access, clock, signIn, ask, madeUp } = await office();
  const sids: Uint8Array[] = [];
  for (let i = 0; i < 1_000; i++) sids.push(await signIn());
  clock.now += 1;
  await revoke(access, { requestId: 'all', kind: 'before', subject: 'now' }, BY);
  for (let i = 0; i < 20; i++) await madeUp();
  const told = await Promise.all(sids.map((sid) => ask(sid)));
  expect(told.map((answer) => answer[0] === MESSAGE_TYPES.TOLD && decodeSessionTold(answer).standing)).toEqual(
    sids.map(() => 'all'),
  );
});

test('made-up sessions cost their address a look each, and none beyond its budget', async () => {
  const { madeUp, looks } = await office();
  const before = looks();
  const hints = [];
  for (let i = 0; i < 50; i++) hints.push(hintOf(await madeUp()));
  expect(hints.filter((hint) => hint === HINT_CODES.SESSION_UNKNOWN)).toHaveLength(5);
  expect(hints.filter((hint) => hint === HINT_CODES.RETRY_LATER)).toHaveLength(45);
  expect(looks() - before).toBe(5);
});

test('a session that asks on and on has a budget of its own, then that of its address; others are no worse for it', async () => {
  const { signIn, ask, clock, looks } = await office();
  const [busy, calm] = [await signIn(), await signIn()];
  const before = looks();
  const answers = [];
  for (let i = 0; i < 60; i++) answers.push((await ask(busy))[0]);
  expect(answers.filter((type) => type === MESSAGE_TYPES.TOLD)).toHaveLength(15);
  expect(looks() - before).toBe(15);
  expect((await ask(calm))[0]).toBe(MESSAGE_TYPES.TOLD);
  expect((await ask(busy, '198.51.100.1'))[0]).toBe(MESSAGE_TYPES.TOLD);
  clock.now += 60_000;
  expect((await ask(busy))[0]).toBe(MESSAGE_TYPES.TOLD);
});

test('ends of a whole office are heard at once, and sessions with older ids go by their address', async () => {
  const { access, signIn, end } = await office();
  const sids = await Promise.all(Array.from({ length: 40 }, () => signIn()));
  const ended = await Promise.all(sids.map((sid) => end(sid)));
  expect(ended.every((answer) => answer[0] === MESSAGE_TYPES.ENDED)).toBe(true);
  const older = await Promise.all(Array.from({ length: 8 }, () => signIn(access.crypto.randomBytes(16))));
  const answers = await Promise.all(older.map((sid) => end(sid)));
  expect(answers.filter((answer) => answer[0] === MESSAGE_TYPES.ENDED)).toHaveLength(5);
  expect(answers.map(hintOf).filter((hint) => hint === HINT_CODES.RETRY_LATER)).toHaveLength(3);
});
