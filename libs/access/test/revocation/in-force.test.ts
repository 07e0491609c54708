import { expect, test } from 'vitest';
import {
  type AccessContext,
  disableUser,
  EpochFence,
  fencedStore,
  getRealm,
  Hold,
  issueJoinToken,
  LeaseWatch,
  memoryBus,
  putUser,
  recordBeat,
  redeemJoinToken,
  removeUser,
  revoke,
  revokeProxy,
  StoreError,
  untilHeadInForce,
  untilInForce,
  untilProxyGone,
} from '../../src/index.ts';
import { enrolled } from '../ada.ts';
import { BY, scene } from '../scene.ts';

const LEASE_MS = 15_000;
const ONE = '1'.repeat(32);
const TWO = '2'.repeat(32);
/** Stands for the hash of the Proxy's key. */
const KEY = 'f0'.repeat(32);
const LONG = { maxMs: 1_000_000 };

/** A realm with a Proxy, and a node that waits on a clock of its own. */
async function waiting() {
  const { access: bare } = await scene();
  await redeemJoinToken(bare, await issueJoinToken(bare, { name: 'p1', site: 'here' }, BY), KEY);
  const fence = new EpochFence();
  const access: AccessContext = { ...bare, store: fencedStore(bare.store, fence) };
  const realm = () => bare.store.transaction((transaction) => getRealm(transaction));
  fence.pin((await realm()).epoch);
  const clock = { mono: 0 };
  const monotonicMs = (): number => clock.mono;
  const meanwhile: (() => Promise<unknown>)[] = [];
  const node = {
    access,
    leases: new LeaseWatch(monotonicMs),
    hold: new Hold(monotonicMs),
    bus: memoryBus(),
    monotonicMs,
    trouble: () => undefined,
    nextBeat: async (ms: number): Promise<void> => {
      clock.mono += ms;
      await meanwhile.shift()?.();
    },
  };
  const beat = async (instance: string, place: 'fresh' | 'head', leaseMs = LEASE_MS) => {
    const { epoch, head, headHash } = await realm();
    const where =
      place === 'fresh' ? { seen: 0, hash: '', done: 0 } : { epoch, seen: head, hash: headHash, done: head };
    return recordBeat(access, {
      proxy: 'p1',
      keyHash: KEY,
      beat: { instance, channels: 0, ...where },
      leaseMs,
      node: 'n',
    });
  };
  const change = (row: object) =>
    bare.store.transaction(({ tables }) => tables.realms.update({ where: { id: 'realm' } }, row));
  const everything = () => revoke(access, { requestId: 'r', kind: 'before', subject: 'now' }, BY);
  return { access, bare, node, clock, beat, change, everything, meanwhile };
}

test('two processes of one Proxy are two: that one has an entry does not hide that the other has not', async () => {
  const { node, beat, everything, meanwhile } = await waiting();
  await beat(ONE, 'fresh');
  await beat(TWO, 'fresh');
  const entry = await everything();
  meanwhile.push(() => beat(ONE, 'head'));
  const force = await untilInForce(node, entry, { maxMs: 1_000 });
  expect(force.waitingFor).toMatchObject([{ proxy: 'p1', instance: TWO }]);
  expect((await untilInForce(node, entry, LONG)).waitingFor).toEqual([]);
});

test('in a new epoch nothing is in force before the longest lease of the one before is over', async () => {
  const { node, change, everything } = await waiting();
  await change({ held: false, longestLeaseMs: 60_000 });
  const { waitedMs } = await untilInForce(node, await everything(), LONG);
  expect(waitedMs).toBeGreaterThanOrEqual(60_050);
  await change({ held: true });
  expect((await untilInForce(node, { index: 1 }, LONG)).waitedMs).toBe(0);
});

