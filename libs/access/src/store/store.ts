import { type AnyRow, type Rows, TABLE_NAMES, type TableName } from './tables.ts';

/** A row lock: `share` holds off writers, `update` holds off other lockers too. Held to the end of the transaction. */
export type RowLock = 'share' | 'update';

/** Which rows: equal columns, and bounds of one column. */
export interface Selection<Row> {
  readonly where?: Partial<Row>;
  /** Rows whose column has one of the values. */
  readonly among?: readonly [column: keyof Row & string, values: readonly string[]];
  /** Rows whose other column has one of the values, too. */
  readonly within?: readonly [column: keyof Row & string, values: readonly string[]];
  /** Rows whose column is greater. */
  readonly above?: readonly [column: keyof Row & string, value: number | string];
  /** Rows whose column is smaller. */
  readonly below?: readonly [column: keyof Row & string, value: number | string];
}

/** Selection with order and bound. Rows come in key order. */
export interface Page<Row> extends Selection<Row> {
  readonly limit?: number;
  /** Rows to leave out first. */
  readonly offset?: number;
  readonly newestFirst?: boolean;
}

/** A change of the one row with a key. */
export interface RowChange<Row> {
  readonly key: Partial<Row>;
  readonly change: Partial<Row>;
}

/** One table, seen inside one realm and one transaction. */
export interface Table<Row> {
  find(key: Partial<Row>, lock?: RowLock): Promise<Row | undefined>;
  /** @throws StoreError ERR_STORE_CONFLICT when the key or a unique column is taken. */
  insert(row: Row): Promise<void>;
  /** Inserts many rows at once, or none of them. @throws StoreError ERR_STORE_CONFLICT like `insert`. */
  insertEach(rows: readonly Row[]): Promise<void>;
  /** Changes every selected row; gives how many there were. */
  update(selection: Selection<Row>, change: Partial<Row>): Promise<number>;
  /** Changes rows by their keys, each in its own way; all changes are of the same columns. */
  updateEach(changes: readonly RowChange<Row>[]): Promise<void>;
  remove(selection: Selection<Row>): Promise<number>;
  list(page?: Page<Row>, lock?: RowLock): Promise<readonly Row[]>;
  count(selection?: Selection<Row>): Promise<number>;
  /** How many rows there are for each value of the columns, those that there are: one look, however many values. In no order. */
  tally<Column extends keyof Row & string>(
    columns: readonly Column[],
    selection?: Selection<Row>,
  ): Promise<readonly Tallied<Row, Column>[]>;
}

/** A value of some columns, and how many rows have it. */
export type Tallied<Row, Column extends keyof Row> = Pick<Row, Column> & { readonly count: number };

/** All tables of one realm in one transaction. */
export type Tables = { readonly [Name in TableName]: Table<Rows[Name]> };

/** All tables of one realm, each made by `make` from its name. */
export function makeTables(make: (name: TableName) => Table<AnyRow>): Tables {
  // A table for rows of any columns serves for those of one shape, too; who makes it goes by that shape.
  return Object.fromEntries(TABLE_NAMES.map((name) => [name, make(name)])) as unknown as Tables;
}

/** A table as stores see it. */
export function anyTable(tables: Tables, name: TableName): Table<AnyRow> {
  // The way back: whoever writes to it goes by the table's shape.
  return tables[name] as unknown as Table<AnyRow>;
}

/** One transaction. Not to be used after its function has returned. */
export interface Transaction {
  readonly tables: Tables;
  /**
   * The store's clock, epoch ms: the one clock that all nodes share. It may step when another host takes the store
   * over, so nothing that must hold rests on it.
   */
  now(): number;
  /**
   * Which run of the database server this transaction is in. A server that went back to an earlier state, or another one that took
   * over, was started meanwhile: its run is another one, also when the data do not show it.
   */
  readonly serverRun: string;
}

/** How much a transaction matters beside others. */
export interface Urgency {
  /** True for what Proxies and whoever revokes wait for: it goes before all other work. */
  readonly urgent?: boolean;
}

/**
 * The store of one realm. A transaction is durable when the promise resolves, has no effect when it rejects with
 * anything but ERR_STORE_UNKNOWN, and may run its function again after a deadlock: the function has no other effects.
 */
export interface RealmStore {
  readonly realm: string;
  transaction<T>(work: (transaction: Transaction) => Promise<T>, urgency?: Urgency): Promise<T>;
}
