import { formatHex } from '@sallyport/channel';
import { StoreError } from './errors.ts';
import type { TableShape } from './shape.ts';
import {
  makeTables,
  type Page,
  type RealmStore,
  type Selection,
  type Table,
  type Tallied,
  type Transaction,
} from './store.ts';
import { type AnyRow, shapeOf, TABLE_NAMES } from './tables.ts';

type RowMap = Map<string, AnyRow>;
type Data = Map<string, RowMap>;

/**
 * Store in memory, for tests and simulations: transactions run one after another, a failed one leaves nothing.
 * Realms are apart by construction: each has its own maps.
 */
export class MemoryStore {
  readonly #realms = new Map<string, Data>();
  readonly #now: () => number;
  readonly #serverRun: string;
  #queue: Promise<unknown> = Promise.resolve();

  /** `serverRun` stands for the run of a server. */
  constructor(now: () => number = Date.now, serverRun = 'memory') {
    this.#now = now;
    this.#serverRun = serverRun;
  }

  /** The store of one realm. */
  in(realm: string): RealmStore {
    return { realm, transaction: (work) => this.#enqueue(() => this.#run(realm, work)) };
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #run<T>(realm: string, work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const data: Data = this.#realms.get(realm) ?? new Map();
    const drafts = new Map(TABLE_NAMES.map((name) => [name, new Draft(data.get(name) ?? new Map())]));
    const tables = makeTables((name) => memoryTable(shapeOf(name), drafts.get(name)!));
    const result = await work({ tables, now: this.#now, serverRun: this.#serverRun }).finally(() => {
      for (const draft of drafts.values()) draft.close();
    });
    this.#realms.set(realm, new Map([...drafts].map(([name, { final }]) => [name, final])));
    return result;
  }
}

/** Rows of one table as a transaction sees them: a copy is made with the first change. */
class Draft {
  #rows: RowMap;
  #own = false;
  #isOver = false;

  constructor(rows: RowMap) {
    this.#rows = rows;
  }

  get rows(): RowMap {
    if (this.#isOver) throw new StoreError('ERR_STORE_UNAVAILABLE', 'the transaction is over');
    return this.#rows;
  }

  /** Rows as the transaction leaves them. */
  get final(): RowMap {
    return this.#rows;
  }

  /** The same to write to. */
  get own(): RowMap {
    if (!this.#own) this.#rows = new Map(this.rows);
    this.#own = true;
    return this.rows;
  }

  /** Nothing more is read or changed: the transaction is over. */
  close(): void {
    this.#isOver = true;
  }
}

function comparable(value: unknown): unknown {
  return value instanceof Uint8Array ? formatHex(value) : (value ?? null);
}

function keyOf(shape: TableShape<AnyRow>, row: AnyRow): string {
  return shape.key.map((column) => String(comparable(row[column]))).join('\0');
}

function matches(
  row: AnyRow,
  { where = {}, among, within, above, below }: Selection<AnyRow>,
  values: ReadonlySet<unknown> = new Set(among?.[1]),
): boolean {
  const equal = Object.entries(where).every(([column, value]) => comparable(row[column]) === comparable(value));
  // What is not there is neither above nor below, as in SQL.
  const over = !above || (row[above[0]] !== null && (row[above[0]] as number) > (above[1] as number));
  const under = !below || (row[below[0]] !== null && (row[below[0]] as number) < (below[1] as number));
  const one = !among || values.has(row[among[0]]);
  const other = !within || within[1].includes(row[within[0]] as string);
  return equal && one && other && over && under;
}

function compareKeys(shape: TableShape<AnyRow>): (a: AnyRow, b: AnyRow) => number {
  return (a, b) => {
    for (const column of shape.key) {
      const [x, y] = [a[column] as string, b[column] as string];
      if (x !== y) return x < y ? -1 : 1;
    }
    return 0;
  };
}

function memoryTable(shape: TableShape<AnyRow>, draft: Draft): Table<AnyRow> {
  const selected = (selection: Selection<AnyRow> = {}): [string, AnyRow][] => {
    const values = new Set<unknown>(selection.among?.[1]);
    return [...draft.rows].filter(([, row]) => matches(row, selection, values));
  };
  // As in SQL, what is null is never taken.
  const taken = (row: AnyRow, key: string): boolean =>
    (shape.unique ?? []).some(
      (column) =>
        row[column] != null &&
        [...draft.rows].some(
          ([other, values]) => other !== key && comparable(values[column]) === comparable(row[column]),
        ),
    );
  const change = (key: string, row: AnyRow): void => {
    if (taken(row, key)) throw new StoreError('ERR_STORE_CONFLICT', 'the key is taken');
    draft.own.set(key, row);
  };
  const insert = (row: AnyRow): void => {
    const key = keyOf(shape, row);
    if (draft.rows.has(key) || taken(row, key)) throw new StoreError('ERR_STORE_CONFLICT', 'the key is taken');
    draft.own.set(key, structuredClone(row));
  };
  return {
    find: async (key) => selected({ where: key })[0]?.[1],
    insert: async (row) => insert(row),
    insertEach: async (many) => {
      for (const row of many) insert(row);
    },
    update: async (selection, columns) => {
      const found = selected(selection);
      for (const [key, row] of found) change(key, { ...row, ...structuredClone(columns) });
      return found.length;
    },
    updateEach: async (changes) => {
      for (const { key, change: columns } of changes) {
        for (const [id, row] of selected({ where: key })) change(id, { ...row, ...structuredClone(columns) });
      }
    },
    remove: async (selection) => {
      const found = selected(selection);
      for (const [key] of found) draft.own.delete(key);
      return found.length;
    },
    list: async (page: Page<AnyRow> = {}) => {
      const ordered = selected(page)
        .map(([, row]) => row)
        .sort(compareKeys(shape));
      const { offset = 0, limit = Number.POSITIVE_INFINITY } = page;
      return (page.newestFirst ? ordered.reverse() : ordered).slice(offset, offset + limit);
    },
    count: async (selection) => selected(selection).length,
    tally: async <Column extends string>(columns: readonly Column[], selection: Selection<AnyRow> = {}) => {
      const found = new Map<string, Tallied<AnyRow, Column>>();
      for (const [, row] of selected(selection)) {
        const value = Object.fromEntries(columns.map((column) => [column, row[column]])) as Pick<AnyRow, Column>;
        const name = JSON.stringify(Object.values(value));
        found.set(name, { ...value, count: (found.get(name)?.count ?? 0) + 1 });
      }
      return [...found.values()];
    },
  };
}
