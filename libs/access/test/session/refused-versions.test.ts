import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  type AccessContext,
  noteRefusedVersion,
  noteServedVersion,
  putApp,
  releaseStandings,
  revoke,
} from '../../src/index.ts';
import type { InstallationRow } from '../../src/session/rows.ts';
import { enrolled, withAda } from '../ada.ts';
import { packageOf, published, SIGNER, withReleases } from '../apps/release-scene.ts';
import { BY } from '../scene.ts';

/** Many devices of ada with 1.1 of the app `field`, and a release 1.2 that is offered to all of them. */
async function fleet(rollout: { steps?: { percent: number; afterMs: number }[] } = {}) {
  const { access, clock } = await withAda();
  await withReleases(access, clock.now);
  const first = await enrolled(access);
  const devices = Array.from({ length: 40 }, (): InstallationRow => {
    const id = randomUUID();
    const deviceStatic = access.crypto.sha256(new TextEncoder().encode(id));
    return { ...first, id, deviceStatic, app: 'field@1.1', os: 'android', status: 'active' };
  });
  await access.store.transaction(({ tables }) => tables.installations.insertEach(devices));
  const before = await published(access, packageOf({ version: '1.1' }));
  const release = await published(access, packageOf({ version: '1.2' }), { rollout });
  const ids = devices.map(({ id }) => id);
  const standing = async (version: string) => {
    const rows = await releaseStandings(access, 'field', 9);
    const { refused, percents, release: row } = rows.find((one) => one.release.package.version === version)!;
    return { refused, percent: percents['stable'], why: row.rollout.haltedWhy };
  };
  return { access, before, release, ids, standing };
}

function refuse(access: AccessContext, installationId: string, app = 'field@1.2', mayBeVersion = true): Promise<void> {
  return noteRefusedVersion(access, { app, installationId, mayBeVersion });
}

async function say(access: AccessContext, ids: readonly string[], over: Partial<InstallationRow>): Promise<void> {
  await access.store.transaction(({ tables }) => tables.installations.update({ among: ['id', ids] }, over));
}

test('a rollout halts by what refuses devices that the version before was served on', async () => {
  const { access, ids, standing } = await fleet();
  for (const id of ids.slice(0, 9)) await refuse(access, id);
  expect(await standing('1.2')).toEqual({ refused: 9, percent: 100, why: null });
  await refuse(access, ids[9]!);
  const why = '0 failed and 10 refused of 10: more than 20 %';
  expect(await standing('1.2')).toEqual({ refused: 10, percent: 0, why });
});

test('a rollout that is forced by a minimum halts like any other one', async () => {
  const { access, ids, standing } = await fleet();
  await putApp(access, 'field', { groups: null, signers: [SIGNER], minimum: { version: '1.2', from: 0 } }, BY);
  for (const id of ids.slice(0, 10)) {
    await refuse(access, id, 'field@1.1', false);
    await refuse(access, id);
  }
  expect(await standing('1.2')).toMatchObject({ refused: 10, percent: 0 });
});

test('one device counts once, whatever it says in turn', async () => {
  const { access, ids, standing } = await fleet();
  await say(access, ids.slice(1, 11), { app: 'field@1.2' });
  for (let i = 0; i < 20; i++) {
    await refuse(access, ids[0]!);
    await refuse(access, ids[0]!, 'field@1.1');
    await say(access, [ids[0]!], { refusedApp: null });
  }
  expect(await standing('1.2')).toMatchObject({ percent: 100 });
});

test.each<[string, (access: AccessContext, ids: readonly string[]) => Promise<void>]>([
  ['that had signed in with the version before', (access, ids) => say(access, ids, { app: 'field@1.2' })],
  ['that are refused with the version before, too', (access, ids) => say(access, ids, { refusedApp: 'field@1.1' })],
  ['of another app', (access, ids) => say(access, ids, { app: 'other@1.1' })],
  ['for another system', (access, ids) => say(access, ids, { os: 'ios' })],
  [
    'of a user who is out',
    (access) =>
      access.store.transaction(async ({ tables }) => {
        await tables.users.update({}, { enabled: false });
      }),
  ],
])('a rollout does not halt by devices %s', async (_what, change) => {
  const { access, ids, standing } = await fleet();
  await change(access, ids);
  for (const id of ids) await refuse(access, id);
  expect(await standing('1.2')).toMatchObject({ percent: 100, why: null });
});

test('what an operator said of versions, apps or users halts no rollout, and is told all the same', async () => {
  const { access, ids, standing } = await fleet();
  for (const id of ids) await refuse(access, id, 'field@1.2', false);
  expect(await standing('1.2')).toEqual({ refused: 40, percent: 100, why: null });
  await revoke(access, { requestId: randomUUID(), kind: 'installation', subject: ids[0]! }, BY);
  expect(await standing('1.2')).toMatchObject({ refused: 39 });
});

test('who is not offered a release cannot halt it', async () => {
  const { access, ids, standing } = await fleet({ steps: [{ percent: 100, afterMs: 1_000 }] });
  for (const id of ids) await refuse(access, id);
  expect(await standing('1.2')).toMatchObject({ refused: 40, percent: 0, why: null });
});

test('who was served with a version has tried it, whatever its app says', async () => {
  const { access, ids, standing } = await fleet();
  // Ten run it. Of four that came from 1.0 the third is too many.
  await say(access, ids.slice(0, 30), { app: 'field@1.0' });
  for (const id of ids.slice(0, 4)) await refuse(access, id, 'field@1.1');
  expect(await standing('1.1')).toMatchObject({ refused: 4, why: '0 failed and 3 refused of 13: more than 20 %' });
});

test('a version that is refused as much as the one before goes on', async () => {
  const { access, ids, standing } = await fleet();
  // Four of 26 devices are refused with 1.1, 15 %; and seven of 21 with 1.2, 33 %.
  await say(access, ids.slice(0, 22), { app: 'field@1.0' });
  for (const id of ids.slice(0, 4)) await refuse(access, id, 'field@1.1');
  await say(access, ids.slice(4, 18), { app: 'field@1.2' });
  await say(access, ids.slice(18, 22), { app: 'field@1.1' });
  for (const id of ids.slice(22, 29)) await refuse(access, id);
  expect(await standing('1.2')).toMatchObject({ percent: 100, why: null });
  for (const id of ids.slice(29, 40)) await refuse(access, id);
  const why = expect.stringMatching(/^0 failed and \d+ refused of \d+: more than 20 % above the \d+ % of 1.1$/);
  expect(await standing('1.2')).toMatchObject({ percent: 0, why });
});

test('a device that signs in after all counts for the version', async () => {
  const { access, release, ids, standing } = await fleet();
  await say(access, ids.slice(20, 30), { app: 'field@1.2' });
  for (const id of ids.slice(0, 2)) await refuse(access, id);
  for (const id of ids.slice(0, 2)) await noteServedVersion(access, { app: 'field@1.2', installationId: id });
  await refuse(access, ids[2]!);
  await refuse(access, ids[3]!);
  expect(await standing('1.2')).toMatchObject({ percent: 100, why: null });
  const { id: releaseId } = release;
  const said = await access.store.transaction(({ tables }) => tables.releaseReports.list({ where: { releaseId } }));
  expect(said.filter(({ outcome }) => outcome === 'installed')).toHaveLength(2);
  // Only what was refused before becomes good by it.
  await noteServedVersion(access, { app: 'field@1.2', installationId: ids[9]! });
  expect(await access.store.transaction(({ tables }) => tables.releaseReports.count())).toBe(said.length);
});