test('nothing is in force before leases are over that the database server may have lost with its last run', async () => {
  const { node, change, everything, beat } = await waiting();
  await beat(ONE, 'fresh');
  await change({ heldRun: 'before', longestLeaseMs: 60_000 });
  const entry = await everything();
  await beat(ONE, 'head');
  const early = await untilInForce(node, entry, { maxMs: 1_000 });
  expect(early.waitingFor).toMatchObject([{ proxy: '(leases from before the start of the database server)' }]);
  expect((await untilInForce(node, entry, LONG)).waitingFor).toEqual([]);
});

test.each([
  ['the entry is gone', ({ bare }) => bare.store.transaction(({ tables }) => tables.revocations.remove({}))],
  ['another one stands in its place', ({ bare }) => swap(bare)],
  ['the database has another epoch', ({ change }) => change({ epoch: 'f'.repeat(32) })],
  ['the database is closed', ({ change }) => change({ closed: true })],
] satisfies [string, (of: Awaited<ReturnType<typeof waiting>>) => Promise<unknown>][])(
  'who waits hears that a revocation is lost when %s meanwhile',
  async (_what, goBack) => {
    const of = await waiting();
    await of.beat(ONE, 'fresh');
    const entry = await of.everything();
    of.meanwhile.push(() => goBack(of));
    await expect(untilInForce(of.node, entry, LONG)).rejects.toMatchObject({ code: 'ERR_ACCESS_LOST' });
  },
);

function swap({ store }: AccessContext): Promise<unknown> {
  return store.transaction(({ tables }) => tables.revocations.update({}, { hash: 'e'.repeat(64) }));
}

test('nothing is given from a database that is closed or has another epoch: no beat, no revocation', async () => {
  const { beat, change, everything } = await waiting();
  await change({ closed: true });
  await expect(everything()).rejects.toMatchObject({ code: 'ERR_STORE_FENCED' });
  await change({ closed: false, epoch: 'f'.repeat(32) });
  await expect(beat(ONE, 'fresh')).rejects.toMatchObject({ code: 'ERR_STORE_FENCED' });
});

test('a Proxy whose place is not in this log gets no lease and no row', async () => {
  const { access, beat, everything } = await waiting();
  await everything();
  const rows = () => access.store.transaction(({ tables }) => tables.leases.count());
  const { epoch } = await access.store.transaction((transaction) => getRealm(transaction));
  const send = (place: object) => {
    const beat = { instance: ONE, channels: 0, seen: 1, hash: 'e'.repeat(64), done: 1, ...place };
    return recordBeat(access, { proxy: 'p1', keyHash: KEY, beat, leaseMs: LEASE_MS, node: 'n' });
  };
  expect(await send({ epoch })).toEqual({ type: 'anew', epoch, supersedes: true });
  expect(await send({ epoch, seen: 7 })).toMatchObject({ type: 'anew' });
  expect(await send({ epoch: TWO })).toEqual({ type: 'anew', epoch, supersedes: false });
  expect(await send({ after: TWO })).toEqual({ type: 'anew', epoch, supersedes: false });
  expect(await rows()).toBe(0);
  expect(await send({ after: epoch })).toMatchObject({ type: 'lease', epoch, head: 1, entries: [] });
  expect(await beat(ONE, 'head')).toMatchObject({ type: 'lease' });
  expect(await rows()).toBe(1);
});

test('no lease is longer than what a restore waits for', async () => {
  const { beat, change } = await waiting();
  await change({ longestLeaseMs: 2_000 });
  expect(await beat(ONE, 'fresh')).toMatchObject({ leaseMs: 2_000 });
});

test('a shorter lease does not hide a longer one that the same process was given before', async () => {
  const { node, clock, beat, everything } = await waiting();
  await beat(ONE, 'fresh');
  expect(await beat(ONE, 'head', 1_000)).toMatchObject({ type: 'lease', leaseMs: 1_000 });
  await untilInForce(node, await everything(), LONG);
  expect(clock.mono).toBeGreaterThanOrEqual(LEASE_MS);
});

test('a long lease is waited for with the margin by which clocks may run apart over it', async () => {
  const { node, clock, beat, everything, change } = await waiting();
  const longMs = 300_000;
  await change({ longestLeaseMs: longMs });
  await beat(ONE, 'fresh', longMs);
  await untilInForce(node, await everything(), LONG);
  expect(clock.mono).toBeGreaterThanOrEqual(longMs + 2 * longMs * 500e-6);
});

