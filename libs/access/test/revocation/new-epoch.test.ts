import { expect, test } from 'vitest';
import {
  beginNewEpoch,
  closeRealm,
  firstOperatorToken,
  getRealm,
  issueCode,
  issueJoinToken,
  type Journal,
  type JournalEntry,
  JournalWriter,
  memoryJournal,
  openClaim,
  putUser,
  revoke,
  revokeProxy,
} from '../../src/index.ts';
import { MemoryStore } from '../../src/store.ts';
import { BY, scene } from '../scene.ts';

/** A realm with a user, its journal, and a backup of it that can be brought back. */
async function backedUp() {
  const { access, clock } = await scene();
  const { id } = (await putUser(access, 'ada', {}, BY)).user;
  await access.store.transaction(({ tables }) =>
    tables.proxies.insert({ name: 'p1', site: 'here', joinedAt: 0, revokedAt: null } as never),
  );
  const journal = memoryJournal();
  const realm = () => access.store.transaction((transaction) => getRealm(transaction));
  const { epoch } = await realm();
  await openClaim(journal, { epoch, supersedes: [] });
  const writer = new JournalWriter({ store: access.store, journal, epoch, monotonicMs: () => 0 });
  const copy = await access.store.transaction(async ({ tables }) => ({
    realm: (await tables.realms.find({ id: 'realm' }))!,
    users: await tables.users.list(),
    proxies: await tables.proxies.list(),
    revocations: await tables.revocations.list(),
  }));
  const restore = () =>
    access.store.transaction(async ({ tables }) => {
      await tables.realms.update({}, copy.realm);
      for (const name of ['users', 'proxies', 'revocations'] as const) {
        await tables[name].remove({});
        await (tables[name] as { insertEach(rows: readonly unknown[]): Promise<void> }).insertEach(copy[name]);
      }
    });
  return { access, clock, id, journal, realm, epoch, writer, restore, order: { access, journal, lost: false, by: BY } };
}

const isIn = async ({ access, id }: Awaited<ReturnType<typeof backedUp>>): Promise<boolean> =>
  (await access.store.transaction(({ tables }) => tables.users.find({ id })))!.enabled;

test('what was revoked after the backup is revoked again, with its effects and under its own id', async () => {
  const of = await backedUp();
  const row = await revoke(of.access, { requestId: 'r-1', kind: 'user', subject: of.id }, BY);
  await revokeProxy(of.access, 'p1', BY);
  await of.writer.upTo((await of.realm()).head);
  await of.restore();
  expect(await isIn(of)).toBe(true);
  const restored = await beginNewEpoch(of.order);
  expect(restored.appended.map(({ kind }) => kind)).toEqual(['user', 'proxy']);
  expect(await isIn(of)).toBe(false);
  const proxy = await of.access.store.transaction(({ tables }) => tables.proxies.find({ name: 'p1' }));
  expect(proxy!.revokedAt).not.toBeNull();
  const again = await revoke(of.access, { requestId: 'r-1', kind: 'user', subject: of.id }, BY);
  expect(again.hash).not.toBe(row.hash);
  expect((await of.realm()).head).toBe(2);
});

test('a lease that was made longer since the backup is waited for, where a node has seen it', async () => {
  const of = await backedUp();
  const { longestLeaseMs, epoch, head, headHash } = await of.realm();
  await beginNewEpoch({ ...of.order, seen: { epoch, head, headHash, longestLeaseMs: longestLeaseMs + 7 } });
  expect((await of.realm()).longestLeaseMs).toBe(longestLeaseMs + 7);
});

test('a new epoch takes the place of all that are known, ends every session, holds, and leaps over all versions', async () => {
  const of = await backedUp();
  const before = await of.realm();
  const file = 'a'.repeat(32);
  const { epoch } = await beginNewEpoch({ ...of.order, supersedes: [file] });
  const after = await of.realm();
  expect(after).toMatchObject({ epoch, closed: false, held: false, generation: before.generation + 1 });
  expect(after.supersedes).toEqual(expect.arrayContaining([of.epoch, file]));
  expect(after.mapVersion).toBeGreaterThan(before.mapVersion + 999_999);
  expect(after.policyVersion).toBeGreaterThan(before.policyVersion + 999_999);
  expect(await of.journal.claimed()).toBe(epoch);
});

