import { expect, test } from 'vitest';
import { EpochFence, fencedStore, type RealmStore, readRealm, settleRealm } from '../../src/index.ts';
import { scene } from '../scene.ts';

/** The same store, whose tables have their methods from elsewhere, as those of a class do. */
function ofClasses(store: RealmStore): RealmStore {
  return {
    realm: store.realm,
    transaction: (work, urgency) =>
      store.transaction(
        ({ tables, now }) => work({ tables: { ...tables, realms: Object.create(tables.realms) }, now }),
        urgency,
      ),
  };
}

test('a fenced store writes as the store does, whatever its tables are made of, until it is closed', async () => {
  const { access } = await scene();
  const fence = new EpochFence();
  const store = fencedStore(ofClasses(access.store), fence);
  fence.pin((await readRealm(store)).epoch);
  expect((await settleRealm(store, 0)).realm.head).toBe(0);
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
