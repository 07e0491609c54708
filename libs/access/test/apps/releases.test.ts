import { randomBytes, randomUUID } from 'node:crypto';
import { formatExpires, formatUpdate, parseUpdate, signUpdate, UPDATE_SPEC, updateKeyFrom } from '@sallyport/channel';
import type { PackageView } from '@sallyport/security-api';
import { expect, test } from 'vitest';
import { draftWith } from '../../src/apps/releases.ts';
import {
  type AccessContext,
  approveRelease,
  changeRollout,
  noteReport,
  offerFor,
  proposeRelease,
  putApp,
  putRoot,
  type ReleaseRow,
  readUpdateFile,
  releaseStandings,
} from '../../src/index.ts';
import { enrolled, withAda } from '../ada.ts';
import { BY } from '../scene.ts';

const [ROOT, TARGETS, ONLINE] = [randomBytes(32), randomBytes(32), randomBytes(32)];
const online = (number: number): Uint8Array => (number === 0 ? ONLINE : new Uint8Array(32).fill(number));
const TIM = { actor: 'tim', reason: 'unit test' };
const HOUR = 3_600_000;

function packageOf(version: string): PackageView {
  const facts = {
    kind: 'apk',
    os: 'android',
    id: 'a',
    version,
    build: '1',
    minOsVersion: '',
    permissions: [],
  } as const;
  return {
    ...facts,
    permissions: [],
    signers: ['aa'.repeat(32)],
    sha256: randomBytes(32).toString('hex'),
    bytes: 1,
    chunks: [],
  };
}

/** A realm whose root is there, and with ada in it. */
async function withRoot() {
  const made = await withAda();
  const { access, clock } = made;
  await putApp(access, 'a', { groups: null, signers: ['aa'.repeat(32)] }, BY);
  const [root, targets, timestamp] = [ROOT, TARGETS, ONLINE].map(updateKeyFrom) as [
    ReturnType<typeof updateKeyFrom>,
    ReturnType<typeof updateKeyFrom>,
    ReturnType<typeof updateKeyFrom>,
  ];
  const role = ({ id }: { id: string }) => ({ keyids: [id], threshold: 1 });
  const signed = {
    _type: 'root' as const,
    spec_version: UPDATE_SPEC,
    version: 1,
    expires: formatExpires(clock.now + 10_000 * HOUR),
    consistent_snapshot: true,
    keys: Object.fromEntries([root, targets, timestamp].map(({ id, key }) => [id, key])),
    roles: { root: role(root), targets: role(targets), snapshot: role(timestamp), timestamp: role(timestamp) },
  };
  const text = Buffer.from(formatUpdate(signUpdate({ signatures: [], signed }, ROOT))).toString();
  await putRoot(access, text, online, BY);
  return made;
}

async function published(access: AccessContext, version: string, percent: number): Promise<ReleaseRow> {
  const rollout = { steps: [{ percent, afterMs: 0 }] };
  const { id } = await proposeRelease(access, { package: packageOf(version), rollout }, BY);
  const { update } = await draftWith(access, id);
  const metadata = Buffer.from(formatUpdate(signUpdate(update, TARGETS))).toString();
  return approveRelease(access, { id, metadata, online }, TIM);
}

test('of 1,000 installations 5 % are offered a release, then all, and those that have it are counted', async () => {
  const { access } = await withRoot();
  const first = await enrolled(access);
  const asked = Array.from({ length: 1_000 }, () => ({ installationId: randomUUID(), userId: first.userId }));
  const rows = asked.map(({ installationId: id }) => ({
    ...first,
    id,
    deviceStatic: randomBytes(32),
    status: 'active' as const,
  }));
  await access.store.transaction(({ tables }) => tables.installations.insertEach(rows));
  const { id } = await published(access, '1.1', 5);
  const offered = async (): Promise<number> => {
    const offers = await Promise.all(asked.map((one) => offerFor(access, one, { version: '1', os: 'android' })));
    return offers.filter(({ release }) => release === id).length;
  };
  // Six standard deviations of 50 of 1,000: once in a billion runs it is chance.
  const few = await offered();
  expect(few, id).toBeGreaterThan(8);
  expect(few, id).toBeLessThan(92);
  expect(await offered()).toBe(few);
  await changeRollout(access, id, { do: 'halt' }, BY);
  expect(await offered()).toBe(0);
  await changeRollout(access, id, { do: 'resume' }, BY);
  await changeRollout(access, id, { do: 'steps', steps: [{ percent: 100, afterMs: 0 }] }, BY);
  expect(await offered()).toBe(1_000);
  const updated = asked.slice(0, 7);
  for (const { installationId } of updated)
    await noteReport(access, { releaseId: id, installationId, outcome: 'installed' });
  await noteReport(access, { releaseId: id, installationId: asked[8]!.installationId, outcome: 'failed' });
  await access.store.transaction(({ tables }) =>
    tables.installations.update(
      { among: ['id', updated.map(({ installationId }) => installationId)] },
      { app: 'a@1.1' },
    ),
  );
  const [standing] = await releaseStandings(access, 'a', 9);
  expect(standing).toMatchObject({ running: 7, counts: { installed: 7, failed: 1, downloading: 0, refused: 0 } });
});

test('what is signed online is signed anew before it is too old, by itself; versions only rise', async () => {
  const { access, clock } = await withRoot();
  await published(access, '1.1', 100);
  const timestamp = async () =>
    parseUpdate('timestamp', Buffer.from((await readUpdateFile(access, 'timestamp.json', online))!)).signed;
  const first = await timestamp();
  expect((await timestamp()).version).toBe(first.version);
  clock.now += 13 * HOUR;
  const second = await timestamp();
  expect(second.version).toBeGreaterThan(first.version);
  expect(second.meta['snapshot.json'].version).toBe(first.meta['snapshot.json'].version);
  // Nobody has asked for weeks: whoever asks first gets what is good.
  clock.now += 500 * HOUR;
  const third = await timestamp();
  expect(Date.parse(third.expires)).toBeGreaterThan(clock.now);
  expect(third.meta['snapshot.json'].version).toBeGreaterThan(first.meta['snapshot.json'].version);
});