test('the old database can write nothing into the journal once it was claimed', async () => {
  const of = await backedUp();
  await beginNewEpoch(of.order);
  await revoke(of.access, { requestId: 'r', kind: 'user', subject: of.id }, BY);
  await expect(of.writer.upTo(1)).rejects.toMatchObject({ code: 'ERR_JOURNAL_CLAIMED' });
  expect(await of.writer.look()).toBe(false);
});

test('of two restores at once the one whose claim was taken stays closed', async () => {
  const of = await backedUp();
  const overtaken: Journal = {
    ...of.journal,
    async read() {
      const content = await of.journal.read();
      await of.journal.claim(await of.journal.claimed(), 'b'.repeat(32));
      return content;
    },
  };
  await expect(beginNewEpoch({ ...of.order, journal: overtaken })).rejects.toMatchObject({
    code: 'ERR_ACCESS_CONFLICT',
  });
  expect(await of.realm()).toMatchObject({ closed: true });
});

test('a journal that cannot be read whole must be called lost, and then nobody is in', async () => {
  const of = await backedUp();
  const content = { epochs: ['e'.repeat(32), of.epoch], entries: [], damaged: [of.epoch] };
  const damaged: Journal = { ...of.journal, read: async () => content };
  await expect(beginNewEpoch({ ...of.order, journal: damaged })).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
  expect(await isIn(of)).toBe(true);
  await beginNewEpoch({ ...of.order, journal: damaged, lost: true });
  expect(await isIn(of)).toBe(false);
});

test('what an epoch before that of the backup has lost is no loss: the backup has it', async () => {
  const of = await backedUp();
  const before = 'e'.repeat(32);
  const content = { epochs: [before, of.epoch], entries: [], damaged: [before] };
  await beginNewEpoch({ ...of.order, journal: { ...of.journal, read: async () => content } });
  expect(await of.realm()).toMatchObject({ closed: false });
});

test('a replaced password opens nothing after a restore, and nobody is dismissed for it', async () => {
  const of = await backedUp();
  await putUser(of.access, 'ada', { password: 'old one' }, BY);
  const secret = () => of.access.store.transaction(({ tables }) => tables.users.find({ id: of.id }));
  const stolen = (await secret())!.passwordHash;
  await putUser(of.access, 'ada', { password: 'new one' }, BY);
  await of.writer.upTo((await of.realm()).head);
  await of.restore();
  await of.access.store.transaction(({ tables }) =>
    tables.users.update({ where: { id: of.id } }, { passwordHash: stolen }),
  );
  const { credentials, appended } = await beginNewEpoch(of.order);
  expect(credentials).toEqual(['ada']);
  expect(appended.map(({ kind }) => kind)).toEqual(['credentials', 'credentials']);
  expect(await secret()).toMatchObject({ passwordHash: null, enabled: true });
});

test('a journal that this database never claimed counts as lost: a new folder in the place of the old one', async () => {
  const of = await backedUp();
  const foreign = { ...of.order, journal: memoryJournal() };
  for (const _ of [1, 2]) await expect(beginNewEpoch(foreign)).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
  expect(await isIn(of)).toBe(true);
  await beginNewEpoch({ ...foreign, lost: true });
  expect(await isIn(of)).toBe(false);
});

test('a restore that stopped in the middle is done again, also on a server whose clock is behind', async () => {
  const of = await backedUp();
  const stopped: Journal = { ...of.journal, read: () => Promise.reject(new Error('killed')) };
  await expect(beginNewEpoch({ ...of.order, journal: stopped })).rejects.toThrow('killed');
  const at = of.clock.now;
  await of.journal.append((await of.journal.claimed())!, [
    {
      epoch: of.epoch,
      index: 1,
      hash: '',
      requestId: 'b',
      kind: 'before',
      subject: `${at}`,
      reason: 'r',
      actor: 'a',
      at,
    },
  ]);
  of.clock.now -= 60_000;
  await beginNewEpoch(of.order);
  expect(await of.realm()).toMatchObject({ closed: false, notBefore: at, head: 1 });
  await beginNewEpoch(of.order);
  expect(await of.realm()).toMatchObject({ closed: false, head: 1 });
});

