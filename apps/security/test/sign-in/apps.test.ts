import { randomUUID } from 'node:crypto';
import {
  type AccessContext,
  appVersions,
  changeSettings,
  issueCode,
  listAudit,
  proposeRelease,
  putApp,
  putGroup,
  putPolicy,
  putResource,
  putUser,
  removeApp,
  revoke,
} from '@sallyport/access';
import { type AppContext, UPDATE_AUTHORITY } from '@sallyport/channel';
import type { PackageView } from '@sallyport/security-api';
import { expect, test } from 'vitest';
import { handshakesOf, scene } from '../scene.ts';
import { APP, TestDevice } from './device.ts';

const BY = { actor: 'olga', reason: 'test' };
const CRED = { password: { user: 'ada', secret: 'long enough' } };
/** The signer that the devices here say they have. */
const SIGNER = '00'.repeat(32);

async function phone() {
  const made = await scene();
  const { access } = made.context;
  await putUser(access, 'ada', { password: 'long enough' }, BY);
  const gateway = { handshakes: handshakesOf(made.context), keys: made.context.keys };
  let device: TestDevice;
  const said = (answer: Awaited<ReturnType<TestDevice['login']>>): string => {
    if (typeof answer === 'string') return answer;
    return answer.text('status') === 'refused' ? answer.text('code') : answer.text('status');
  };
  const enrol = async (): Promise<string> => {
    device = await TestDevice.create(gateway);
    return said(await device.enrol((await issueCode(access, 'ada', undefined, BY)).code, CRED));
  };
  const login = async (over: Partial<AppContext> = {}): Promise<string> =>
    said(await device.login(CRED, { ...APP, ...over }));
  const isOld = async (): Promise<boolean> => {
    const answer = await device.login(CRED);
    return typeof answer !== 'string' && answer.flag('update_required') === true;
  };
  const reason = async (): Promise<string> =>
    (await access.store.transaction((transaction) => listAudit(transaction, 1)))[0]!.reason;
  const cause = async (over: Partial<AppContext>): Promise<string | undefined> => {
    const answer = await device.login(CRED, { ...APP, ...over });
    return typeof answer === 'string' ? answer : answer.optionalText('cause');
  };
  return { access, enrol, login, isOld, reason, cause };
}

test('a device of an app that is not registered neither enrols nor signs in', async () => {
  const { access, enrol, login, reason } = await phone();
  await removeApp(access, 'a', BY);
  expect(await enrol()).toBe('CONTEXT_DENIED');
  expect(await reason()).toMatch(/the app a 1 is not registered/);
  await putApp(access, 'a', { groups: null }, BY);
  expect(await enrol()).toBe('ok');
  await removeApp(access, 'a', BY);
  expect(await login()).toBe('CONTEXT_DENIED');
  expect(await reason()).toMatch(/the app a 1 is not registered/);
});

test.each([
  ['of another signer', { signers: ['ab'.repeat(32)] }, 'CONTEXT_DENIED'],
  ['of its signer', { signers: [SIGNER] }, 'ok'],
  ['on another system', { platforms: [{ os: 'ios' }] }, 'CONTEXT_DENIED'],
  ['that is for a group of others', { groups: [] }, 'CONTEXT_DENIED'],
  ['that is below its minimum', { minimum: { version: '1.1', from: 0 } }, 'APP_UPDATE_REQUIRED'],
  ['whose minimum is not due yet', { minimum: { version: '1.1', from: 2 ** 42 } }, 'ok'],
] as const)('a device of an app %s', async (_what, input, expected) => {
  const { access, enrol, login } = await phone();
  expect(await enrol()).toBe('ok');
  await putApp(access, 'a', { groups: null, ...(input as object) }, BY);
  expect(await login()).toBe(expected);
  expect(await enrol()).toBe(expected);
});

test('a version below its minimum signs in for its update, where its user gets updates', async () => {
  const { access, enrol, login, isOld } = await phone();
  expect(await enrol()).toBe('ok');
  await putApp(access, 'a', { groups: null, minimum: { version: '1.1', from: 0 } }, BY);
  const backend = { url: 'https://127.0.0.1:1', networks: [] };
  await putResource(access, 'updates', { kind: 'http', authority: UPDATE_AUTHORITY, backend }, BY);
  await putGroup(access, 'staff', BY);
  await putPolicy(access, 'updates', { groups: ['staff'], resources: ['updates'], context: {} }, BY);
  expect(await login()).toBe('APP_UPDATE_REQUIRED');
  await putUser(access, 'ada', { groups: ['staff'] }, BY);
  expect(await login()).toBe('ok');
  expect(await isOld()).toBe(true);
  // It was let in for its update, and is refused all else.
  expect((await appVersions(access, 'a', 9)).map((one) => one.refused)).toEqual([1]);
  // Nothing else is forgiven.
  await putApp(access, 'a', { groups: null, platforms: [{ os: 'ios' }], minimum: { version: '1.1', from: 0 } }, BY);
  expect(await login()).toBe('CONTEXT_DENIED');
  await putApp(access, 'a', { groups: null, minimum: { version: '1', from: 0 } }, BY);
  expect(await isOld()).toBe(false);
});

