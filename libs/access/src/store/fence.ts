import type { RealmRow } from '../realm/rows.ts';
import { StoreError } from './errors.ts';
import type { RealmStore, Table, Tables, Transaction } from './store.ts';

/**
 * Holds a process to one life of its database. Every transaction that gives or revokes something reads the realm's row, and
 * here each such read is refused when the database was closed, or is not the one that this process began with.
 */
export class EpochFence {
  #epoch: string | undefined;
  #journal: string | undefined;
  #refusal: string | undefined;

  /** The epoch that this process works with from now on. */
  pin(epoch: string): void {
    this.#epoch = epoch;
  }

  /** The journal that this process keeps, by its identity: nodes of one database keep the same one. */
  pinJournal(identity: string): void {
    this.#journal = identity;
  }

  /** Nothing is given any more, for a reason in words: until the process is started again. */
  refuse(why: string): void {
    this.#refusal = why;
  }

  /** Why nothing is given any more; undefined while it is. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /**
   * What is refused once stays refused, also when the row is another one later.
   * @throws StoreError ERR_STORE_FENCED when nothing may be given from the database of this row.
   */
  check(row: RealmRow): void {
    this.#refusal ??= this.#refusalOf(row);
    if (this.#refusal !== undefined) throw new StoreError('ERR_STORE_FENCED', this.#refusal);
  }

  #refusalOf({ epoch, closed, journal }: RealmRow): string | undefined {
    if (closed) return 'this database is closed: another one takes its place';
    if (this.#epoch !== undefined && epoch !== this.#epoch)
      return 'this is another database than the one that this process began with';
    if (this.#journal !== undefined && journal !== this.#journal)
      return 'other nodes keep another journal than this one, which was silent for too long';
    return undefined;
  }
}

/** The same store behind a fence. */
export function fencedStore(store: RealmStore, fence: EpochFence): RealmStore {
  return {
    realm: store.realm,
    transaction: (work, urgency) => store.transaction((transaction) => work(fenced(transaction, fence)), urgency),
  };
}

function fenced(transaction: Transaction, fence: EpochFence): Transaction {
  const tables: Tables = { ...transaction.tables, realms: fencedRealms(transaction.tables.realms, fence) };
  return { tables, now: () => transaction.now() };
}

function fencedRealms(realms: Table<RealmRow>, fence: EpochFence): Table<RealmRow> {
  // Each by name: what a store makes may be of a class, whose methods no spread takes along.
  return {
    insert: (row) => realms.insert(row),
    insertEach: (rows) => realms.insertEach(rows),
    update: (selection, change) => realms.update(selection, change),
    updateEach: (changes) => realms.updateEach(changes),
    remove: (selection) => realms.remove(selection),
    count: (selection) => realms.count(selection),
    async find(key, lock) {
      const row = await realms.find(key, lock);
      if (row) fence.check(row);
      return row;
    },
    async list(page, lock) {
      const rows = await realms.list(page, lock);
      for (const row of rows) fence.check(row);
      return rows;
    },
  };
}
