import type { RealmRow } from '../realm/rows.ts';
import { StoreError } from './errors.ts';
import type { RealmStore, Table, Tables, Transaction } from './store.ts';

/** A place in the revocation log. */
type LogHead = Pick<RealmRow, 'head' | 'headHash'>;

const WENT_BACK =
  'the database has gone back in time: entries of the revocation log that this node has read are not there any more; it needs "sallyport realm new-epoch" before any node uses it';

/**
 * Holds a process to one life of its database. Every transaction that gives or revokes something reads the realm's row, and
 * here each such read is refused when the database was closed, or is not the one that this process began with.
 */
export class EpochFence {
  #epoch: string | undefined;
  #journal: string | undefined;
  #refusal: string | undefined;
  /** The furthest head of the log that a transaction has read and was answered for. */
  #floor: LogHead = { head: 0, headHash: '' };

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

  /** How far the log is that this process knows of. What a transaction reads that begins now is no less. */
  get floor(): LogHead {
    return this.#floor;
  }

  /**
   * Takes the head that a transaction has read, once it was committed: read from a server that was replaced meanwhile it never is.
   * `floor` is that of its beginning.
   * @throws StoreError ERR_STORE_FENCED when the log is shorter, or another one, than it was
   */
  committed({ head, headHash }: LogHead, floor: LogHead): void {
    const isBehind = head < floor.head || (head === floor.head && headHash !== floor.headHash);
    if (isBehind) this.#refusal ??= WENT_BACK;
    if (this.#refusal !== undefined) throw new StoreError('ERR_STORE_FENCED', this.#refusal);
    if (head > this.#floor.head) this.#floor = { head, headHash };
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
    async transaction(work, urgency) {
      const { floor } = fence;
      let first: RealmRow | undefined;
      const result = await store.transaction((transaction) => {
        // It may run again, after a conflict.
        first = undefined;
        return work(
          fenced(transaction, (row) => {
            fence.check(row);
            first ??= row;
          }),
        );
      }, urgency);
      if (first) fence.committed(first, floor);
      return result;
    },
  };
}

type CheckRow = (row: RealmRow) => void;

function fenced(transaction: Transaction, check: CheckRow): Transaction {
  const tables: Tables = { ...transaction.tables, realms: fencedRealms(transaction.tables.realms, check) };
  return { tables, now: () => transaction.now(), serverRun: transaction.serverRun };
}

function fencedRealms(realms: Table<RealmRow>, check: CheckRow): Table<RealmRow> {
  // Each by name: what a store makes may be of a class, whose methods no spread takes along.
  return {
    insert: (row) => realms.insert(row),
    insertEach: (rows) => realms.insertEach(rows),
    update: (selection, change) => realms.update(selection, change),
    updateEach: (changes) => realms.updateEach(changes),
    remove: (selection) => realms.remove(selection),
    count: (selection) => realms.count(selection),
    tally: (columns, selection) => realms.tally(columns, selection),
    async find(key, lock) {
      const row = await realms.find(key, lock);
      if (row) check(row);
      return row;
    },
    async list(page, lock) {
      const rows = await realms.list(page, lock);
      for (const row of rows) check(row);
      return rows;
    },
  };
}
