import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  type AccessContext,
  appVersions,
  catalogueFor,
  changeRollout,
  claimInstallLink,
  findInstallLink,
  issueOwnInstallLink,
  listAudit,
  listChannelDevices,
  noteRefusedVersion,
  noteReport,
  noteRevokedVersion,
  offeredTo,
  offerFor,
  putApp,
  putGroup,
  putOnChannel,
  putUser,
  type ReleaseRow,
  releaseForDevice,
  releaseStandings,
  removeApp,
  revoke,
  rolloutsOf,
  takeOffChannel,
  withdrawRelease,
} from '../../src/index.ts';
import { enrolled, withAda } from '../ada.ts';
import { BY } from '../scene.ts';
import { packageOf, propose, published, SIGNER, withReleases } from './release-scene.ts';

const HOUR = 3_600_000;

/** An app with a channel `beta` for testers, one device of ada, who is one of them, and many of bob, who is not. */
async function withBeta() {
  const { access, clock } = await withAda();
  await withReleases(access, clock.now);
  await putGroup(access, 'testers', BY);
  await putUser(access, 'ada', { groups: ['testers'] }, BY);
  const { user: bob } = await putUser(access, 'bob', {}, BY);
  await putApp(access, 'field', { groups: null, signers: [SIGNER], channels: { beta: ['testers'] } }, BY);
  const first = await enrolled(access);
  const own = { ...first, app: 'field@1.0' };
  const others = Array.from({ length: 200 }, () => {
    const id = randomUUID();
    return { ...own, id, userId: bob.id, deviceStatic: access.crypto.sha256(new TextEncoder().encode(id)) };
  });
  await access.store.transaction(async ({ tables }) => {
    await tables.installations.update({ where: { id: first.id } }, { app: own.app });
    await tables.installations.insertEach(others);
  });
  const offer = ({ id, userId }: { id: string; userId: string }) =>
    offerFor(access, { installationId: id, userId }, { version: '1.0', os: 'android' });
  return { access, clock, tester: own, others, offer };
}

async function standing(access: AccessContext, { id }: ReleaseRow) {
  return (await releaseStandings(access, 'field', 9)).find(({ release }) => release.id === id)!;
}

test('a release on a channel is for who is on it, until it begins on the one of everybody', async () => {
  const { access, clock, tester, others, offer } = await withBeta();
  const release = await published(access, packageOf(), { channel: 'beta' });
  const offered = async (): Promise<number> =>
    (await Promise.all(others.map(offer))).filter((one) => one.release === release.id).length;
  expect((await offer(tester)).release).toBe(release.id);
  expect(await offered()).toBe(0);
  expect(await catalogueFor(access, { installationId: others[0]!.id, userId: others[0]!.userId })).toEqual([]);
  const steps = [
    { percent: 30, afterMs: 0 },
    { percent: 100, afterMs: HOUR },
  ];
  await changeRollout(access, release.id, { do: 'steps', channel: 'stable', steps }, BY);
  // Which ones they are can be asked, and is no other answer than they get.
  const asked = (await offeredTo(access, release.id, { after: '', limit: 999 })).filter((one) => one.offered);
  expect(asked.map(({ user }) => user).filter((user) => user === 'ada')).toEqual(['ada']);
  expect(asked).toHaveLength((await offered()) + 1);
  // Seven standard deviations of 60 of 200.
  const part = await offered();
  expect(part).toBeGreaterThan(15);
  expect(part).toBeLessThan(105);
  expect((await standing(access, release)).percents).toEqual({ beta: 100, stable: 30 });
  expect((await offer(tester)).release).toBe(release.id);
  clock.now += HOUR;
  expect(await offered()).toBe(200);
});

test('who is put off a channel is offered its releases no more, and the newest of all that are theirs', async () => {
  const { access, tester, offer } = await withBeta();
  const stable = await published(access, packageOf({ version: '1.1' }));
  const beta = await published(access, packageOf({ version: '1.2' }), { channel: 'beta' });
  expect((await offer(tester)).release).toBe(beta.id);
  await putUser(access, 'ada', { groups: [] }, BY);
  expect((await offer(tester)).release).toBe(stable.id);
  await putUser(access, 'ada', { groups: ['testers'] }, BY);
  await putApp(access, 'field', { groups: null, signers: [SIGNER] }, BY);
  expect((await offer(tester)).release).toBe(stable.id);
});