test('a revoked Proxy is gone when the leases of all its processes are over, not before', async () => {
  const { access, node, beat } = await waiting();
  await beat(ONE, 'fresh');
  expect(await revokeProxy(access, 'p1', BY)).toBe(true);
  expect(await beat(ONE, 'head')).toEqual({ type: 'revoked' });
  const soon = await untilProxyGone(node, 'p1', { maxMs: 1_000 });
  expect(soon.waitingFor).toMatchObject([{ proxy: 'p1', instance: ONE }]);
  expect((await untilProxyGone(node, 'p1', LONG)).waitingFor).toEqual([]);
});

test('who cannot read the leases never says "in force", and gives up on them sooner', async () => {
  const { node, everything } = await waiting();
  const entry = await everything();
  const store = {
    realm: 'main',
    transaction: async (): Promise<never> => {
      throw new StoreError('ERR_STORE_UNAVAILABLE', 'down');
    },
  };
  const blind = { ...node, access: { ...node.access, store } };
  const { waitedMs, waitingFor } = await untilInForce(blind, entry, { maxMs: 60_000, unreadableMs: 500 });
  expect(waitingFor).toHaveLength(1);
  expect(waitedMs).toBe(500);
});

test('patience with what cannot be read begins when it cannot be read', async () => {
  const { node, beat, everything, clock, meanwhile } = await waiting();
  await beat(ONE, 'fresh');
  const entry = await everything();
  const { transaction } = node.access.store;
  let down = false;
  const store = {
    realm: 'main',
    transaction: (async (work, urgency) => {
      if (down) throw new StoreError('ERR_STORE_UNAVAILABLE', 'down');
      return transaction(work, urgency);
    }) as typeof transaction,
  };
  for (let i = 0; i < 20; i++) meanwhile.push(async () => undefined);
  for (const next of [true, false]) {
    meanwhile.push(async () => {
      down = next;
    });
  }
  // Two seconds of leases that live, one look at nothing, and the end of the lease.
  const seeing = { ...node, access: { ...node.access, store } };
  expect((await untilInForce(seeing, entry, { ...LONG, unreadableMs: 500 })).waitingFor).toEqual([]);
  expect(clock.mono).toBeGreaterThanOrEqual(LEASE_MS);
});

test('a request that finds its work done waits for everything so far', async () => {
  const { node, beat, everything, clock } = await waiting();
  await beat(ONE, 'fresh');
  await everything();
  expect((await untilHeadInForce(node, { maxMs: 1_000 })).waitingFor).toMatchObject([{ instance: ONE }]);
  await beat(ONE, 'head');
  clock.mono += 1;
  expect((await untilHeadInForce(node, { maxMs: 0 })).waitingFor).toEqual([]);
});

test('what the journal has not taken is not in force, however long it is waited for', async () => {
  const { node, everything } = await waiting();
  const entry = await everything();
  let tries = 0;
  const journal = {
    async upTo(): Promise<void> {
      tries += 1;
      if (tries < 20) throw new StoreError('ERR_STORE_UNAVAILABLE', 'the journal does not answer');
    },
  };
  const force = await untilInForce({ ...node, journal }, entry, { maxMs: 1_000 });
  expect(force.waitingFor).not.toEqual([]);
  // Who has an end of patience for what nobody knows is not kept until the longest lease is over.
  tries = 0;
  const impatient = await untilInForce({ ...node, journal }, entry, { maxMs: 310_000, unreadableMs: 500 });
  expect(impatient).toMatchObject({ waitedMs: 500, waitingFor: [{ proxy: '(the journal does not answer)' }] });
  expect((await untilInForce({ ...node, journal }, entry, LONG)).waitingFor).toEqual([]);
  expect(tries).toBeGreaterThanOrEqual(20);
});

