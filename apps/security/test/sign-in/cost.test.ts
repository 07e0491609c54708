import { type AccessContext, createKeyring, issueCode, putUser, type RealmStore, sealedStore } from '@sallyport/access';
import { MemoryStore, type Tables, type Transaction } from '@sallyport/access/store';
import { nodeCrypto } from '@sallyport/channel/node';
import { expect, test } from 'vitest';
import { createPasswordHasher } from '../../src/keys/passwords.ts';
import { handshakesOf, scene } from '../scene.ts';
import { TestDevice } from './device.ts';

const BY = { actor: 'olga', reason: 'unit test' };
const CREDENTIALS = { password: { user: 'ada', secret: 'long enough' } };

/** What a database is asked for, transaction by transaction: each is a round trip, and a beginning and an end. */
type Asked = string[][];

/** A store that notes what it is asked for. */
function watched(store: RealmStore, asked: Asked): RealmStore {
  return {
    realm: store.realm,
    transaction(work, urgency) {
      const statements: string[] = [];
      asked.push(statements);
      return store.transaction((transaction) => work(noting(transaction, statements)), urgency);
    },
  };
}

function noting({ tables, now }: Transaction, statements: string[]): Transaction {
  const noted = Object.entries(tables).map(([name, table]) => {
    const verbs = Object.entries(table as object as Record<string, (...input: unknown[]) => unknown>);
    const noting = verbs.map(([verb, work]) => [
      verb,
      (...input: unknown[]) => {
        statements.push(`${name}.${verb}`);
        return work.apply(table, input);
      },
    ]);
    return [name, Object.fromEntries(noting)];
  });
  return { now, tables: Object.fromEntries(noted) as Tables };
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
  return { login, asked };
}

test('a login is two transactions: what it goes by is read, and then the session is made under locks', async () => {
  const { login } = await enrolled();
  await login();
  expect(await login()).toEqual([
    ['installations.find', 'users.find', 'factors.find', 'realms.find'],
    [
      ...['realms.find', 'installations.find', 'users.find', 'revocations.list', 'factors.find'],
      ...['installations.update', 'sessions.count', 'sessions.insert'],
      ...['auditHeads.find', 'audit.insert', 'auditHeads.update'],
    ],
  ]);
});

test('sessions that make way for a newer one do so in one transaction, however many there are', async () => {
  const { login, asked } = await enrolled();
  for (let i = 0; i < 3; i++) await login();
  // Beside the answer, which nobody should wait for longer.
  await expect.poll(() => asked[2]?.at(-1)).toBe('auditHeads.update');
  expect(asked).toHaveLength(3);
  expect(asked[2]!.filter((statement) => statement.startsWith('realms.'))).toEqual([
    'realms.find',
    'realms.find',
    'realms.update',
  ]);
});
