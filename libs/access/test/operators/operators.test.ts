import { expect, test } from 'vitest';
import {
  type AccessContext,
  admitOperator,
  breakGlassToken,
  disableUser,
  enableUser,
  endOperator,
  findOperator,
  firstOperatorToken,
  inviteOperator,
  listOperators,
  NEVER,
  type OperatorAtWork,
  putDirectory,
  redeemOperatorToken,
  renewOperator,
  sealedStore,
} from '../../src/index.ts';
import type { MemoryStore } from '../../src/store.ts';
import { BY, scene } from '../scene.ts';

const DAY = 86_400_000;

async function started(): Promise<{
  access: AccessContext;
  clock: { now: number };
  first: OperatorAtWork;
  token: string;
  store: MemoryStore;
}> {
  const { access, clock, store } = await scene();
  const oneTime = (await firstOperatorToken(access, 'n1'))!;
  const { token } = (await redeemOperatorToken(access, { token: oneTime, name: 'olga' }))!;
  return { access, clock, first: (await findOperator(access, token))!, token, store };
}

async function invited(access: AccessContext, name: string, by: OperatorAtWork): Promise<string> {
  const { token } = await inviteOperator(access, name, by, BY);
  return (await redeemOperatorToken(access, { token }))!.token;
}

async function statesOf(access: AccessContext): Promise<Record<string, string>> {
  const rows = await listOperators(access, { limit: 100 });
  return Object.fromEntries(rows.map(({ operator, state }) => [operator.name, state]));
}

/** A provider whose group `captains` makes operators, and a user of it in that group. */
async function withProvider(access: AccessContext, stage: 'active' | 'staged' = 'active'): Promise<void> {
  const settings = {
    issuer: 'https://idp.example',
    clientId: 'c',
    redirects: ['app:/x'],
    operatorGroups: ['captains'],
  };
  await putDirectory(access, 'idp', { kind: 'oidc', stage, settings }, BY);
  await access.store.transaction(async ({ tables, now }) => {
    if (await tables.users.find({ name: 'dora' })) return;
    const local = { passwordHash: null, enabled: true, outByOperator: false, outByDirectory: false, pastAccount: '' };
    const user = { id: 'u1', name: 'dora', displayName: 'Dora', directory: 'idp', createdAt: now() };
    await tables.users.insert({ ...user, ...local });
    const none = {
      externalId: '',
      dn: '',
      onlyName: null,
      version: '',
      attributes: {},
      createdAt: now(),
      changedAt: now(),
    };
    const account = { directory: 'idp', subject: 's1', userId: 'u1', login: 'dora', active: true, expiresAt: NEVER };
    await tables.identities.insert({ ...none, ...account });
    await tables.accountGroups.insert({ directory: 'idp', groupSubject: 'captains', subject: 's1' });
  });
}

const SIGN_IN = { provider: 'idp', subject: 's1', claimed: ['captains'] };

test('the invitation names the operator: another name is refused and burns nothing', async () => {
  const { access, first } = await started();
  const { token } = await inviteOperator(access, 'ben', first, BY);
  await expect(redeemOperatorToken(access, { token, name: 'owner' })).rejects.toMatchObject({
    code: 'ERR_ACCESS_INVALID',
  });
  expect(await redeemOperatorToken(access, { token })).toMatchObject({ name: 'ben' });
  expect(await redeemOperatorToken(access, { token })).toBeUndefined();
});