test.each([
  ['disabled', disableUser],
  ['removed', removeUser],
] as const)(
  'a user who was %s is out when their installations are, in the journal and at Proxies',
  async (_, putOut) => {
    const { access, node, beat } = await waiting();
    await putUser(access, 'ada', { password: 'pw' }, BY);
    const { id } = await enrolled(access);
    const before = await beat(ONE, 'head');
    const put = await putOut(access, 'ada', 'request-1', BY);
    const index = typeof put === 'number' ? put : put.index;
    let taken = index;
    const journal = {
      async upTo(asked: number): Promise<void> {
        if (asked > taken) throw new StoreError('ERR_STORE_UNAVAILABLE', 'the journal does not answer');
      },
    };
    const entries = await access.store.transaction(({ tables }) =>
      tables.revocations.list({ above: ['index', index] }),
    );
    expect(entries).toMatchObject([{ kind: 'installation', subject: id }]);
    expect(before).toMatchObject({ type: 'lease' });
    const patience = { maxMs: 1_000 };
    const untaken = await untilInForce({ ...node, journal }, { index }, patience);
    expect(untaken.waitingFor).toMatchObject([{ proxy: '(the journal does not answer)' }]);
    taken = index + 1;
    expect((await untilInForce({ ...node, journal }, { index }, patience)).waitingFor).toMatchObject([
      { instance: ONE },
    ]);
    await beat(ONE, 'head');
    expect((await untilInForce({ ...node, journal }, { index }, patience)).waitingFor).toEqual([]);
  },
);

test('the hold lasts so much longer as a node of before may go on without looking at the claim', () => {
  const clock = { mono: 0 };
  const realm = { epoch: ONE, held: false, heldRun: 'run', longestLeaseMs: LEASE_MS };
  const [plain, third] = [new Hold(() => clock.mono), new Hold(() => clock.mono, 60_000)];
  const leftMs = (hold: Hold): number => hold.running({ realm, serverRun: 'run' })?.remainingMs ?? 0;
  expect(leftMs(third)).toBeGreaterThanOrEqual(leftMs(plain) + 60_000);
  clock.mono = LEASE_MS + 59_000;
  expect(leftMs(plain)).toBe(0);
  expect(leftMs(third)).toBeGreaterThan(0);
});

test('a run of the database server in which nobody has waited is held for one lease, one that somebody has waited in is not', () => {
  const clock = { mono: 0 };
  const hold = new Hold(() => clock.mono, 60_000);
  const realm = { epoch: ONE, held: true, heldRun: 'first', longestLeaseMs: LEASE_MS };
  const leftMs = (serverRun: string): number => hold.running({ realm, serverRun })?.remainingMs ?? 0;
  expect(leftMs('first')).toBe(0);
  expect(leftMs('second')).toBeGreaterThan(LEASE_MS);
  expect(leftMs('second')).toBeLessThan(LEASE_MS + 60_000);
  clock.mono = LEASE_MS;
  expect(leftMs('second')).toBeGreaterThan(0);
  // And again for the next one, which may have gone back as well.
  expect(leftMs('third')).toBeGreaterThan(LEASE_MS);
  clock.mono = 3 * LEASE_MS;
  expect(leftMs('third')).toBe(0);
  // The row knows nothing of the runs between: one that returns may lack leases of those.
  expect(leftMs('first')).toBeGreaterThan(LEASE_MS);
  clock.mono = 5 * LEASE_MS;
  expect(leftMs('first')).toBe(0);
});

test('a hold lasts as long as the longest lease that was ever seen, also when the database has forgotten it', () => {
  const clock = { mono: 0 };
  const hold = new Hold(() => clock.mono);
  const leftMs = (serverRun: string, longestLeaseMs: number): number =>
    hold.running({ realm: { epoch: ONE, held: true, heldRun: 'first', longestLeaseMs }, serverRun })?.remainingMs ?? 0;
  expect(leftMs('first', 300_000)).toBe(0);
  expect(leftMs('second', LEASE_MS)).toBeGreaterThan(300_000);
});