test('why a release is not offered to a device is said in words', async () => {
  const { access, clock, tester, others, offer } = await withBeta();
  const { id } = await published(access, packageOf(), {
    channel: 'beta',
    rollout: { steps: [{ percent: 100, afterMs: HOUR }] },
  });
  const why = async (of: { id: string }): Promise<string | undefined> =>
    (await offeredTo(access, id, { after: '', limit: 999 })).find((one) => one.id === of.id)?.why;
  expect(await why(others[0]!)).toContain('on no channel');
  expect(await why(tester)).toBe('it has not begun');
  clock.now += HOUR;
  expect(await why(tester)).toBe('');
  expect((await offer(tester)).release).toBe(id);
  await changeRollout(access, id, { do: 'steps', steps: [{ percent: 1, afterMs: 0 }] }, BY);
  expect(await why(tester)).toMatch(/^(|its turn comes above \d+\.\d\d %)$/);
  await changeRollout(access, id, { do: 'halt' }, BY);
  expect(await why(tester)).toBe('it is halted');
  const app = (running: string) =>
    access.store.transaction(({ tables }) =>
      tables.installations.update({ where: { id: tester.id } }, { app: running }),
    );
  await app('field@1.1');
  expect(await why(tester)).toBe('it has 1.1');
  await app('other@1');
  expect(await why(tester)).toBe('it is another app');
  await expect(offeredTo(access, 'none', { after: '', limit: 1 })).rejects.toThrow('no release none');
});

test('who must update gets what is begun on a channel of theirs, and nothing of others', async () => {
  const { access, tester, others, offer } = await withBeta();
  const steps = [{ percent: 1, afterMs: 0 }];
  const beta = await published(access, packageOf(), { channel: 'beta', rollout: { steps } });
  const minimum = { version: '1.1', from: 0 };
  await putApp(access, 'field', { groups: null, signers: [SIGNER], channels: { beta: ['testers'] }, minimum }, BY);
  expect((await offer(tester)).release).toBe(beta.id);
  expect((await offer(others[0]!)).release).toBeNull();
});

test('a change says which channel it means, unless there is one only; a halt means all of them', async () => {
  const { access } = await withBeta();
  const { id } = await published(access, packageOf(), { channel: 'beta' });
  const steps = [{ percent: 50, afterMs: 0 }];
  await changeRollout(access, id, { do: 'steps', steps }, BY);
  await changeRollout(access, id, { do: 'steps', steps, channel: 'stable', haltAbovePercent: 5 }, BY);
  await expect(changeRollout(access, id, { do: 'steps', steps }, BY)).rejects.toThrow('is on stable and beta');
  await expect(changeRollout(access, id, { do: 'halt', channel: 'canary' }, BY)).rejects.toThrow('is not on canary');
  await expect(changeRollout(access, id, { do: 'steps', steps, channel: 'canary' }, BY)).rejects.toThrow(
    'has no channel canary',
  );
  const halted = await changeRollout(access, id, { do: 'halt' }, BY);
  expect(Object.values(rolloutsOf(halted)).map(({ haltedWhy }) => haltedWhy)).toEqual([BY.reason, BY.reason]);
  const resumed = await changeRollout(access, id, { do: 'resume', channel: 'beta' }, BY);
  expect(rolloutsOf(resumed)['beta']).toMatchObject({ haltedAt: null, haltAbovePercent: 20 });
  expect(rolloutsOf(resumed)['stable']).toMatchObject({ haltedWhy: BY.reason, haltAbovePercent: 5 });
});

test('what fails on one channel halts on every one that has had enough of it', async () => {
  const { access } = await withBeta();
  const release = await published(access, packageOf(), { channel: 'beta', rollout: { haltAbovePercent: 50 } });
  await changeRollout(
    access,
    release.id,
    { do: 'steps', channel: 'stable', steps: [{ percent: 100, afterMs: 0 }], haltAbovePercent: 10 },
    BY,
  );
  for (let i = 0; i < 10; i++)
    await noteReport(access, {
      ...{ releaseId: release.id, installationId: `i${i}` },
      outcome: i < 3 ? 'failed' : 'installed',
    });
  expect((await standing(access, release)).percents).toEqual({ beta: 100, stable: 0 });
});

test('one device is on a channel by itself, listed with who put it there and why, until it is taken off', async () => {
  const { access, others, offer } = await withBeta();
  const [one, two] = others.map(({ id, userId }) => ({ id, userId, installationId: id }));
  const beta = await published(access, packageOf(), { channel: 'beta' });
  const place = { app: 'field', channel: 'beta', installation: one!.id };
  expect(await putOnChannel(access, place, { actor: 'olga', reason: 'it shows the fault' })).toBe(true);
  expect(await putOnChannel(access, place, BY)).toBe(false);
  const page = { after: '', limit: 9 };
  expect(await listChannelDevices(access, place, page)).toMatchObject([
    { installationId: one!.id, user: 'bob', addedBy: 'olga', reason: 'it shows the fault' },
  ]);
  // Its user's other devices are not.
  expect([(await offer(one!)).release, (await offer(two!)).release]).toEqual([beta.id, null]);
  expect(await catalogueFor(access, one!)).toMatchObject([{ channels: { [beta.id]: 'beta' } }]);
  const asked = await offeredTo(access, beta.id, { after: '', limit: 999 });
  expect(asked.filter(({ offered, user }) => offered && user === 'bob').map(({ id }) => id)).toEqual([one!.id]);
  expect(await takeOffChannel(access, place, BY)).toBe(true);
  expect(await takeOffChannel(access, place, BY)).toBe(false);
  expect(await releaseForDevice(access, one!, { id: beta.id })).toBeUndefined();
  const actions = (await access.store.transaction((transaction) => listAudit(transaction, 9))).map(
    ({ action }) => action,
  );
  expect(actions.filter((action) => action.startsWith('app.channel'))).toHaveLength(2);
});

