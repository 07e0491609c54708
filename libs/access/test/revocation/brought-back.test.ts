import { formatBase64Url } from '@sallyport/channel';
import { type KeptRevocation, MAX_BLOCKED_VERSIONS } from '@sallyport/security-api';
import { expect, test } from 'vitest';
import {
  beginNewEpoch,
  enableUser,
  findUser,
  getApp,
  getRealm,
  listAudit,
  memoryJournal,
  putApp,
  putUser,
  readEntries,
  revoke,
  revokeProxy,
  takeBack,
} from '../../src/index.ts';
import { BY, scene } from '../scene.ts';

/**
 * A realm that was restored from a backup which knows nothing of what was revoked since, nor does its journal; and what a Proxy
 * has applied meanwhile.
 */
async function restored() {
  const { access, clock, store } = await scene();
  const user = (await putUser(access, 'ada', { password: 'old one' }, BY)).user;
  const proxy = { name: 'p1', site: 'here', joinedAt: 1, revokedAt: null, keyHash: null, nextKeyHash: null };
  await access.store.transaction(({ tables }) => tables.proxies.insert(proxy));
  const realm = () => access.store.transaction((transaction) => getRealm(transaction));
  const copied = ['realms', 'users', 'proxies', 'revocations', 'audit', 'auditHeads'] as const;
  const rows = await access.store.transaction(async ({ tables }) =>
    Promise.all(copied.map(async (name) => ({ name, rows: await tables[name].list() }))),
  );
  const { epoch, head } = await realm();
  await revoke(access, { requestId: 'lost-user', kind: 'user', subject: user.id }, BY);
  await revoke(access, { requestId: 'lost-app', kind: 'app', subject: 'app@1' }, BY);
  await revoke(access, { requestId: 'lost-lift', kind: 'lift', subject: 'app@1' }, BY);
  await revoke(access, { requestId: 'lost-all', kind: 'before', subject: 'now' }, BY);
  await putUser(access, 'ada', { password: 'new one' }, BY);
  await revokeProxy(access, 'p1', BY);
  const { entries, seals } = await readEntries(access, epoch, head);
  const kept = seals.map(({ index, requestId, seal }): KeptRevocation => {
    const { kind, subject, at, hash } = entries.find((entry) => entry.index === index)!;
    return { epoch, index, requestId, kind, subject, at, hash, seal };
  });
  await access.store.transaction(async ({ tables }) => {
    for (const { name, rows: old } of rows) {
      await tables[name].remove({});
      await (tables[name] as { insertEach(rows: readonly unknown[]): Promise<void> }).insertEach(old);
    }
  });
  clock.now += 60_000;
  const journal = memoryJournal();
  await journal.claim(undefined, epoch);
  const { epoch: present } = await beginNewEpoch({ access, journal, lost: false, by: BY });
  return { access, clock, store, user, kept, epoch, present, realm };
}

async function ada({ access }: Awaited<ReturnType<typeof restored>>) {
  return (await findUser(access, 'ada'))!.user;
}

test('a Proxy keeps what a restored database would have to hear of, and nothing that gives or is implied', async () => {
  const { kept } = await restored();
  expect(kept.map(({ kind, requestId }) => [kind, requestId].join(' '))).toEqual([
    'user lost-user',
    'app lost-app',
    expect.stringMatching(/^credentials /),
    expect.stringMatching(/^proxy /),
  ]);
});

test('what a Proxy brings back is revoked again, once, under its own id and on record', async () => {
  const of = await restored();
  expect(await ada(of)).toMatchObject({ enabled: true });
  const { appended, refused, foreign, index } = await takeBack(of.access, 'p2', [...of.kept].reverse());
  expect(appended.map(({ kind, requestId }) => [kind, requestId])).toEqual(
    of.kept.map(({ kind, requestId }) => [kind, requestId]),
  );
  expect({ refused, foreign }).toEqual({ refused: 0, foreign: [] });
  expect(index).toBe((await of.realm()).head);
  expect(await ada(of)).toMatchObject({ enabled: false, passwordHash: null });
  const events = await of.access.store.transaction((transaction) => listAudit(transaction, 4));
  expect(events.map(({ actor, action }) => [actor, action])).toEqual(Array(4).fill(['Proxy p2', 'revoke.again']));
  const again = await takeBack(of.access, 'p3', of.kept);
  expect(again).toMatchObject({ appended: [], refused: 0, index });
  expect((await of.realm()).head).toBe(index);
});

