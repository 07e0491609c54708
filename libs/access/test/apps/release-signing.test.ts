import { formatExpires, type RootContent, signUpdate, updateKeyFrom } from '@sallyport/channel';
import type { PackageView } from '@sallyport/security-api';
import { expect, test } from 'vitest';
import {
  checkPackage,
  findUpdateRoot,
  listReleases,
  noteReport,
  putRoot,
  readUpdateFile,
  releaseStandings,
  withdrawRelease,
} from '../../src/index.ts';
import { BY, scene } from '../scene.ts';
import {
  DAY,
  draft,
  online,
  packageOf,
  propose,
  published,
  rootText,
  SIGNER,
  sign,
  TIM,
  TOM,
  withReleases,
} from './release-scene.ts';

/** A realm with an app, and a root by which one of two people, or both, sign releases. */
async function realm(threshold = 1) {
  const { access, clock } = await scene();
  await withReleases(access, clock.now, threshold);
  return { access, clock, propose: (over: Partial<PackageView> = {}) => propose(access, packageOf(over)) };
}

test.each([
  ['a key under the id of another one', swapped, /id of a key is not that of its bytes/],
  [
    'the online key under another name among those of targets',
    onlineAmongTargets,
    /id of a key is not that of its bytes/,
  ],
  ['a role that needs more signatures than it has keys', tooMany, /more signatures than it has keys/],
  ['more than devices read', tooLong, /devices read 512000 bytes/],
] as const)('refuses a root with %s', async (_what, change, words) => {
  const { access, clock } = await realm();
  await expect(putRoot(access, rootText(clock.now, 1, { version: 2, change }), online, BY)).rejects.toThrow(words);
  expect((await findUpdateRoot(access))?.signed.version).toBe(1);
});

function swapped(root: RootContent): RootContent {
  const [own, tim] = [updateKeyFrom(online(0)), updateKeyFrom(TIM)];
  return { ...root, keys: { ...root.keys, [own.id]: tim.key } };
}

function onlineAmongTargets(root: RootContent): RootContent {
  const { key } = updateKeyFrom(online(0));
  const targets = { keyids: ['other'], threshold: 1 };
  return { ...root, keys: { ...root.keys, other: key }, roles: { ...root.roles, targets } };
}

function tooMany({ roles, ...root }: RootContent): RootContent {
  return { ...root, roles: { ...roles, targets: { ...roles.targets, threshold: 3 } } };
}

function tooLong(root: RootContent): RootContent {
  return { ...root, x: 'x'.repeat(512_000) } as RootContent;
}

test('a release is live once enough different keys have signed it', async () => {
  const { access, propose } = await realm(2);
  const release = await propose();
  const begun = await draft(access, release);
  await expect(sign(access, release, begun)).rejects.toThrow('no key of the role targets');
  expect((await sign(access, release, signUpdate(begun, TIM))).state).toBe('proposed');
  // The same key once more is no second one.
  expect((await sign(access, release, signUpdate(begun, TIM), 'tom')).state).toBe('proposed');
  expect((await sign(access, release, signUpdate(await draft(access, release), TOM), 'tom')).state).toBe('live');
  expect(await readUpdateFile(access, '1.targets.json', online)).toContain(updateKeyFrom(TOM).id);
});

test('a signature that does not hold takes the place of none that does', async () => {
  const { access, propose } = await realm(2);
  const release = await propose();
  await sign(access, release, signUpdate(await draft(access, release), TIM));
  const begun = await draft(access, release);
  const rubbish = { keyid: updateKeyFrom(TIM).id, sig: '00'.repeat(64) };
  const brought = signUpdate({ ...begun, signatures: [rubbish] }, TOM);
  expect((await sign(access, release, brought, 'tom')).state).toBe('live');
});

test.each([
  ['that are over', { expires: formatExpires(0) }, /over already/],
  ['that are good for ever', { expires: '9999-01-01T00:00:00Z' }, /more than 180 days/],
  ['that say who else may sign', { delegations: { keys: {}, roles: [] } }, /who else may sign/],
  ['that say more than that', { custom: 'x' }, /more than which files/],
  ['over which there is no signature', { x: 0.5 }, /refused/],
] as const)('refuses targets %s', async (_what, change, words) => {
  const { access, propose } = await realm();
  const release = await propose();
  const { signed } = await draft(access, release);
  const brought = { signatures: [], signed: { ...signed, ...change } };
  const update = 'x' in change ? { ...brought, signatures: [{ keyid: 'k', sig: '' }] } : signUpdate(brought, TIM);
  await expect(sign(access, release, update)).rejects.toThrow(words);
});

test('a draft that was begun too long ago is begun again', async () => {
  const { access, clock, propose } = await realm(2);
  const release = await propose();
  await sign(access, release, signUpdate(await draft(access, release), TIM));
  expect((await draft(access, release)).signatures).toHaveLength(1);
  clock.now += 181 * DAY;
  expect((await draft(access, release)).signatures).toHaveLength(0);
});

