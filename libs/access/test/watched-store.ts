import { anyTable, makeTables, type RealmStore, type Selection, type Table } from '../src/store/store.ts';
import type { AnyRow } from '../src/store/tables.ts';

/** What statements were about. */
export interface SeenStatements {
  /** The most rows that one of them named or read. */
  rows: number;
}

/** A store that notes what its statements are about. */
export function watchedStore(store: RealmStore, seen: SeenStatements): RealmStore {
  const note = (value: unknown): void => {
    if (Array.isArray(value)) seen.rows = Math.max(seen.rows, value.length);
  };
  const watched = (table: Table<AnyRow>): Table<AnyRow> =>
    new Proxy(table, {
      get:
        (_, name: keyof Table<AnyRow>) =>
        async (about: unknown, ...others: unknown[]) => {
          note(about);
          note((about as Selection<AnyRow> | undefined)?.among?.[1]);
          // Called as it came: the type of each is that of the method which is named.
          const result = await (table[name] as (...values: unknown[]) => Promise<unknown>)(about, ...others);
          note(result);
          return result;
        },
    });
  return {
    realm: store.realm,
    transaction: (work, urgency) =>
      store.transaction((transaction) => {
        const tables = makeTables((name) => watched(anyTable(transaction.tables, name)));
        return work({ tables, now: () => transaction.now(), serverRun: transaction.serverRun });
      }, urgency),
  };
}