test('a channel lends nobody an app that is not theirs, and a device loses it with the channel or the app', async () => {
  const { access, others, offer } = await withBeta();
  const [one] = others as [(typeof others)[0]];
  await published(access, packageOf(), { channel: 'beta' });
  const place = { app: 'field', channel: 'beta', installation: one.id };
  const app = { groups: null, signers: [SIGNER] };
  await putOnChannel(access, place, BY);
  await putApp(access, 'field', { ...app, groups: ['testers'], channels: { beta: [] } }, BY);
  expect((await offer(one)).release).toBeNull();
  await putApp(access, 'field', { ...app, channels: { beta: [] } }, BY);
  expect((await offer(one)).release).not.toBeNull();
  // A channel that comes later under the name of one that is gone is another one.
  await putApp(access, 'field', app, BY);
  await putApp(access, 'field', { ...app, channels: { beta: [] } }, BY);
  expect((await offer(one)).release).toBeNull();
  await putOnChannel(access, place, BY);
  await removeApp(access, 'field', BY);
  expect(await access.store.transaction(({ tables }) => tables.channelDevices.count())).toBe(0);
});

test('what cannot be put on a channel is refused with words', async () => {
  const { access, others } = await withBeta();
  const installation = others[0]!.id;
  const put = (over: object) => putOnChannel(access, { app: 'field', channel: 'beta', installation, ...over }, BY);
  await expect(put({ channel: 'stable' })).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
  await expect(put({ channel: 'canary' })).rejects.toThrow('has no channel canary');
  await expect(put({ app: 'other' })).rejects.toThrow('no app other');
  await expect(put({ installation: 'nobody' })).rejects.toThrow('no installation nobody');
  await revoke(access, { requestId: randomUUID(), kind: 'installation', subject: installation }, BY);
  await expect(put({})).rejects.toThrow('is revoked');
});

test('a link that a device asked for gives what is offered to that device, as long as it is in', async () => {
  const { access, tester, others } = await withBeta();
  const steps = [{ percent: 50, afterMs: 0 }];
  const release = await published(access, packageOf(), { rollout: { steps } });
  const given = async ({ id, userId }: { id: string; userId: string }): Promise<string[] | undefined> => {
    const link = await issueOwnInstallLink(
      access,
      { installationId: id, userId },
      { app: 'field', origin: 'https://gw' },
    );
    return (await claimInstallLink(access, link.token))?.releases.map((one) => one.id);
  };
  for (const one of [tester, ...others.slice(0, 12)]) {
    const offered = await releaseForDevice(access, { installationId: one.id, userId: one.userId }, { id: release.id });
    expect(await given(one)).toEqual(offered ? [release.id] : []);
  }
  await revoke(access, { requestId: randomUUID(), kind: 'installation', subject: tester.id }, BY);
  expect(await given(tester)).toBeUndefined();
});

test('versions that devices run are told beside releases: unknown, withdrawn, revoked and too old ones by name', async () => {
  const { access, others } = await withBeta();
  const live = await published(access, packageOf({ version: '1.1' }));
  await withdrawRelease(access, (await published(access, packageOf({ version: '1.2' }))).id, BY);
  const run = (ids: readonly string[], app: string, os: string | null) =>
    access.store.transaction(({ tables }) =>
      tables.installations.update({ among: ['id', ids] }, { app, os, status: 'active' }),
    );
  const ids = others.map(({ id }) => id);
  await run(ids, 'field@1.0', 'android');
  await run(ids.slice(0, 3), 'field@1.1', 'android');
  await run(ids.slice(3, 5), 'field@1.2', 'android');
  await run(ids.slice(5, 6), 'field@9.9', 'ios');
  await run(ids.slice(6, 7), 'fieldwork@9.9', 'ios');
  await revoke(access, { requestId: randomUUID(), kind: 'app', subject: 'field@9.9' }, BY);
  await revoke(access, { requestId: randomUUID(), kind: 'app', subject: 'field@1.1' }, BY);
  await revoke(access, { requestId: randomUUID(), kind: 'lift', subject: 'field@1.1' }, BY);
  const minimum = { version: '1.1', from: 0 };
  await putApp(access, 'field', { groups: null, signers: [SIGNER], minimum }, BY);
  const found = await appVersions(access, 'field', 1_000);
  const as = (version: string) => found.find((one) => one.version === version);
  expect(as('1.0')).toMatchObject({ running: 193, known: 'unknown', blocked: false, tooOld: true });
  expect(as('1.1')).toMatchObject({ running: 3, known: 'live', blocked: false, tooOld: false });
  expect(as('1.2')).toMatchObject({ running: 2, known: 'withdrawn' });
  expect(as('9.9')).toMatchObject({ running: 1, os: 'ios', known: 'unknown', blocked: true });
  expect(found).toHaveLength(4);
  expect(await appVersions(access, 'field', 1)).toEqual([as('1.0')]);
  expect((await standing(access, live)).running).toBe(3);
  await expect(appVersions(access, 'fieldwork', 1_000)).rejects.toThrow('no app fieldwork');
});