test('a database that was restored signs above what devices have seen', async () => {
  const { access, clock, propose } = await realm();
  const release = await propose();
  const signed = async () => {
    await sign(access, release, signUpdate(await draft(access, release), TIM));
    const { version, meta } = JSON.parse((await readUpdateFile(access, 'timestamp.json', online))!).signed;
    return { timestamp: version, snapshot: meta['snapshot.json'].version };
  };
  const first = await signed();
  // Within a minute one more than before.
  const second = await signed();
  expect(second).toEqual({ timestamp: first.timestamp + 1, snapshot: first.snapshot + 1 });
  clock.now += 5 * 60_000;
  await access.store.transaction(async ({ tables }) => {
    for (const role of ['timestamp', 'snapshot', 'targets'] as const)
      await tables.updateFiles.remove({ where: { role } });
  });
  const restored = await signed();
  expect(restored.timestamp).toBeGreaterThan(second.timestamp);
  expect(restored.snapshot).toBeGreaterThan(second.snapshot);
});

test('so many releases of an app may wait to be signed', async () => {
  const { propose } = await realm();
  for (let i = 0; i < 32; i++) await propose({ version: `2.${i}` });
  await expect(propose({ version: '3' })).rejects.toThrow('wait to be signed');
});

const HELD = { id: 'field', os: 'android' };

test.each([
  ['a newer version with a lower build', { ...HELD, version: '1.3', build: '19' }, 'its build 19 is not above 20'],
  ['a newer version with the same build', { ...HELD, version: '1.3', build: '20' }, 'its build 20 is not above 20'],
  ['an older version with a higher build', { ...HELD, version: '1.1.5', build: '21' }, 'its build 21 is not below 20'],
])('%s is refused: Android would not install it, or not what comes behind it', async (_what, over, words) => {
  const { access, propose } = await realm();
  await published(access, packageOf({ version: '1.1', build: '9' }));
  const { id } = await published(access, packageOf({ version: '1.2', build: '20' }));
  await expect(propose(over)).rejects.toThrow(words);
  await expect(propose(over)).rejects.toThrow(`that of 1.2 (${id}): Android installs no update to a lower one`);
});

test('builds rise above what devices may have, also once it is withdrawn; what was never live is nothing to them', async () => {
  const { access, propose } = await realm();
  const slip = await propose({ version: '2.0', build: '999' });
  await expect(propose({ version: '2.1', build: '21' })).rejects.toThrow('not above 999');
  await withdrawRelease(access, slip.id, BY);
  const out = await published(access, packageOf({ version: '1.2', build: '20' }));
  await withdrawRelease(access, out.id, BY);
  await expect(propose({ version: '1.3', build: '15' })).rejects.toThrow('not above 20');
  expect((await propose({ version: '1.2', build: '20' })).state).toBe('proposed');
  expect((await propose({ version: '1.3', build: '21' })).state).toBe('proposed');
});

test('a package can be asked about before it is made: by the rules by which it is taken, and nothing is kept', async () => {
  const { access } = await realm();
  await published(access, packageOf({ version: '1.2', build: '20' }));
  const claims = { ...{ id: 'field', version: '1.3', build: '21', signers: [SIGNER] }, os: 'android' as const };
  await checkPackage(access, claims);
  await expect(checkPackage(access, { ...claims, build: '19' })).rejects.toThrow('its build 19 is not above 20');
  await expect(checkPackage(access, { ...claims, version: '1.2' })).rejects.toThrow('there is a release 1.2');
  await expect(checkPackage(access, { ...claims, signers: ['bb'.repeat(32)] })).rejects.toThrow('it is signed by');
  await expect(checkPackage(access, { ...claims, id: 'nobody' })).rejects.toThrow('no app nobody');
  expect(await listReleases(access, { after: '', limit: 9 })).toHaveLength(1);
});

test('builds of one system say nothing of another one, and those of iOS begin anew with each version', async () => {
  const { access, propose } = await realm();
  await published(access, packageOf({ version: '1.2', build: '20' }));
  for (const version of ['1.2', '1.3'])
    expect((await propose({ version, build: '1', os: 'ios' })).state).toBe('proposed');
});

/** A live release, and what its rollout says. */
async function live() {
  const { access } = await realm();
  const release = await published(access);
  const standing = async () => {
    const { counts, percents } = (await releaseStandings(access, 'field', 1))[0]!;
    return { ...counts, percent: percents['stable'] };
  };
  return { access, release, standing };
}

test('a rollout halts with the report that makes them enough, good or bad; a repeated one changes nothing', async () => {
  const { access, release, standing } = await live();
  const report = (installationId: string, outcome: 'downloading' | 'installed' | 'failed') =>
    noteReport(access, { releaseId: release.id, installationId, outcome });
  for (let i = 0; i < 9; i++) await report(`f${i}`, i < 6 ? 'installed' : 'failed');
  await report('f8', 'failed');
  await report('late', 'downloading');
  expect(await standing()).toMatchObject({ percent: 100, downloading: 1, installed: 6, failed: 3 });
  await report('late', 'installed');
  expect(await standing()).toMatchObject({ percent: 0, downloading: 0, installed: 7, failed: 3 });
});
