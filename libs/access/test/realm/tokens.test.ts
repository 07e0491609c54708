import { expect, test } from 'vitest';
import {
  createKeyring,
  findDirectoryByToken,
  findOperator,
  firstOperatorToken,
  isOurCode,
  issueCode,
  issueDirectoryToken,
  issueJoinToken,
  putDirectory,
  putUser,
  type RealmStore,
  redeemJoinToken,
  redeemOperatorToken,
} from '../../src/index.ts';
import { formatTypable } from '../../src/realm/ids.ts';
import { isOurToken, makeToken } from '../../src/realm/tokens.ts';
import { BY, scene } from '../scene.ts';

/** The store, and how often it was asked. */
function counted(store: RealmStore): { store: RealmStore; asked: () => number } {
  let count = 0;
  const transaction: RealmStore['transaction'] = (work) => {
    count += 1;
    return store.transaction(work);
  };
  return { store: { realm: store.realm, transaction }, asked: () => count };
}

test('a token is of one kind and one realm, and no byte of it may change', async () => {
  const { access } = await scene();
  const other = (await scene('other')).access;
  const token = makeToken(access, 'spo');
  expect(isOurToken(access, 'spo', token)).toBe(true);
  expect(isOurToken(access, 'sps', token)).toBe(false);
  expect(isOurToken(access, 'sps', token.replace('spo', 'sps'))).toBe(false);
  expect(isOurToken(other, 'spo', token)).toBe(false);
  for (let at = 4; at < token.length; at++) {
    const changed = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
    expect(isOurToken(access, 'spo', changed), changed).toBe(false);
  }
  for (const junk of ['', 'spo_', 'spo_%', 'spo_AAAA', `spo_${'A'.repeat(58)}`, `${token}A`])
    expect(isOurToken(access, 'spo', junk), junk).toBe(false);
});

test('made-up tokens of every kind never reach the store; real ones do', async () => {
  const { access } = await scene();
  await putDirectory(access, 'scim', { kind: 'scim', stage: 'active', settings: {} }, BY);
  const oneTime = (await firstOperatorToken(access, 'n1'))!;
  const scim = await issueDirectoryToken(access, 'scim', { endOthers: false }, BY);
  const join = await issueJoinToken(access, { name: 'p1', site: 'here' }, BY);
  const { store, asked } = counted(access.store);
  const watched = { ...access, store };
  const junk = `_${'x'.repeat(58)}`;
  expect(await findOperator(watched, `spo${junk}`)).toBeUndefined();
  expect(await redeemOperatorToken(watched, { token: `sp1${junk}`, name: 'olga' })).toBeUndefined();
  expect(await findDirectoryByToken(watched, `sps${junk}`)).toBeUndefined();
  expect(await redeemJoinToken(watched, { id: join.id, secret: `spj${junk}` }, 'f0')).toBeUndefined();
  expect(asked()).toBe(0);
  const { token } = (await redeemOperatorToken(watched, { token: oneTime, name: 'olga' }))!;
  expect(await findOperator(watched, token)).toBeDefined();
  expect(await findDirectoryByToken(watched, scim.token)).toBeDefined();
  expect(await redeemJoinToken(watched, join, 'f0')).toMatchObject({ name: 'p1' });
  // A join token is looked for before a change begins in the name of its Proxy.
  expect(asked()).toBe(5);
});

test('the id of an activation code shows that it is ours, in its realm and after a new key too; made-up ones hardly ever do', async () => {
  const { access } = await scene();
  const other = (await scene('other')).access;
  const keks = new Map([1, 2].map((id) => [id, access.crypto.randomBytes(32)]));
  const before = { ...access, keyring: createKeyring(access.crypto, keks, 1) };
  const after = { ...access, keyring: createKeyring(access.crypto, keks, 2) };
  await putUser(access, 'ada', { password: 'long enough' }, BY);
  const ids = await Promise.all(
    Array.from({ length: 50 }, async () => (await issueCode(before, 'ada', undefined, BY)).id),
  );
  expect(new Set(ids).size).toBe(50);
  for (const id of ids) {
    expect(id).toMatch(/^[0-9a-z]{8}$/);
    expect(isOurCode(before, id)).toBe(true);
    expect(isOurCode(after, id)).toBe(true);
  }
  expect(ids.filter((id) => isOurCode({ ...other, keyring: before.keyring }, id)).length).toBeLessThan(3);
  const madeUp = Array.from({ length: 2_000 }, () => formatTypable(access.crypto.randomBytes(8), 8));
  expect(madeUp.filter((id) => isOurCode(before, id)).length).toBeLessThan(5);
  for (const junk of ['', 'a', 'abcde', 'abcdefghijk']) expect(isOurCode(before, junk)).toBe(false);
});