test('sign-ins that were refused are told by version, also of versions that the realm never released, until one is not', async () => {
  const { access, others } = await withBeta();
  await published(access, packageOf({ version: '1.1' }));
  const [one, two, three, four] = others.map(({ id }) => id);
  const say = (ids: readonly (string | undefined)[], over: object) =>
    access.store.transaction(({ tables }) =>
      tables.installations.update({ among: ['id', ids.flatMap((id) => id ?? [])] }, { status: 'active', ...over }),
    );
  await say([one, two, three, four], { app: 'field@1.1', os: 'android' });
  const refuse = (app: string, installationId: string) =>
    noteRefusedVersion(access, { app, installationId, mayBeVersion: true });
  for (const installationId of [one!, two!]) await refuse('field@9.9', installationId);
  await refuse('field@8.8', three!);
  await refuse('other@7.7', four!);
  await noteRevokedVersion(access, { app: 'field@1.1', installationId: four! });
  const told = async () =>
    (await appVersions(access, 'field', 1_000)).map(({ version, os, running, refused, known }) => ({
      ...{ version, os, running, refused, known },
    }));
  expect(await told()).toEqual([
    { version: '1.1', os: 'android', running: 4, refused: 0, known: 'live' },
    { version: '9.9', os: 'android', running: 0, refused: 2, known: 'unknown' },
    { version: '8.8', os: 'android', running: 0, refused: 1, known: 'unknown' },
  ]);
  await revoke(access, { requestId: randomUUID(), kind: 'app', subject: 'field@1.1' }, BY);
  await noteRevokedVersion(access, { app: 'field@1.1', installationId: four! });
  await say([two], { refusedApp: null });
  expect((await told()).map(({ version, refused }) => [version, refused])).toEqual([
    ['1.1', 1],
    ['9.9', 1],
    ['8.8', 1],
  ]);
});

test('a version that was revoked is offered to nobody, and given to nobody who has a link', async () => {
  const { access, tester, offer } = await withBeta();
  const before = await published(access, packageOf({ version: '1.1' }));
  const after = await published(access, packageOf({ version: '1.2' }));
  const asker = { installationId: tester.id, userId: tester.userId };
  const { token } = await issueOwnInstallLink(access, asker, { app: 'field', origin: 'https://a' });
  const given = async () => ({
    offered: (await offer(tester)).release,
    catalogue: (await catalogueFor(access, asker)).flatMap(({ releases }) => releases.map(({ id }) => id)),
    linked: (await findInstallLink(access, token))?.releases.map(({ id }) => id),
    downloads: (await releaseForDevice(access, asker, { sha256: after.package.sha256 }))?.id,
    why: (await offeredTo(access, after.id, { after: '', limit: 1_000 })).find(({ id }) => id === tester.id)?.why,
  });
  const newest = { offered: after.id, catalogue: [after.id], linked: [after.id], downloads: after.id, why: '' };
  expect(await given()).toEqual(newest);
  await revoke(access, { requestId: randomUUID(), kind: 'app', subject: 'field@1.2' }, BY);
  expect(await given()).toEqual({
    ...{ offered: before.id, catalogue: [before.id], linked: [before.id], downloads: undefined },
    why: 'its version is revoked',
  });
  await revoke(access, { requestId: randomUUID(), kind: 'lift', subject: 'field@1.2' }, BY);
  expect(await given()).toEqual(newest);
});

test('channels and groups that there are not are refused', async () => {
  const { access } = await withBeta();
  await expect(propose(access, packageOf(), { channel: 'canary' })).rejects.toThrow('field has no channel canary');
  await expect(propose(access, packageOf(), { channel: 'constructor' })).rejects.toThrow('no channel constructor');
  const channels = { beta: ['nobody'] };
  await expect(putApp(access, 'field', { groups: null, channels }, BY)).rejects.toThrow('no group nobody');
});