test('an entry about something that is younger than the backup stands in the log all the same', async () => {
  const of = await backedUp();
  const entry: JournalEntry = {
    epoch: of.epoch,
    index: 1,
    hash: '',
    requestId: 'young',
    kind: 'session',
    subject: 'c'.repeat(32),
    reason: 'r',
    actor: 'a',
    at: 0,
  };
  await of.journal.append(of.epoch, [entry]);
  expect((await beginNewEpoch(of.order)).appended).toEqual([entry]);
});

test('a node does not start on a database whose journal belongs to another life', async () => {
  const of = await backedUp();
  await of.journal.claim(of.epoch, 'b'.repeat(32));
  await expect(openClaim(of.journal, { epoch: of.epoch, supersedes: [] })).rejects.toMatchObject({
    code: 'ERR_JOURNAL_CLAIMED',
  });
});

test('a journal that went back to an epoch before is claimed again by the one that took its place, and by no other', async () => {
  const of = await backedUp();
  const [next, stranger] = ['b'.repeat(32), 'c'.repeat(32)];
  await expect(openClaim(of.journal, { epoch: stranger, supersedes: [next] })).rejects.toMatchObject({
    code: 'ERR_JOURNAL_CLAIMED',
  });
  expect(await openClaim(of.journal, { epoch: next, supersedes: [of.epoch] })).toBe(of.epoch);
  expect(await of.journal.claimed()).toBe(next);
  expect(await openClaim(of.journal, { epoch: next, supersedes: [of.epoch] })).toBeUndefined();
  // The older one does not take it back.
  await expect(openClaim(of.journal, { epoch: of.epoch, supersedes: [] })).rejects.toMatchObject({
    code: 'ERR_JOURNAL_CLAIMED',
  });
});

test('a journal that holds what the log has not says that the database went back', async () => {
  const of = await backedUp();
  await revoke(of.access, { requestId: 'r-1', kind: 'user', subject: of.id }, BY);
  await of.writer.upTo((await of.realm()).head);
  expect(await of.writer.look()).toBe(true);
  expect(of.writer.isAhead).toBe(false);
  const other = new JournalWriter({
    store: of.access.store,
    journal: of.journal,
    epoch: of.epoch,
    monotonicMs: () => 0,
  });
  await of.restore();
  await other.look();
  expect(other.isAhead).toBe(true);
});

test.each(['before the doubt', 'across the doubt'])(
  'what a process has found of its journal in the log says nothing of one that went back: looked %s',
  async (when) => {
    const of = await backedUp();
    await revoke(of.access, { requestId: 'r-1', kind: 'user', subject: of.id }, BY);
    await of.writer.upTo((await of.realm()).head);
    let meanwhile = async (): Promise<void> => undefined;
    const { store } = of.access;
    const transaction: typeof store.transaction = async (work, urgency) => {
      const result = await store.transaction(work, urgency);
      await meanwhile();
      return result;
    };
    const slow = { realm: store.realm, transaction };
    const process = new JournalWriter({ store: slow, journal: of.journal, epoch: of.epoch, monotonicMs: () => 0 });
    const goBack = async (): Promise<void> => {
      meanwhile = async () => undefined;
      await of.restore();
      process.doubt();
    };
    if (when === 'across the doubt') meanwhile = goBack;
    await process.look();
    if (when === 'before the doubt') await goBack();
    expect(process.isAhead).toBe(false);
    await process.look();
    expect(process.isAhead).toBe(true);
  },
);

test('a journal that went back with the database counts as lost where somebody has seen more', async () => {
  const of = await backedUp();
  const row = await revoke(of.access, { requestId: 'r-1', kind: 'user', subject: of.id }, BY);
  const seen = { epoch: of.epoch, head: row.index, headHash: row.hash, journaled: row.index };
  // Nothing of it is in the journal.
  await of.restore();
  await expect(beginNewEpoch({ ...of.order, seen })).rejects.toThrow('it went back, too, and counts as lost');
  expect((await of.realm()).epoch).toBe(of.epoch);
  await beginNewEpoch({ ...of.order, seen, lost: true });
  expect(await isIn(of)).toBe(false);
  // Later lives of the log have settled that.
  await beginNewEpoch({ ...of.order, seen });
});

