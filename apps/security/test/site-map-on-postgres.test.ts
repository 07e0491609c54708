import { type AccessContext, putSite, readSiteMap, type SiteMapContent } from '@sallyport/access';
import type { Transaction } from '@sallyport/access/store';
import { Repeating } from '@sallyport/support';
import { expect, test } from 'vitest';
import { BY, realmOn } from '../../../libs/access/test/scene.ts';
import { startDatabase } from '../../../libs/store-sql/test/real-postgres.ts';

const { store } = await startDatabase();

function move(access: AccessContext, port: number): Promise<unknown> {
  return putSite(access, { name: 'a', origins: [`wss://a.example:${port}`] }, BY);
}

type Tables = Transaction['tables'];

/** The same tables, for somebody who does something before each statement. */
function heldUp(tables: Tables, before: () => Promise<void>): Tables {
  const held = (table: object): object =>
    new Proxy(table, {
      get: (_, name) => {
        const method = Reflect.get(table, name);
        if (typeof method !== 'function') return method;
        return async (...values: unknown[]) => {
          await before();
          return Reflect.apply(method, table, values);
        };
      },
    });
  return Object.fromEntries(Object.entries(tables).map(([name, table]) => [name, held(table)])) as unknown as Tables;
}

/** Reads the map on a connection of its own, and lets another one commit a change before statement number `at`. */
async function readAround(access: AccessContext, at: number, change: () => Promise<unknown>) {
  let statements = 0;
  const held: AccessContext['store'] = {
    realm: access.store.realm,
    transaction: (work) =>
      access.store.transaction((transaction) => {
        const before = async (): Promise<void> => {
          statements += 1;
          if (statements === at) await change();
        };
        return work({ ...transaction, tables: heldUp(transaction.tables, before) });
      }),
  };
  return { read: await readSiteMap({ ...access, store: held }), statements };
}

test('a map that another connection changes between any two statements of its reading is the one before or the one behind', async () => {
  const access = await realmOn(store.in('around'));
  await move(access, 1);
  for (let at = 1; ; at++) {
    const before = await readSiteMap(access);
    const { read, statements } = await readAround(access, at, () => move(access, at + 1));
    if (at > statements) break;
    const behind = await readSiteMap(access);
    expect(behind.seq, 'the other connection has committed').toBeGreaterThan(before.seq);
    expect([before, behind], `a change before statement ${at}`).toContainEqual(read);
  }
});

test('connections that read while others change the map never see two maps of one version', async () => {
  const access = await realmOn(store.in('at-once'));
  await move(access, 1);
  const maps = new Map<number, SiteMapContent>();
  const look = async (): Promise<void> => {
    const read = await readSiteMap(access);
    expect(read).toEqual(maps.get(read.seq) ?? read);
    maps.set(read.seq, read);
  };
  const change = async (writer: number): Promise<void> => {
    for (let i = 0; i < 10; i++) await move(access, 10 * writer + i);
  };
  const readers = [new Repeating(look), new Repeating(look), new Repeating(look)];
  await Promise.all([change(1), change(2)]);
  await Promise.all(readers.map((reader) => reader.stop()));
  await look();
});
