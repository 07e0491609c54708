import type { AnyRow, Page, RowChange, RowLock, Selection, Table, Tallied } from '@sallyport/access/store';
import {
  deleteSelected,
  insertMany,
  insertOne,
  type RealmTable,
  type Statement,
  selectCount,
  selectOne,
  selectPage,
  selectTally,
  updateEach,
  updateSelected,
} from './statements.ts';

/** Runs one statement of the transaction. @throws StoreError ERR_STORE_CONFLICT for a key that is taken */
export type Query = (statement: Statement) => Promise<{ rows: AnyRow[]; count: number }>;

/** A table of one realm in one transaction. */
export class SqlTable implements Table<AnyRow> {
  readonly #of: RealmTable;
  readonly #query: Query;

  constructor(of: RealmTable, query: Query) {
    this.#of = of;
    this.#query = query;
  }

  async find(key: AnyRow, lock?: RowLock): Promise<AnyRow | undefined> {
    return (await this.#query(selectOne(this.#of, key, lock))).rows[0];
  }

  async list(page: Page<AnyRow> = {}, lock?: RowLock): Promise<AnyRow[]> {
    if (page.among?.[1].length === 0) return [];
    return (await this.#query(selectPage(this.#of, page, lock))).rows;
  }

  async count(selection: Selection<AnyRow> = {}): Promise<number> {
    return (await this.#query(selectCount(this.#of, selection))).rows[0]!['count'] as number;
  }

  async tally(columns: readonly string[], selection: Selection<AnyRow> = {}): Promise<Tallied<AnyRow, string>[]> {
    if (selection.among?.[1].length === 0) return [];
    return (await this.#query(selectTally(this.#of, columns, selection))).rows as Tallied<AnyRow, string>[];
  }

  async insert(row: AnyRow): Promise<void> {
    await this.#write(insertOne(this.#of, row));
  }

  async insertEach(rows: readonly AnyRow[]): Promise<void> {
    if (rows.length > 0) await this.#write(insertMany(this.#of, rows));
  }

  async update(selection: Selection<AnyRow>, change: AnyRow): Promise<number> {
    if (Object.keys(change).length === 0) return this.count(selection);
    return this.#write(updateSelected(this.#of, selection, change));
  }

  async updateEach(changes: readonly RowChange<AnyRow>[]): Promise<void> {
    if (changes.length > 0) await this.#write(updateEach(this.#of, changes));
  }

  async remove(selection: Selection<AnyRow>): Promise<number> {
    return this.#write(deleteSelected(this.#of, selection));
  }

  async #write(statement: Statement): Promise<number> {
    return (await this.#query(statement)).count;
  }
}
