import { setImmediate } from 'node:timers/promises';
import { type AccessContext, createKeyring, issueCode, putUser, type RealmStore, sealedStore } from '@sallyport/access';
import { MemoryStore, type Tables, type Transaction } from '@sallyport/access/store';
import { nodeCrypto } from '@sallyport/channel/node';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createPasswordHasher } from '../../src/keys/passwords.ts';
import { handshakesOf, scene } from '../scene.ts';
import { TestDevice } from './device.ts';

// However slow the machine is: what a node gathers for a moment does not come in between.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout'] }));
afterEach(() => void vi.useRealTimers());

const BY = { actor: 'olga', reason: 'unit test' };
const CREDENTIALS = { password: { user: 'ada', secret: 'long enough' } };

/** What a database is asked for, transaction by transaction; each list is what is asked at once: one round trip. */
type Asked = string[][][];

/** A store that notes what it is asked for. */
function watched(store: RealmStore, asked: Asked): RealmStore {
  return {
    realm: store.realm,
    transaction(work, urgency) {
      const trips: string[][] = [];
      asked.push(trips);
      return store.transaction((transaction) => work(noting(transaction, trips)), urgency);
    },
  };
}

function noting({ tables, ...rest }: Transaction, trips: string[][]): Transaction {
  let open = 0;
  const noted = Object.entries(tables).map(([name, table]) => {
    const verbs = Object.entries(table as object as Record<string, (...input: unknown[]) => Promise<unknown>>);
    const noting = verbs.map(([verb, work]) => [
      verb,
      async (...input: unknown[]) => {
        if (open === 0) trips.push([]);
        open += 1;
        trips.at(-1)!.push(`${name}.${verb}`);
        try {
          // In a turn of its own, as a database answers.
          await setImmediate();
          return await work.apply(table, input);
        } finally {
          open -= 1;
        }
      },
    ]);
    return [name, Object.fromEntries(noting)];
  });
  return { ...rest, tables: Object.fromEntries(noted) as Tables };
}

/** A device of a user with a password, and what the database is asked for while it signs in. */
async function enrolled() {
  const clock = { now: Date.now() };
  const asked: Asked = [];
  const crypto = nodeCrypto();
  const keyring = createKeyring(crypto, new Map([[1, crypto.randomBytes(32)]]), 1);
  const store = sealedStore(watched(new MemoryStore(() => clock.now).in('main'), asked), keyring, () => undefined);
  const access: AccessContext = { store, crypto, keyring, passwords: createPasswordHasher() };
  const { context } = await scene({ access, clock });
  await putUser(access, 'ada', { password: 'long enough' }, BY);
  const { code } = await issueCode(access, 'ada', undefined, BY);
  const device = await TestDevice.create({ handshakes: handshakesOf(context), keys: context.liveKeys.current });
  const answer = await device.enrol(code, CREDENTIALS);
  expect(typeof answer === 'string' ? answer : answer.text('status')).toBe('ok');
  const login = async (): Promise<Asked> => {
    clock.now += 1_000;
    asked.length = 0;
    const answered = await device.login(CREDENTIALS);
    expect(typeof answered === 'string' ? answered : answered.text('status')).toBe('ok');
    return asked;
  };
  return { login, asked, replaced: context.replaced };
}

test('a login is two transactions of few round trips: what it goes by is read, then the session is made under locks', async () => {
  const { login } = await enrolled();
  await login();
  expect((await login()).slice(0, 2)).toEqual([
    [
      ['realms.find', 'installations.find'],
      ['users.find', 'factors.find'],
    ],
    [
      ['realms.find', 'installations.find'],
      ['users.find', 'revocations.list', 'factors.find'],
      ['installations.update', 'sessions.insert', 'auditHeads.find'],
      ['audit.insertEach', 'auditHeads.update'],
    ],
  ]);
});

test('sessions that make way for newer ones do so in one transaction, however many there are and whosesoever', async () => {
  const { login, replaced, asked } = await enrolled();
  for (let i = 0; i < 3; i++) await login();
  await replaced.stop();
  expect(asked).toHaveLength(3);
  expect(asked[2]).toEqual([
    ['realms.find', 'sessions.list'],
    ['realms.find'],
    ['sessions.list'],
    ['users.list', 'revocations.list'],
    ['revocations.insertEach', 'realms.update', 'sessions.update', 'auditHeads.find'],
    ['audit.insertEach', 'auditHeads.update'],
  ]);
});