test('a file that does not say how far the journal was asks nothing of it', async () => {
  const of = await backedUp();
  const row = await revoke(of.access, { requestId: 'r-1', kind: 'user', subject: of.id }, BY);
  await of.restore();
  await beginNewEpoch({ ...of.order, seen: { epoch: of.epoch, head: row.index, headHash: row.hash } });
  expect(await isIn(of)).toBe(true);
});

test.each(['journal', 'log'])('what somebody has seen of the log may be in the %s', async (where) => {
  const of = await backedUp();
  const row = await revoke(of.access, { requestId: 'r-1', kind: 'user', subject: of.id }, BY);
  const seen = { epoch: of.epoch, head: row.index, headHash: row.hash, journaled: row.index };
  if (where === 'journal') {
    await of.writer.upTo(row.index);
    await of.restore();
  }
  await beginNewEpoch({ ...of.order, seen });
  expect(await isIn(of)).toBe(false);
});

test('a closed database says so in its row and in the audit log', async () => {
  const of = await backedUp();
  expect(await closeRealm(of.access, BY)).toBe(of.epoch);
  expect(await of.realm()).toMatchObject({ closed: true });
});

test('leases may be given for so long after the claim was seen, counted from when it was asked for', async () => {
  const clock = { now: 0 };
  const journal = memoryJournal();
  await journal.claim(undefined, 'e');
  const store = new MemoryStore().in('main');
  const writer = new JournalWriter({ store, journal, epoch: 'e', monotonicMs: () => clock.now, authorityMs: 5_000 });
  expect(writer.mayLease).toBe(false);
  expect(await writer.look()).toBe(true);
  clock.now = 4_999;
  expect(writer.mayLease).toBe(true);
  clock.now = 5_000;
  expect(writer.mayLease).toBe(false);
  await journal.claim('e', 'f');
  expect(await writer.look()).toBe(false);
  expect(writer.mayLease).toBe(false);
});

test('a node whose clocks show a suspend or a snapshot gives no lease before it has seen the claim anew', async () => {
  const journal = memoryJournal();
  await journal.claim(undefined, 'e');
  let drifts = 0;
  let meanwhile = (): void => undefined;
  const slow = { ...journal, claimed: () => journal.claimed().finally(() => meanwhile()) };
  const store = new MemoryStore().in('main');
  const parts = { store, journal: slow, epoch: 'e', monotonicMs: () => 0, authorityMs: 5_000, drifts: () => drifts };
  const writer = new JournalWriter(parts);
  await writer.look();
  expect(writer.mayLease).toBe(true);
  // Its monotonic clock stood still: by that alone the claim was seen just now.
  drifts = 1;
  expect(writer.mayLease).toBe(false);
  meanwhile = () => {
    drifts = 2;
  };
  await writer.look();
  expect(writer.mayLease).toBe(false);
  meanwhile = () => undefined;
  await writer.look();
  expect(writer.mayLease).toBe(true);
});

test('a journal that never belonged to the database of the backup is not relied on', async () => {
  const of = await backedUp();
  const empty = memoryJournal();
  await expect(beginNewEpoch({ ...of.order, journal: empty })).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
  expect(await empty.claimed()).toBeUndefined();
  expect(await isIn(of)).toBe(true);
  await beginNewEpoch({ ...of.order, journal: empty, lost: true });
  expect(await isIn(of)).toBe(false);
});

test("what is good once, and who held a lease, is nobody's any more: a backup does not know what was used since", async () => {
  const of = await backedUp();
  await issueCode(of.access, 'ada', undefined, BY);
  await issueJoinToken(of.access, { name: 'p2', site: 'here' }, BY);
  await firstOperatorToken(of.access, 'n1');
  await of.access.store.transaction(({ tables }) => {
    const said = { channels: 0, requests: 0, bytes: 0, rttMs: null };
    const lease = { proxy: 'p1/1', applied: 0, expiresAt: 0, ...said, beat: 1, leaseMs: 15_000, node: 'n1' };
    return tables.leases.insert(lease);
  });
  const counts = () =>
    of.access.store.transaction(async ({ tables }) => [
      await tables.leases.count(),
      await tables.codes.count(),
      await tables.joinTokens.count(),
      await tables.operatorTokens.count({ where: { oneTime: true } }),
    ]);
  expect(await counts()).toEqual([1, 1, 1, 1]);
  await beginNewEpoch(of.order);
  expect(await counts()).toEqual([0, 0, 0, 0]);
});
