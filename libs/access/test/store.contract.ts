import { expect, test } from 'vitest';
import { AccessError, type IdentityRow, type RealmStore, type UserRow } from '../src/index.ts';
import { sampleSession } from './sample-session.ts';

/** The store of a realm, fresh for each test by a name of its own. */
export type StoreOf = (realm: string) => RealmStore;

/** A row of a user. */
export const user = (id: string, name: string = id): UserRow => ({
  id,
  name,
  displayName: name,
  passwordHash: null,
  enabled: true,
  outByOperator: false,
  outByDirectory: false,
  pastAccount: '',
  directory: '',
  createdAt: 1,
});

function identityOf({ attributes }: Pick<IdentityRow, 'attributes'>): IdentityRow {
  const texts = { directory: 'd', subject: 's', externalId: '', userId: '', login: 'l', dn: '', version: '' };
  return { ...texts, active: true, expiresAt: 9, onlyName: null, attributes, createdAt: 1, changedAt: 1 };
}

/** What every implementation of the store port must do. */
export function storeContract(storeOf: StoreOf, name: string): void {
  let count = 0;
  const fresh = (): RealmStore => storeOf(`${name}-${process.pid}-${Date.now()}-${count++}`);

  test(`${name}: gives back what was inserted, byte for byte`, async () => {
    const store = fresh();
    await store.transaction(({ tables }) => tables.sessions.insert(sampleSession('s1')));
    expect(await store.transaction(({ tables }) => tables.sessions.find({ id: 's1' }))).toEqual(sampleSession('s1'));
    expect(await store.transaction(({ tables }) => tables.sessions.find({ id: 's2' }))).toBeUndefined();
  });

  test(`${name}: keeps JSON as it was, in its order`, async () => {
    const store = fresh();
    const attributes = { b: 1, a: [1, 'x', null, { deep: true }] };
    await store.transaction(({ tables }) => tables.identities.insert(identityOf({ attributes })));
    const found = await store.transaction(({ tables }) => tables.identities.find({ subject: 's' }));
    expect(JSON.stringify(found!.attributes)).toBe(JSON.stringify(attributes));
  });

  test(`${name}: rows are found by one of several values in each of two columns`, async () => {
    const store = fresh();
    const rows = ['a', 'b', 'c'].flatMap((groupName) =>
      ['x', 'y', 'z'].map((userId) => ({ groupName, userId, source: '' })),
    );
    await store.transaction(({ tables }) => tables.members.insertEach(rows));
    const both = { among: ['groupName', ['a', 'c', 'd']], within: ['userId', ['y', 'z']] } as const;
    const found = await store.transaction(({ tables }) => tables.members.list(both));
    expect(found.map(({ groupName, userId }) => groupName + userId)).toEqual(['ay', 'az', 'cy', 'cz']);
    expect(await store.transaction(({ tables }) => tables.members.count({ within: ['userId', []] }))).toBe(0);
  });

  test(`${name}: counts rows by the values of some columns in one look`, async () => {
    const store = fresh();
    const rows = [
      ['a', 'installed', 1],
      ['a', 'installed', 2],
      ['a', 'failed', 3],
      ['b', 'failed', 4],
    ] as const;
    await store.transaction(({ tables }) =>
      tables.releaseReports.insertEach(
        rows.map(([releaseId, outcome, n]) => ({ releaseId, outcome, installationId: String(n) })),
      ),
    );
    const tallied = await store.transaction(({ tables }) =>
      tables.releaseReports.tally(['releaseId', 'outcome'], { among: ['releaseId', ['a', 'c']] }),
    );
    expect(tallied).toHaveLength(2);
    expect(tallied).toEqual(
      expect.arrayContaining([
        { releaseId: 'a', outcome: 'installed', count: 2 },
        { releaseId: 'a', outcome: 'failed', count: 1 },
      ]),
    );
    const none = store.transaction(({ tables }) =>
      tables.releaseReports.tally(['outcome'], { among: ['releaseId', []] }),
    );
    expect(await none).toEqual([]);
  });

  test(`${name}: a transaction that throws leaves nothing, and the error comes out`, async () => {
    const store = fresh();
    const work = store.transaction(async ({ tables }) => {
      await tables.users.insert(user('u1'));
      throw new AccessError('ERR_ACCESS_INVALID', 'no');
    });
    await expect(work).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
    expect(await store.transaction(({ tables }) => tables.users.count())).toBe(0);
  });

  test(`${name}: a taken key or unique column is a conflict`, async () => {
    const store = fresh();
    await store.transaction(({ tables }) => tables.users.insert(user('u1', 'ada')));
    for (const row of [user('u1', 'eve'), user('u2', 'ada')]) {
      const work = store.transaction(({ tables }) => tables.users.insert(row));
      await expect(work).rejects.toMatchObject({ code: 'ERR_STORE_CONFLICT' });
    }
  });

  test(`${name}: inserts many rows at once, or none`, async () => {
    const store = fresh();
    await store.transaction(({ tables }) => tables.sessions.insertEach([sampleSession('s1'), sampleSession('s2')]));
    expect(await store.transaction(({ tables }) => tables.sessions.list())).toEqual([
      sampleSession('s1'),
      sampleSession('s2'),
    ]);
    const work = store.transaction(({ tables }) => tables.users.insertEach([user('u1'), user('u2'), user('u1', 'x')]));
    await expect(work).rejects.toMatchObject({ code: 'ERR_STORE_CONFLICT' });
    expect(await store.transaction(({ tables }) => tables.users.count())).toBe(0);
    const rows = [identityOf({ attributes: { b: [1, 'x'] } })];
    await store.transaction(({ tables }) => tables.identities.insertEach(rows));
    expect(await store.transaction(({ tables }) => tables.identities.list())).toEqual(rows);
  });

  test(`${name}: what is asked at once is done in its order, and when one fails its error comes out and nothing is left`, async () => {
    const store = fresh();
    const seen = await store.transaction(({ tables: { users } }) =>
      Promise.all([users.count(), users.insert(user('a')), users.count(), users.insert(user('b')), users.list()]),
    );
    expect([seen[0], seen[2], seen[4].map(({ id }) => id)]).toEqual([0, 1, ['a', 'b']]);
    for (let i = 0; i < 20; i++) {
      const failing = store.transaction(({ tables: { users } }) =>
        Promise.all([users.insert(user('c')), users.insert(user('a', 'other')), users.list(), users.insert(user('d'))]),
      );
      await expect(failing).rejects.toMatchObject({ code: 'ERR_STORE_CONFLICT' });
    }
    expect((await store.transaction(({ tables }) => tables.users.list())).map(({ id }) => id)).toEqual(['a', 'b']);
  });

  test(`${name}: what still asks when its transaction is over is refused, and changes nothing`, async () => {
    const store = fresh();
    for (const fails of [true, false]) {
      let late: Promise<unknown> | undefined;
      const done = store.transaction(async ({ tables: { users } }) => {
        late = (async () => {
          for (let i = 0; i < 3; i++) await users.count();
          await users.insert(user('late'));
        })();
        late.catch(() => undefined);
        await users.count();
        if (fails) throw new AccessError('ERR_ACCESS_NOT_FOUND', 'what the work itself found');
      });
      await (fails ? expect(done).rejects.toMatchObject({ code: 'ERR_ACCESS_NOT_FOUND' }) : done);
      await expect(late).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' });
      await store.transaction(({ tables }) => tables.users.insert(user(`after-${fails}`)));
    }
    const left = await store.transaction(({ tables }) => tables.users.list());
    expect(left.map(({ id }) => id)).toEqual(['after-false', 'after-true']);
  });

  test(`${name}: one realm never sees, changes or removes the rows of another`, async () => {
    const [a, b] = [fresh(), fresh()];
    await a.transaction(({ tables }) => tables.users.insert(user('u1', 'ada')));
    await b.transaction(async ({ tables }) => {
      expect(await tables.users.list()).toEqual([]);
      expect(await tables.users.find({ id: 'u1' })).toBeUndefined();
      expect(await tables.users.update({}, { displayName: 'changed' })).toBe(0);
      expect(await tables.users.remove({})).toBe(0);
      await tables.users.insert(user('u1', 'ada'));
    });
    expect(await a.transaction(({ tables }) => tables.users.list())).toEqual([user('u1', 'ada')]);
  });

  test(`${name}: selects by equality, null, above and below, in key order with a limit`, async () => {
    const store = fresh();
    await store.transaction(async ({ tables }) => {
      for (const id of ['c', 'a', 'b'])
        await tables.sessions.insert({ ...sampleSession(id), createdAt: id.charCodeAt(0) });
      await tables.sessions.update({ where: { id: 'b' } }, { endedAt: 5, endReason: 'x' });
      const ids = async (page: Parameters<typeof tables.sessions.list>[0]) =>
        (await tables.sessions.list(page)).map(({ id }) => id);
      expect(await ids({})).toEqual(['a', 'b', 'c']);
      expect(await ids({ newestFirst: true, limit: 2 })).toEqual(['c', 'b']);
      expect(await ids({ offset: 1, limit: 1 })).toEqual(['b']);
      expect(await ids({ where: { endedAt: null } })).toEqual(['a', 'c']);
      expect(await ids({ above: ['createdAt', 97] })).toEqual(['b', 'c']);
      expect(await ids({ below: ['createdAt', 98] })).toEqual(['a']);
      expect(await ids({ below: ['endedAt', 9] })).toEqual(['b']);
      expect(await ids({ above: ['endedAt', -1] })).toEqual(['b']);
      expect(await tables.sessions.count({ where: { endedAt: null } })).toBe(2);
      expect(await tables.sessions.update({ where: { endedAt: null } }, { chanNo: 9 })).toBe(2);
      expect(await tables.sessions.remove({ where: { id: 'a' } })).toBe(1);
    });
  });

  test(`${name}: many rows are found, locked and changed at once, each in its own way`, async () => {
    const store = fresh();
    await store.transaction(async ({ tables }) => {
      for (const id of ['a', 'b', 'c']) await tables.sessions.insert(sampleSession(id));
      await tables.sessions.updateEach([
        { key: { id: 'c' }, change: { chanNo: 3, chanRequest: 'x' } },
        { key: { id: 'a' }, change: { chanNo: 2 ** 40, chanRequest: null } },
        { key: { id: 'nobody' }, change: { chanNo: 1, chanRequest: null } },
      ]);
      await tables.sessions.updateEach([]);
      const listed = await tables.sessions.list({ among: ['id', ['c', 'a', 'nobody', 'a']] }, 'update');
      expect(listed.map(({ id, chanNo, chanRequest }) => [id, chanNo, chanRequest])).toEqual([
        ['a', 2 ** 40, null],
        ['c', 3, 'x'],
      ]);
      expect(await tables.sessions.list({ among: ['id', []] })).toEqual([]);
      expect(await tables.sessions.find({ id: 'b' })).toEqual(sampleSession('b'));
    });
  });

  test(`${name}: transactions that lock the same rows in another order do not wait for each other for ever`, async () => {
    const store = fresh();
    const ids = Array.from({ length: 20 }, (_, i) => `s${i}`);
    await store.transaction(async ({ tables }) => {
      for (const id of ids) await tables.sessions.insert(sampleSession(id));
    });
    const open = (order: readonly string[]) =>
      store.transaction(async ({ tables }) => {
        const rows = await tables.sessions.list({ among: ['id', order] }, 'update');
        await tables.sessions.updateEach(
          rows.map(({ id, chanNo }) => ({ key: { id }, change: { chanNo: chanNo + 1 } })),
        );
      });
    await Promise.all(Array.from({ length: 10 }, (_, i) => open(i % 2 === 0 ? ids : [...ids].reverse())));
    const rows = await store.transaction(({ tables }) => tables.sessions.list());
    expect(rows.every(({ chanNo }) => chanNo === 10)).toBe(true);
  });

  test(`${name}: a locked row is changed by one transaction after the other`, async () => {
    const store = fresh();
    await store.transaction(({ tables }) => tables.sessions.insert(sampleSession('s')));
    const increment = () =>
      store.transaction(async ({ tables }) => {
        const row = await tables.sessions.find({ id: 's' }, 'update');
        await new Promise((done) => setTimeout(done, 2));
        await tables.sessions.update({ where: { id: 's' } }, { chanNo: row!.chanNo + 1 });
      });
    await Promise.all(Array.from({ length: 20 }, increment));
    expect((await store.transaction(({ tables }) => tables.sessions.find({ id: 's' })))!.chanNo).toBe(20);
  });

  test(`${name}: hostile texts are only texts`, async () => {
    const store = fresh();
    for (const text of ["'; drop table users; --", '$1', '"', '\\', '%', '😀', '\u202e']) {
      await store.transaction(({ tables }) => tables.users.insert(user(text)));
      expect(await store.transaction(({ tables }) => tables.users.find({ name: text }))).toEqual(user(text));
    }
  });

  test(`${name}: has a clock`, async () => {
    const now = await fresh().transaction(async (transaction) => transaction.now());
    expect(Math.abs(now - Date.now())).toBeLessThan(60_000);
  });
}