test('as many versions of an app as a grant has room for keep nothing from being brought back', async () => {
  const of = await restored();
  await putApp(of.access, 'app', { groups: null }, BY);
  const full = Array.from({ length: MAX_BLOCKED_VERSIONS }, (_, i) => `0.${i}`);
  await of.access.store.transaction(({ tables }) => tables.apps.update({ where: { id: 'app' } }, { blocked: full }));
  const { appended } = await takeBack(of.access, 'p2', of.kept);
  expect(appended).toHaveLength(of.kept.length);
  expect(await getApp(of.access, 'app')).toMatchObject({ blocked: [...full.slice(1), '1'], blockedBelow: '0.1' });
});

test('one byte changed, another realm, a made-up seal, a kind that gives: refused, and nothing happens', async () => {
  const of = await restored();
  const [user] = of.kept;
  const other = of.kept[1]!;
  const changed: KeptRevocation[] = [
    { ...user!, subject: 'somebody else' },
    { ...user!, index: user!.index + 1 },
    { ...user!, requestId: 'another' },
    { ...user!, at: user!.at + 1 },
    { ...user!, kind: 'lift' },
    { ...user!, seal: other.seal },
    { ...user!, seal: formatBase64Url(new Uint8Array(20)) },
    { ...user!, seal: '-'.repeat(27) },
  ];
  const { head } = await of.realm();
  expect(await takeBack(of.access, 'p2', changed)).toMatchObject({ appended: [], refused: changed.length });
  const elsewhere = { ...of.access, store: of.store.in('other') };
  const row = await of.realm();
  await elsewhere.store.transaction(({ tables }) => tables.realms.insert(row));
  expect(await takeBack(elsewhere, 'p2', of.kept)).toMatchObject({ appended: [], refused: of.kept.length });
  expect((await of.realm()).head).toBe(head);
});

test('what was never followed here stays with the Proxy, also what is of this epoch', async () => {
  const of = await restored();
  await revoke(of.access, { requestId: 'r', kind: 'user', subject: of.user.id }, BY);
  const { head } = await of.realm();
  const read = await readEntries(of.access, of.present, head - 1);
  const { index, requestId, seal } = read.seals[0]!;
  const { kind, subject, at, hash } = read.entries[0]!;
  const own: KeptRevocation = { epoch: of.present, index, requestId, kind, subject, at, hash, seal };
  expect(await takeBack(of.access, 'p2', [own])).toMatchObject({ appended: [], refused: 0, foreign: [of.present] });
});

test('what was replaced after the restore is not ended by what came before it', async () => {
  const of = await restored();
  await putUser(of.access, 'ada', { password: 'newest one' }, BY);
  await of.access.store.transaction(({ tables }) =>
    tables.proxies.update({ where: { name: 'p1' } }, { joinedAt: of.clock.now }),
  );
  const late = of.kept.filter(({ kind }) => kind === 'credentials' || kind === 'proxy');
  expect(await takeBack(of.access, 'p2', late)).toMatchObject({ appended: [], refused: 0 });
  expect(await ada(of)).toMatchObject({ passwordHash: 'hashed:newest one' });
});

test('whoever is let in again after it was brought back stays in, however often it is brought', async () => {
  const of = await restored();
  await takeBack(of.access, 'p2', of.kept);
  await enableUser(of.access, 'ada', BY);
  await takeBack(of.access, 'p1', of.kept);
  expect(await ada(of)).toMatchObject({ enabled: true });
});
