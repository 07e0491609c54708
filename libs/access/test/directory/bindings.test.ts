import { keyOf, type SharedKey } from '@sallyport/channel';
import { expect, test } from 'vitest';
import {
  type AccessContext,
  type CredentialCheck,
  confirmBinding,
  enrol,
  issueCode,
  listBindings,
  putDirectory,
  putUser,
  refuseBinding,
  removeUser,
  settleAccount,
  type UserRow,
  whoSignedIn,
} from '../../src/index.ts';
import { BY, scene } from '../scene.ts';

async function provider(): Promise<AccessContext> {
  const { access } = await scene();
  const settings = { issuer: 'https://idp.example', clientId: 'c', redirects: ['app:/x'] };
  await putDirectory(access, 'idp', { kind: 'oidc', stage: 'active', settings }, BY);
  return access;
}

async function add(access: AccessContext, name: string, account?: string): Promise<UserRow> {
  const named = account === undefined ? {} : { account };
  return (await putUser(access, name, { directory: 'idp', displayName: name, ...named }, BY)).user;
}

const claims = (over: object = {}) => ({ directory: 'idp', subject: 's-1', login: 'x', email: undefined, ...over });

/** What becomes of an account whose user shows an activation code, or of an enrolled device's. */
const claim = async (access: AccessContext, user: UserRow, made: ReturnType<typeof claims>, withCode = true) =>
  (await settleAccount(access, user, made, { withCode })).kind;

test.each([
  ['her login is her name', undefined, { login: 'Grace' }, 'free'],
  ['her verified address is her name', undefined, { email: 'grace' }, 'free'],
  ['her id is her name', undefined, { subject: 'grace' }, 'free'],
  ['somebody else has her code', undefined, { login: 'mallory', email: 'mallory@corp.example' }, 'waits'],
  ['only the part before the @ is hers', undefined, { login: 'grace@elsewhere.example' }, 'waits'],
  ['the officer named her login', 'Grace@corp.example', { login: 'grace@corp.example' }, 'free'],
  ['the officer named her address', 'g.hopper@corp.example', { email: 'g.hopper@corp.example' }, 'free'],
  ['the officer named her id', 's-1', {}, 'free'],
  ['the officer named another one, whatever her name is', 'g.hopper', { login: 'grace' }, 'waits'],
])('an account is bound to a user when %s', async (_, account, over, state) => {
  const access = await provider();
  expect(await claim(access, await add(access, 'grace', account), claims(over))).toBe(state);
});

test('a device that is enrolled shows no code: its account waits for an officer, whatever its claims say', async () => {
  const access = await provider();
  const grace = await add(access, 'grace');
  expect(await claim(access, grace, claims({ login: 'grace' }), false)).toBe('waits');
  expect(await listBindings(access, { limit: 10 })).toMatchObject([{ user: 'grace', binding: { login: 'grace' } }]);
});

test('waiting for an officer costs no try of the code, and a dead code is said to be dead', async () => {
  const access = await provider();
  await add(access, 'grace');
  const { id } = await issueCode(access, 'grace', 60_000, BY);
  const tryWith = async (check: CredentialCheck) => {
    const request = {
      code: id,
      user: 'grace',
      deviceStatic: new Uint8Array(32),
      signingKey: {},
      app: 'a@1',
      model: '',
    };
    const sharedKey = keyOf<SharedKey>(new Uint8Array(32).fill(1));
    const result = await enrol(access, { ...request, sharedKey, verify: async () => check });
    return result.status === 'ok' ? 'ok' : result.code;
  };
  const waits = { fit: false, undecided: true, why: 'an officer must confirm it' };
  for (let i = 0; i < 7; i++) expect(await tryWith(waits)).toBe('CONFIRMATION_NEEDED');
  for (let i = 0; i < 4; i++) expect(await tryWith({ fit: false, why: 'wrong' })).toBe('CREDENTIALS_INVALID');
  expect(await tryWith(waits)).toBe('CONFIRMATION_NEEDED');
  expect(await tryWith({ fit: false, why: 'wrong' })).toBe('CREDENTIALS_INVALID');
  expect(await tryWith(waits)).toBe('CODE_INVALID');
  expect(await tryWith({ fit: true, why: '' })).toBe('CODE_INVALID');
});