test('a name names one operator until that one has ended', async () => {
  const { access, clock, first } = await started();
  await expect(inviteOperator(access, 'olga', first, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  await inviteOperator(access, 'ben', first, BY);
  await expect(inviteOperator(access, 'ben', first, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  // An invitation that nobody took in time gives the name back.
  clock.now += 2 * DAY;
  const ben = await invited(access, 'ben', first);
  await endOperator(access, 'ben', { withInvited: false }, BY);
  expect(await findOperator(access, ben)).toBeUndefined();
  await invited(access, 'ben', first);
});

test('a lost answer is given again for the same id, until the credential is used', async () => {
  const { access, first } = await started();
  const { token } = await inviteOperator(access, 'ben', first, BY);
  const lost = (await redeemOperatorToken(access, { token, requestId: 'request-1' }))!;
  expect(await redeemOperatorToken(access, { token, requestId: 'request-2' })).toBeUndefined();
  const again = (await redeemOperatorToken(access, { token, requestId: 'request-1' }))!;
  expect(await findOperator(access, lost.token)).toBeUndefined();
  expect((await findOperator(access, again.token))!.operator.name).toBe('ben');
  expect(await redeemOperatorToken(access, { token, requestId: 'request-1' })).toBeUndefined();
});

test('who lost the answer to the first token gets another one at the next start; who came in closes that way', async () => {
  const { access } = await scene();
  const one = (await firstOperatorToken(access, 'n1'))!;
  const other = (await firstOperatorToken(access, 'n2'))!;
  await redeemOperatorToken(access, { token: one, name: 'olga' });
  const again = (await firstOperatorToken(access, 'n1'))!;
  const { token } = (await redeemOperatorToken(access, { token: again, name: 'olga' }))!;
  expect(await findOperator(access, token)).toBeDefined();
  expect(await firstOperatorToken(access, 'n1')).toBeUndefined();
  expect(await redeemOperatorToken(access, { token: other })).toBeUndefined();
  const rows = await listOperators(access, { limit: 100 });
  expect(rows.filter(({ state }) => state !== 'ended').map(({ state }) => state)).toEqual(['active']);
});

test('credentials that ran out are no operator: the next start prints a token again', async () => {
  const { access, clock, token } = await started();
  expect(await firstOperatorToken(access, 'n1')).toBeUndefined();
  clock.now += 31 * DAY;
  expect(await findOperator(access, token)).toBeUndefined();
  const next = (await firstOperatorToken(access, 'n1'))!;
  expect(await redeemOperatorToken(access, { token: next, name: 'olga' })).toMatchObject({ name: 'olga' });
});

test('a credential is renewed for ever, and the one before ends with the first use of the new one', async () => {
  const { access, clock, first, token } = await started();
  clock.now += 25 * DAY;
  const lost = await renewOperator(access, first);
  const next = await renewOperator(access, first);
  expect(await findOperator(access, lost.token)).toBeUndefined();
  expect(await findOperator(access, token)).toBeDefined();
  expect(await findOperator(access, next.token)).toBeDefined();
  expect(await findOperator(access, token)).toBeUndefined();
  clock.now += 29 * DAY;
  expect(await findOperator(access, next.token)).toBeDefined();
});

test('ending an operator is at once, names whom they invited, and never leaves nobody', async () => {
  const { access, first } = await started();
  const ben = (await findOperator(access, await invited(access, 'ben', first)))!;
  const cleo = await invited(access, 'cleo', ben);
  expect((await listOperators(access, { limit: 100 })).find(({ operator }) => operator.name === 'cleo')).toMatchObject({
    invitedBy: 'ben',
    state: 'active',
  });
  expect(await endOperator(access, 'ben', { withInvited: false }, BY)).toEqual({ ended: ['ben'], invited: ['cleo'] });
  expect(await findOperator(access, cleo)).toBeDefined();
  expect(await endOperator(access, 'cleo', { withInvited: true }, BY)).toEqual({ ended: ['cleo'], invited: [] });
  expect(await findOperator(access, cleo)).toBeUndefined();
  await expect(endOperator(access, 'olga', { withInvited: true }, BY)).rejects.toMatchObject({
    code: 'ERR_ACCESS_CONFLICT',
  });
  expect(await statesOf(access)).toEqual({ olga: 'active', ben: 'ended', cleo: 'ended' });
});

test('an operator by a provider makes nobody one for longer; who is disabled is out with everybody they invited', async () => {
  const { access, clock, first } = await started();
  await withProvider(access);
  const { admitted } = await admitOperator(access, SIGN_IN);
  const dora = (await findOperator(access, admitted!.token))!;
  const friend = await invited(access, 'friend', dora);
  const deeper = await invited(access, 'deeper', (await findOperator(access, friend))!);
  const [row] = (await listOperators(access, { limit: 100 })).filter(({ operator }) => operator.name === 'friend');
  expect(row!.operator.endsAt).toBe(dora.credential.expiresAt);
  await expect(renewOperator(access, dora)).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
  await disableUser(access, 'dora', 'request-0001', BY);
  for (const token of [admitted!.token, friend, deeper]) expect(await findOperator(access, token)).toBeUndefined();
  await enableUser(access, 'dora', BY);
  for (const token of [admitted!.token, friend, deeper]) expect(await findOperator(access, token)).toBeUndefined();
  expect(await statesOf(access)).toEqual({ olga: 'active', dora: 'ended', friend: 'ended', deeper: 'ended' });
  clock.now += DAY;
  expect((await findOperator(access, await invited(access, 'x1', first)))!.operator.endsAt).toBe(NEVER);
});

test('the group, the account and the provider of an operator are looked at with each use', async () => {
  const { access } = await started();
  await withProvider(access);
  const change = (work: Parameters<typeof access.store.transaction>[0]) => access.store.transaction(work);
  const group = { directory: 'idp', groupSubject: 'captains', subject: 's1' };
  const cases = [
    [
      () => change(({ tables }) => tables.accountGroups.remove({ where: group })),
      () => change(({ tables }) => tables.accountGroups.insert(group)),
    ],
    [
      () => change(({ tables }) => tables.identities.update({ where: { subject: 's1' } }, { active: false })),
      () => change(({ tables }) => tables.identities.update({ where: { subject: 's1' } }, { active: true })),
    ],
    [
      () => change(({ tables }) => tables.users.update({ where: { id: 'u1' } }, { directory: 'other' })),
      () => change(({ tables }) => tables.users.update({ where: { id: 'u1' } }, { directory: 'idp' })),
    ],
    [() => withProvider(access, 'staged'), () => withProvider(access, 'active')],
  ] as const;
  for (const [out, back] of cases) {
    const { admitted } = await admitOperator(access, SIGN_IN);
    expect(await findOperator(access, admitted!.token)).toBeDefined();
    await out();
    expect(await findOperator(access, admitted!.token)).toBeUndefined();
    expect((await admitOperator(access, SIGN_IN)).admitted).toBeUndefined();
    await back();
  }
});

test('a database writer puts nobody into the group of operators, and gives no account another person', async () => {
  const { access, store } = await started();
  await withProvider(access);
  const bare = store.in(access.store.realm);
  const seen: string[] = [];
  const sealed = { ...access, store: sealedStore(bare, access.keyring, ({ table }) => void seen.push(table)) };
  const where = { directory: 'idp', groupSubject: 'captains', subject: 's1' };
  await access.store.transaction(({ tables }) => tables.accountGroups.remove({ where }));
  expect(await admitOperator(sealed, SIGN_IN)).toMatchObject({ why: 'in no group of operators' });
  await bare.transaction(({ tables }) => tables.accountGroups.insert(where));
  await expect(admitOperator(sealed, SIGN_IN)).rejects.toMatchObject({ code: 'ERR_ACCESS_FORGED' });
  await bare.transaction(({ tables }) => tables.accountGroups.remove({ where }));
  for (const change of [{ externalId: 'x' }, { login: 'x' }, { dn: 'x' }, { attributes: { mail: 'x' } }]) {
    const before = (await bare.transaction(({ tables }) => tables.identities.find({ subject: 's1' })))!;
    await bare.transaction(({ tables }) => tables.identities.update({ where: { subject: 's1' } }, change));
    await expect(admitOperator(sealed, SIGN_IN), JSON.stringify(change)).rejects.toMatchObject({
      code: 'ERR_ACCESS_FORGED',
    });
    const { externalId, login, dn, attributes } = before;
    const back = { externalId, login, dn, attributes };
    await bare.transaction(({ tables }) => tables.identities.update({ where: { subject: 's1' } }, back));
  }
  expect(new Set(seen)).toEqual(new Set(['accountGroups', 'identities']));
});

test('an operator who was ended while a request was under way leaves nobody behind', async () => {
  const { access, first } = await started();
  const ben = (await findOperator(access, await invited(access, 'ben', first)))!;
  await endOperator(access, 'ben', { withInvited: true }, BY);
  await expect(inviteOperator(access, 'eve', ben, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  await expect(renewOperator(access, ben)).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  expect(Object.keys(await statesOf(access))).not.toContain('eve');
});

test('a credential that was replaced while a request was under way makes no other one', async () => {
  const { access, first } = await started();
  const { token } = await renewOperator(access, first);
  expect(await findOperator(access, token)).toBeDefined();
  await expect(renewOperator(access, first)).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
});

test('who is in the group of operators and has no user is told what is missing, a stranger nothing', async () => {
  const { access } = await started();
  await withProvider(access);
  const member = { provider: 'idp', subject: 'unknown', claimed: ['captains'] };
  expect(await admitOperator(access, member)).toMatchObject({
    why: 'no user has this account',
    hint: expect.stringContaining('enrol a device'),
  });
  const stranger = await admitOperator(access, { ...member, claimed: ['others'] });
  expect(stranger).toMatchObject({ why: 'in no group of operators', hint: undefined });
});

test('a user who is an operator already has another name as one by a provider', async () => {
  const { access, first } = await started();
  await withProvider(access);
  await invited(access, 'dora', first);
  expect((await admitOperator(access, SIGN_IN)).admitted).toMatchObject({ name: 'dora@idp' });
});

test('no name that somebody was invited under is that of an operator by a provider', async () => {
  const { access, first } = await started();
  await withProvider(access);
  for (const name of ['dora', 'dora@idp']) await invited(access, name, first);
  expect((await admitOperator(access, SIGN_IN)).admitted).toMatchObject({ name: 'dora-u1' });
});

test('the glass can be broken while others are in, and without any; both are on record', async () => {
  const { access, clock } = await started();
  for (const days of [0, 40]) {
    clock.now += days * DAY;
    const { token } = await breakGlassToken(access, `rescue-${days}`, { actor: 'break-glass', reason: 'all lost' });
    const { token: credential } = (await redeemOperatorToken(access, { token }))!;
    expect(await findOperator(access, credential)).toBeDefined();
  }
  const events = await access.store.transaction(({ tables }) =>
    tables.audit.list({ where: { action: 'operator.break-glass' } }),
  );
  expect(events.map(({ subject, reason }) => [subject, reason])).toEqual([
    ['rescue-0', 'all lost'],
    ['rescue-40', 'all lost'],
  ]);
});

test('every change of operators is in the audit log with a reason', async () => {
  const { access, first } = await started();
  await invited(access, 'ben', first);
  await renewOperator(access, first);
  await endOperator(access, 'ben', { withInvited: false }, BY);
  const rows = await access.store.transaction(({ tables }) => tables.audit.list());
  const changes = rows.filter(({ action }) => action.startsWith('operator.'));
  expect(changes.map(({ action }) => action)).toEqual([
    'operator.create',
    'operator.invite',
    'operator.create',
    'operator.renew',
    'operator.end',
  ]);
  expect(changes.every(({ reason }) => reason.length >= 3)).toBe(true);
});
