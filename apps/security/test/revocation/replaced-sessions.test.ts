import { type RealmStore, StoreError } from '@sallyport/access';
import { afterEach, expect, test, vi } from 'vitest';
import { sampleSession } from '../../../../libs/access/test/sample-session.ts';
import { ReplacedSessions } from '../../src/revocation/session-end.ts';
import { scene } from '../scene.ts';

afterEach(() => void vi.useRealTimers());

const DEVICES = ['i1', 'i2', 'i3'];

/** Devices of which each has used a session, and then a newer one; the store is gone while the test says so. */
async function devices() {
  const { context, clock, lines } = await scene();
  const { access, bus, log } = context;
  const state = { gone: false, transactions: 0 };
  const transaction: RealmStore['transaction'] = async (work, urgency) => {
    state.transactions += 1;
    if (state.gone) throw new StoreError('ERR_STORE_UNAVAILABLE', 'the database does not answer');
    return access.store.transaction(work, urgency);
  };
  await access.store.transaction(async ({ tables }) => {
    for (const [i, installationId] of DEVICES.entries())
      for (const age of [2, 1]) {
        const times = { createdAt: clock.now - age, expiresAt: clock.now + 1_000_000 };
        const id = `${i}${age}`.padEnd(32, '0');
        await tables.sessions.insert(sampleSession(id, { installationId, chanNo: 1, ...times }));
      }
  });
  const replaced = new ReplacedSessions({ access: { ...access, store: { realm: 'main', transaction } }, bus, log });
  const pushes: string[] = [];
  bus.subscribe('entries', () => void pushes.push('entries'));
  const ended = () =>
    access.store.transaction(async ({ tables }) =>
      (await tables.revocations.list()).map(({ subject }) => subject.slice(0, 2)).sort(),
    );
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  return { replaced, state, pushes, ended, lines };
}

test('sessions of all who sign in together make way by one transaction and one push', async () => {
  const { replaced, state, pushes, ended } = await devices();
  for (const id of [...DEVICES, ...DEVICES]) replaced.makeWay(id);
  await vi.advanceTimersByTimeAsync(100);
  await replaced.stop();
  expect(pushes).toEqual(['entries']);
  expect(await ended()).toEqual(['02', '12', '22']);
  expect(state.transactions).toBe(1);
});

test('what cannot be ended because the store is gone is ended when it is back', async () => {
  const { replaced, state, ended, lines } = await devices();
  state.gone = true;
  replaced.makeWay('i1');
  await vi.advanceTimersByTimeAsync(100);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(state.transactions).toBe(2);
  expect(lines.filter((line) => line.includes('could not be ended'))).toHaveLength(2);
  state.gone = false;
  replaced.makeWay('i2');
  await vi.advanceTimersByTimeAsync(5_000);
  await replaced.stop();
  expect(await ended()).toEqual(['02', '12']);
});

test('a node that stops ends what is gathered before it goes', async () => {
  const { replaced, ended } = await devices();
  replaced.makeWay('i3');
  await replaced.stop();
  expect(await ended()).toEqual(['22']);
});