test('an account that does not name the user waits for an officer, who confirms it', async () => {
  const access = await provider();
  const grace = await add(access, 'grace');
  for (let i = 0; i < 3; i++) expect(await claim(access, grace, claims({ login: 'g.hopper' }))).toBe('waits');
  const [waiting, ...others] = await listBindings(access, { limit: 10 });
  expect(others).toEqual([]);
  expect(waiting).toMatchObject({ user: 'grace', binding: { login: 'g.hopper', subject: 's-1' } });
  await confirmBinding(access, waiting!.binding.id, { actor: 'olga', reason: 'asked her by phone' });
  const who = await access.store.transaction(async (transaction) =>
    whoSignedIn(transaction, await transaction.tables.directories.find({ name: 'idp' }), 's-1'),
  );
  expect(who).toMatchObject({ kind: 'user', user: { name: 'grace' } });
  expect(await listBindings(access, { limit: 10 })).toEqual([]);
  // Bound by now in another way, and one more officer says so: that is on record as well.
  await access.store.transaction(({ tables }) => tables.bindings.insert(waiting!.binding));
  await confirmBinding(access, waiting!.binding.id, { actor: 'oleg', reason: 'asked her, too' });
  expect(await listBindings(access, { limit: 10 })).toEqual([]);
  const events = await access.store.transaction(({ tables }) => tables.audit.list());
  expect(events.map(({ actor, action, reason }) => [actor, action, reason])).toEqual(
    expect.arrayContaining([
      ['grace', 'identity.ask', 'no claim of the account names the user'],
      ['olga', 'identity.bind', 'asked her by phone'],
      ['oleg', 'identity.bind', 'asked her, too'],
    ]),
  );
});

test('an account that an officer refused is not asked for again, and another one may be', async () => {
  const access = await provider();
  const grace = await add(access, 'grace');
  await claim(access, grace, claims());
  const [waiting] = await listBindings(access, { limit: 10 });
  await refuseBinding(access, waiting!.binding.id, BY);
  expect(await claim(access, grace, claims())).toBe('refused');
  expect(await listBindings(access, { limit: 10 })).toEqual([]);
  await expect(confirmBinding(access, waiting!.binding.id, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_NOT_FOUND' });
  expect(await claim(access, grace, claims({ subject: 's-2' }))).toBe('waits');
});

test('an account is its user’s and nobody else’s, and theirs alone in a directory that does not push its accounts', async () => {
  const access = await provider();
  const [grace, ada, local] = [await add(access, 'grace'), await add(access, 'ada'), 'local'];
  await claim(access, grace, claims());
  const [waiting] = await listBindings(access, { limit: 10 });
  await confirmBinding(access, waiting!.binding.id, BY);
  expect(await claim(access, grace, claims())).toBe('own');
  expect(await claim(access, ada, claims({ login: 'ada' }))).toBe('refused');
  // She has one there already.
  expect(await claim(access, grace, claims({ subject: 'grace' }))).toBe('refused');
  const { user } = await putUser(access, local, { password: 'long enough' }, BY);
  expect(await claim(access, user, claims({ subject: 's-9', login: local }))).toBe('refused');
  expect(await claim(access, ada, claims({ directory: 'none', subject: 'ada' }))).toBe('refused');
  const settings = { issuer: 'https://idp.example', clientId: 'c', redirects: ['app:/x'] };
  await putDirectory(access, 'corp', { kind: 'scim', stage: 'active', settings: {} }, BY);
  const pushed = { ...settings, accounts: 'corp' };
  await putDirectory(access, 'hub', { kind: 'oidc', stage: 'active', settings: pushed }, BY);
  expect(await claim(access, ada, claims({ directory: 'hub', subject: 'ada' }))).toBe('refused');
});

test('what waits for one user is bounded, belongs to them and goes with them', async () => {
  const access = await provider();
  const grace = await add(access, 'grace');
  for (let i = 0; i < 20; i++) await claim(access, grace, claims({ subject: `s-${i}` }));
  expect((await listBindings(access, { limit: 100 })).length).toBeLessThanOrEqual(5);
  await removeUser(access, 'grace', 'request-0001', BY);
  expect(await listBindings(access, { limit: 100 })).toEqual([]);
});

test('an account that has become another user’s meanwhile is not bound twice', async () => {
  const access = await provider();
  const [grace, ada] = [await add(access, 'grace'), await add(access, 'ada')];
  await claim(access, grace, claims());
  await claim(access, ada, claims());
  const [one, two] = await listBindings(access, { limit: 10 });
  await confirmBinding(access, one!.binding.id, BY);
  await expect(confirmBinding(access, two!.binding.id, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
});
