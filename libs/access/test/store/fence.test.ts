import { expect, test } from 'vitest';
import { EpochFence, fencedStore, type RealmStore, readRealm, settleRealm } from '../../src/index.ts';
import { scene } from '../scene.ts';

/** The same store, whose tables have their methods from elsewhere, as those of a class do. */
function ofClasses(store: RealmStore): RealmStore {
  return {
    realm: store.realm,
    transaction: (work, urgency) =>
      store.transaction(
        ({ tables, ...rest }) => work({ ...rest, tables: { ...tables, realms: Object.create(tables.realms) } }),
        urgency,
      ),
  };
}

test('a fenced store writes as the store does, whatever its tables are made of, until it is closed', async () => {
  const { access } = await scene();
  const fence = new EpochFence();
  const store = fencedStore(ofClasses(access.store), fence);
  fence.pin((await readRealm(store)).epoch);
  expect((await settleRealm(store, { head: 0, auditSeq: 0 })).realm.head).toBe(0);
  await store.transaction(async ({ tables: { realms } }) => {
    const [realm] = await realms.list();
    expect(await realms.count()).toBe(1);
    await realms.updateEach([{ key: { id: 'realm' }, change: { held: !realm!.held } }]);
    expect(await realms.remove({ where: { id: 'realm' } })).toBe(1);
    await realms.insertEach([realm!]);
    await realms.remove({ where: { id: 'realm' } });
    await realms.insert({ ...realm!, closed: true });
  });
  await expect(readRealm(store)).rejects.toMatchObject({ code: 'ERR_STORE_FENCED' });
});

test('a log that is shorter than it was, or another one, ends what is given, and stays so', async () => {
  for (const back of [
    { head: 1, headHash: 'one' },
    { head: 2, headHash: 'other' },
  ]) {
    const { access } = await scene();
    const { store: bare } = access;
    const fence = new EpochFence();
    const store = fencedStore(bare, fence);
    const put = (head: object) =>
      bare.transaction(({ tables }) => tables.realms.update({ where: { id: 'realm' } }, head));
    await put({ head: 2, headHash: 'two' });
    await readRealm(store);
    await readRealm(store);
    await put(back);
    await expect(readRealm(store)).rejects.toMatchObject({ code: 'ERR_STORE_FENCED' });
    expect(fence.refusal).toContain('gone back');
    await put({ head: 3, headHash: 'three' });
    await expect(readRealm(store)).rejects.toMatchObject({ code: 'ERR_STORE_FENCED' });
  }
});

test('only what was committed counts: neither what a transaction wrote and lost, nor one that began before', async () => {
  const { access } = await scene();
  const fence = new EpochFence();
  const store = fencedStore(access.store, fence);
  const lost = store.transaction(async ({ tables }) => {
    await tables.realms.update({ where: { id: 'realm' } }, { head: 7, headHash: 'seven' });
    await tables.realms.find({ id: 'realm' });
    throw new Error('lost');
  });
  await expect(lost).rejects.toThrow('lost');
  await readRealm(store);
  const early = fence.floor;
  fence.committed({ head: 4, headHash: 'four' }, early);
  // It was read before the other one was committed, and answered after it.
  fence.committed({ head: 3, headHash: 'three' }, early);
  expect(fence.refusal).toBeUndefined();
  expect(fence.floor.head).toBe(4);
});