test('a version is counted as refused until it signs in: where it does not fit, or was revoked', async () => {
  const { access, enrol, login } = await phone();
  const refused = async () => (await appVersions(access, 'a', 9)).map((one) => one.refused);
  expect(await enrol()).toBe('ok');
  expect(await login()).toBe('ok');
  expect(await refused()).toEqual([0]);
  await putApp(access, 'a', { groups: null, platforms: [{ os: 'ios' }] }, BY);
  expect(await login()).toBe('CONTEXT_DENIED');
  expect(await refused()).toEqual([1]);
  await putApp(access, 'a', { groups: null }, BY);
  expect(await login()).toBe('ok');
  expect(await refused()).toEqual([0]);
  await revoke(access, { requestId: randomUUID(), kind: 'app', subject: 'a@1' }, BY);
  expect(await login()).toBe('REVOKED');
  expect(await refused()).toEqual([1]);
});

test('a device whose version was revoked hears that this is why, and no other one does', async () => {
  const { access, enrol, login, cause } = await phone();
  expect(await enrol()).toBe('ok');
  await revoke(access, { requestId: randomUUID(), kind: 'app', subject: 'a@1' }, BY);
  expect(await login()).toBe('REVOKED');
  expect(await cause({})).toBe('app');
  expect(await cause({ version: '2' })).toBeUndefined();
  await putApp(access, 'a', { groups: null, platforms: [{ os: 'ios' }] }, BY);
  expect(await cause({ version: '2' })).toBeUndefined();
});

/** A live release of 2 of the app of these devices, and what counts against it. */
async function released(access: AccessContext) {
  const chunk = 'ab'.repeat(32);
  const content: PackageView = {
    ...{ kind: 'web', os: 'browser', id: 'a', version: '2', build: '', minOsVersion: '', permissions: [] },
    ...{ signers: [], sha256: chunk, bytes: 1, chunks: [chunk] },
  };
  const by = { actor: 'publisher ci', reason: 'test' };
  const { id } = await proposeRelease(access, { sha256: chunk, look: async () => content }, by);
  await access.store.transaction(async ({ tables }) => {
    const row = (await tables.releases.find({ id }))!;
    const steps = [{ percent: 100, at: 0 }];
    await tables.releases.update({ where: { id } }, { state: 'live', rollout: { ...row.rollout, steps } });
  });
  return async () => {
    const said = await access.store.transaction(({ tables }) => tables.releaseReports.list());
    return said.map(({ outcome }) => outcome);
  };
}

const ROOTED = { posture: { rooted: true } };
const RULE = { posture: { rooted: false } };

test('a version that says otherwise of the device, and is refused for that, counts against its release until it signs in', async () => {
  const { access, enrol, login } = await phone();
  const counted = await released(access);
  await changeSettings(access, { context: RULE }, BY);
  expect(await enrol()).toBe('CONTEXT_DENIED');
  await changeSettings(access, { context: {} }, BY);
  expect(await enrol()).toBe('ok');
  await changeSettings(access, { context: RULE }, BY);
  const whole = { posture: { rooted: false } };
  expect(await login({ ...whole, os: 'browser' })).toBe('ok');
  expect(await counted()).toEqual([]);
  expect(await login({ ...whole, version: '2', posture: {} })).toBe('CONTEXT_DENIED');
  expect(await counted()).toEqual(['refused']);
  expect(await login({ ...whole, version: '2' })).toBe('ok');
  expect(await counted()).toEqual(['installed']);
});

test.each<[string, (access: AccessContext) => Promise<unknown>, Partial<AppContext>, string]>([
  [
    'that is rooted with whatever version',
    (access) => changeSettings(access, { context: RULE }, BY),
    ROOTED,
    'CONTEXT_DENIED',
  ],
  [
    'of another signer',
    (access) => putApp(access, 'a', { groups: null, signers: [SIGNER] }, BY),
    { signer: new Uint8Array(32).fill(1) },
    'CONTEXT_DENIED',
  ],
  ['of a user who may not use it', (access) => putApp(access, 'a', { groups: [] }, BY), {}, 'CONTEXT_DENIED'],
  [
    'that is below the minimum',
    (access) => putApp(access, 'a', { groups: null, minimum: { version: '3', from: 0 } }, BY),
    {},
    'APP_UPDATE_REQUIRED',
  ],
  [
    'whose version is revoked',
    (access) => revoke(access, { requestId: randomUUID(), kind: 'app', subject: 'a@2' }, BY),
    {},
    'REVOKED',
  ],
  [
    'whose user has another password',
    (access) => putUser(access, 'ada', { password: 'another one' }, BY),
    {},
    'CREDENTIALS_INVALID',
  ],
])('a device %s counts against no release', async (_what, change, over, code) => {
  const { access, enrol, login } = await phone();
  const counted = await released(access);
  expect(await enrol()).toBe('ok');
  expect(await login()).toBe('ok');
  await change(access);
  if (over === ROOTED) expect(await login(over)).toBe(code);
  expect(await login({ ...over, version: '2' })).toBe(code);
  expect(await counted()).toEqual([]);
});

test('who has enrolled nothing counts against no release, whatever they say', async () => {
  const { access, enrol, login } = await phone();
  const counted = await released(access);
  expect(await enrol()).toBe('ok');
  await access.store.transaction(({ tables }) => tables.installations.remove({}));
  await changeSettings(access, { context: RULE }, BY);
  expect(await login({ version: '2' })).toBe('HANDSHAKE_FAILED');
  expect(await enrol()).toBe('CONTEXT_DENIED');
  expect(await counted()).toEqual([]);
});

test('a device that enrolled as one app does not sign in as another one', async () => {
  const { access, enrol, login } = await phone();
  expect(await enrol()).toBe('ok');
  await access.store.transaction(({ tables }) => tables.installations.update({}, { app: 'b@1' }));
  await putApp(access, 'b', { groups: null }, BY);
  expect(await login()).toBe('CONTEXT_DENIED');
});
