import { countRealm, getRealm, isLive, type RealmCounts, revoke } from '@sallyport/access';
import type { Rows } from '@sallyport/access/store';
import { expect, test } from 'vitest';
import { sampleSession } from '../../../../libs/access/test/sample-session.ts';
import { BY, scene as realmScene } from '../../../../libs/access/test/scene.ts';
import { CountWatch } from '../../src/farm/count-watch.ts';

/** A count that ends when told, on a clock that the test moves. */
function counting() {
  const state = { now: 0, begun: 0, ends: [] as (() => void)[] };
  const watch = new CountWatch(
    () => {
      state.begun += 1;
      const counts: RealmCounts = { liveSessions: state.begun, installations: 0, users: 0, countedAt: state.now };
      return new Promise((resolve) => state.ends.push(() => resolve(counts)));
    },
    () => state.now,
  );
  const end = async (tookMs: number): Promise<void> => {
    state.now += tookMs;
    state.ends.shift()!();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { state, watch, end };
}

test('quick counts are always of this moment', async () => {
  const { watch, end } = counting();
  for (let i = 1; i <= 3; i++) {
    const looked = watch.look(60_000);
    await end(5);
    expect(await looked).toMatchObject({ liveSessions: i });
  }
});

test('a long count is shared, told with its age, and not repeated before the store has rested', async () => {
  const { state, watch, end } = counting();
  const first = watch.look(60_000);
  const many = Array.from({ length: 50 }, () => watch.look(60_000));
  await end(10_000);
  expect(await first).toMatchObject({ liveSessions: 1, countedAt: 0 });
  for (const one of await Promise.all(many)) expect(one).toMatchObject({ liveSessions: 1 });
  state.now += 100_000;
  expect(await watch.look(60_000)).toMatchObject({ liveSessions: 1, countedAt: 0 });
  expect(state.begun).toBe(1);
  state.now += 100_000;
  // The next one is under way: who does not wait gets the last one.
  expect(await watch.look(0)).toMatchObject({ liveSessions: 1, countedAt: 0 });
  expect(state.begun).toBe(2);
  await end(10);
  const next = watch.look(60_000);
  await end(10);
  expect((await next).liveSessions).toBeGreaterThan(1);
});

test('a store that does not answer is said, not counted as nobody', async () => {
  const watch = new CountWatch(() => Promise.reject(new Error('the store is away')));
  await expect(watch.look(1_000)).rejects.toThrow('the store is away');
});

test.each(['nothing was revoked', 'everything before a moment was', 'everything was'])(
  'counts are those of the sessions that live, when %s',
  async (what) => {
    const { access, clock } = await realmScene();
    const { now } = clock;
    const sessions = [0, 1, 2, 3].flatMap((age) =>
      [-1, 0, 1, 5].flatMap((left) =>
        [null, now].map((endedAt) => ({ createdAt: now - age, expiresAt: now + left, endedAt })),
      ),
    );
    await access.store.transaction(async ({ tables }) => {
      const rows = sessions.map((of, i) => ({ ...SESSION, ...of, id: `s${i}` }));
      await tables.sessions.insertEach(rows);
      const statuses = ['active', 'pending', 'revoked'] as const;
      await tables.installations.insertEach(statuses.map(installation));
    });
    if (what !== 'nothing was revoked') {
      const subject = what === 'everything was' ? 'now' : String(now - 1);
      await revoke(access, { requestId: 'request-1', kind: 'before', subject }, BY);
    }
    clock.now += 1;
    const live = await access.store.transaction(async (transaction) => {
      const realm = await getRealm(transaction);
      const rows = await transaction.tables.sessions.list();
      return rows.filter((row) => isLive(row, realm, transaction.now())).length;
    });
    expect(live > 0).toBe(what !== 'everything was');
    expect(await countRealm(access)).toMatchObject({ liveSessions: live, installations: 2, users: 0 });
  },
);

const SESSION = sampleSession('', { secret: null, createdAt: 0, expiresAt: 0 });

function installation(status: Rows['installations']['status'], i: number): Rows['installations'] {
  const keys = { currentKey: null, nextKey: null, previousKey: null, deviceStatic: new Uint8Array(32).fill(i) };
  return {
    ...{ id: `i${i}`, userId: 'u', signingKey: {}, status, generation: 0, ...keys, rotatedAt: 0, app: 'a@1' },
    ...{ model: 'm', createdAt: 0, lastSeenAt: null, resumeId: null },
  };
}
