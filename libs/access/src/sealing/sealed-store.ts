import { setImmediate } from 'node:timers/promises';
import { encodeText, formatHex } from '@sallyport/channel';
import { AccessError } from '../store/errors.ts';
import {
  anyTable,
  type Page,
  type RealmStore,
  type RowChange,
  type RowLock,
  type Selection,
  type Table,
  type Tables,
  type Transaction,
} from '../store/store.ts';
import { type AnyRow, SEALED_TABLES, shapeOf, type TableName } from '../store/tables.ts';
import { type Keyring, kekOf } from './keyring.ts';

/** A stored row that did not come from a Security server with the realm's keys, by its table and key. */
export interface ForgedRow {
  readonly table: TableName;
  readonly key: string;
}

/** Rows of a table that are sealed in one go. */
const SEALED_AT_ONCE = 500;

/**
 * The store of a realm whose rows are authenticated: each row of a table with `sealed` columns carries a MAC over realm,
 * table and these columns, by a key derived from the key-encryption key. Who can write to the database, but has no such
 * key, can remove rows or bring back older ones, and make none. A lookup and a listing that meet a forged row fail with
 * ERR_ACCESS_FORGED; a lookup of several ids leaves it out, so that it costs nobody else anything. `report` hears of each.
 */
export function sealedStore(store: RealmStore, keyring: Keyring, report: (row: ForgedRow) => void): RealmStore {
  const seals = SEALED_TABLES.map((name) => new RowSeal(store.realm, name, keyring));
  return {
    realm: store.realm,
    transaction: (work, urgency) =>
      store.transaction((transaction) => {
        const sealed = seals.map((seal) => [seal.table, sealedTable(tableOf(transaction, seal.table), seal, report)]);
        const tables: Tables = { ...transaction.tables, ...Object.fromEntries(sealed) };
        return work({ tables, now: transaction.now, serverRun: transaction.serverRun });
      }, urgency),
  };
}

/**
 * Tells of rows of a table, as they are stored, which were written by a Security server with the realm's keys; undefined for a table
 * whose rows carry no MAC. For rows that are on their way elsewhere.
 */
export function genuineRows(
  realm: string,
  table: TableName,
  keyring: Keyring,
): ((row: AnyRow) => ForgedRow | undefined) | undefined {
  if (!SEALED_TABLES.includes(table)) return undefined;
  const seal = new RowSeal(realm, table, keyring);
  return (row) => (seal.isGenuine(row) ? undefined : seal.describe(row));
}

/**
 * Seals the rows of a realm of a version that did not seal, all or none of them; gives how many there were. The rows
 * themselves say whether that was done before, so that all nodes of a farm say the same whatever their key files note: where
 * one row carries a MAC, one without it is forged, and stays so. Give it the bare store.
 */
export async function sealRealm(store: RealmStore, keyring: Keyring): Promise<number> {
  return store.transaction(async (transaction) => {
    // Two nodes that start together do it one after the other.
    await transaction.tables.realms.find({ id: 'realm' }, 'update');
    if (await isSealed(transaction)) return 0;
    let count = 0;
    for (const name of SEALED_TABLES)
      count += await sealAll(tableOf(transaction, name), new RowSeal(store.realm, name, keyring));
    return count;
  });
}

async function isSealed(transaction: Transaction): Promise<boolean> {
  for (const name of SEALED_TABLES) {
    const table = tableOf(transaction, name);
    if ((await table.count()) !== (await table.count({ where: { rowMac: null } }))) return true;
  }
  return false;
}

async function sealAll(table: Table<AnyRow>, seal: RowSeal): Promise<number> {
  const rows = await table.list({}, 'update');
  const changes = rows.map((row) => ({ key: seal.keyOf(row), change: { rowMac: seal.of(row) } }));
  for (const part of partsOf(changes)) await table.updateEach(part);
  return rows.length;
}

function partsOf<Item>(items: readonly Item[]): Item[][] {
  const count = Math.ceil(items.length / SEALED_AT_ONCE);
  return Array.from({ length: count }, (_, i) => items.slice(i * SEALED_AT_ONCE, (i + 1) * SEALED_AT_ONCE));
}

function tableOf(transaction: Transaction, name: TableName): Table<AnyRow> {
  return anyTable(transaction.tables, name);
}

function pick(row: AnyRow, columns: readonly string[]): AnyRow {
  return Object.fromEntries(columns.map((column) => [column, row[column]]));
}

/** MACs of one table's rows, whose table has sealed columns. */
export class RowSeal {
  readonly table: TableName;
  readonly #realm: string;
  readonly #keyring: Keyring;
  readonly #key: readonly string[];
  readonly #columns: readonly string[];
  readonly #later: readonly string[];

  constructor(realm: string, table: TableName, keyring: Keyring) {
    const { key, sealed, sealedLater = [] } = shapeOf(table);
    this.table = table;
    this.#realm = realm;
    this.#keyring = keyring;
    this.#key = key;
    this.#columns = sealed!;
    this.#later = sealedLater;
  }

  keyOf(row: AnyRow): AnyRow {
    return pick(row, this.#key);
  }

  textOfKey(row: AnyRow): string {
    return textOfKey(row, this.#key);
  }

  /** True when columns are those of the key and no more. */
  isKey(columns: AnyRow): boolean {
    return Object.keys(columns).length === this.#key.length && this.#key.every((column) => column in columns);
  }

  /** True when a row carries a MAC by the key that wraps from now on, be it a good one or not. */
  isCurrent(row: AnyRow): boolean {
    const mac = row['rowMac'];
    return mac instanceof Uint8Array && mac.length > 4 && kekOf(mac) === this.#keyring.current;
  }

  describe(row: AnyRow): ForgedRow {
    return { table: this.table, key: this.#key.map((column) => String(row[column])).join('/') };
  }

  touches(change: AnyRow): boolean {
    return this.#columns.some((column) => column in change) || this.#later.some((column) => column in change);
  }

  of(row: AnyRow): Uint8Array {
    return this.#keyring.mac(this.#bytesOf(row));
  }

  sealed(row: AnyRow): AnyRow {
    return { ...row, rowMac: this.of(row) };
  }

  isGenuine(row: AnyRow): boolean {
    const mac = row['rowMac'];
    return mac instanceof Uint8Array && this.#keyring.verifyMac(mac, this.#bytesOf(row));
  }

  /**
   * Realm, table and columns as one JSON list: every column has one type, so no two rows have the same text. Columns that came later
   * stand by their names in one object behind all others, those that are null are left out; where all are, so is the object.
   */
  #bytesOf(row: AnyRow): Uint8Array {
    const values = this.#columns.map((column) => plain(row[column]));
    const later = this.#later.map((column) => [column, plain(row[column])]).filter(([, value]) => value !== null);
    const behind = later.length > 0 ? [Object.fromEntries(later)] : [];
    return encodeText(JSON.stringify([this.#realm, this.table, ...values, ...behind]));
  }
}

function plain(value: unknown): unknown {
  return value instanceof Uint8Array ? formatHex(value) : (value ?? null);
}

/**
 * Rows that this transaction has locked by their keys and found genuine: nobody else can change them before it ends, so a change
 * of one is sealed without reading it again. Only their sealed columns are up to date. One table of one transaction.
 */
class HeldRows {
  readonly #seal: RowSeal;
  readonly #rows = new Map<string, AnyRow>();

  constructor(seal: RowSeal) {
    this.#seal = seal;
  }

  keep(row: AnyRow): void {
    this.#rows.set(this.#seal.textOfKey(row), row);
  }

  /** The one row that a selection names by its key alone, if it is held. */
  rowOf({ where, ...more }: Selection<AnyRow>): AnyRow | undefined {
    if (!where || this.#rows.size === 0 || Object.keys(more).length > 0) return undefined;
    return this.#seal.isKey(where) ? this.#rows.get(this.#seal.textOfKey(where)) : undefined;
  }

  /** To be called before any other change of rows of the table. */
  forget(): void {
    this.#rows.clear();
  }
}

function sealedTable(inner: Table<AnyRow>, seal: RowSeal, report: (row: ForgedRow) => void): Table<AnyRow> {
  const check = (row: AnyRow): AnyRow => {
    if (!seal.isGenuine(row)) throw forged(seal, row, report);
    return row;
  };
  /** The rows to change, locked and found genuine, so that no change makes a forged row look like ours. */
  const locked = async (selection: Selection<AnyRow>): Promise<AnyRow[]> =>
    (await inner.list(selection, 'update')).map(check);
  const resealed = (row: AnyRow, change: AnyRow): RowChange<AnyRow> => ({
    key: seal.keyOf(row),
    change: { ...change, rowMac: seal.of({ ...row, ...change }) },
  });
  const held = new HeldRows(seal);
  return {
    find: async (key, lock) => {
      const row = await inner.find(key, lock);
      if (!row) return undefined;
      check(row);
      if (lock === 'update') held.keep(row);
      return bare(row);
    },
    insert: (row) => inner.insert(seal.sealed(row)),
    insertEach: (rows) => inner.insertEach(rows.map((row) => seal.sealed(row))),
    async update(selection, change) {
      if (!seal.touches(change)) return inner.update(selection, change);
      const own = held.rowOf(selection);
      if (own) {
        const { key, change: sealed } = resealed(own, change);
        held.keep({ ...own, ...sealed });
        return inner.update({ where: key }, sealed);
      }
      const rows = await locked(selection);
      held.forget();
      await inner.updateEach(rows.map((row) => resealed(row, change)));
      return rows.length;
    },
    async updateEach(changes) {
      const [first] = changes;
      if (!first) return;
      if (!seal.touches(first.change)) return inner.updateEach(changes);
      held.forget();
      await inner.updateEach(await resealedEach(changes, { locked, resealed }));
    },
    remove: (selection) => {
      held.forget();
      return inner.remove(selection);
    },
    list: async (page: Page<AnyRow> = {}, lock?: RowLock) => {
      const found: AnyRow[] = [];
      for (const part of partsOf(await inner.list(page, lock))) {
        if (!page.among) found.push(...part.map((row) => bare(check(row))));
        else found.push(...part.filter((row) => seal.isGenuine(row) || !forged(seal, row, report)).map(bare));
        // Many MACs at once would hold up beats.
        if (part.length === SEALED_AT_ONCE) await setImmediate();
      }
      return found;
    },
    count: (selection) => inner.count(selection),
    tally: (columns, selection) => inner.tally(columns, selection),
  };
}

interface Resealing {
  readonly locked: (selection: Selection<AnyRow>) => Promise<AnyRow[]>;
  readonly resealed: (row: AnyRow, change: AnyRow) => RowChange<AnyRow>;
}

/** Reads the rows that are to be changed each in its own way; keys that name no row change nothing. */
async function resealedEach(
  changes: readonly RowChange<AnyRow>[],
  { locked, resealed }: Resealing,
): Promise<RowChange<AnyRow>[]> {
  const columns = Object.keys(changes[0]!.key);
  const byKey = new Map(changes.map(({ key, change }) => [textOfKey(key, columns), change]));
  const each: RowChange<AnyRow>[] = [];
  for (const selection of selectionsOf(changes, columns))
    for (const row of await locked(selection)) {
      const change = byKey.get(textOfKey(row, columns));
      if (change) each.push(resealed(row, change));
    }
  return each;
}

function textOfKey(row: AnyRow, columns: readonly string[]): string {
  return JSON.stringify(columns.map((column) => plain(row[column])));
}

/** As few selections as name all the keys: one for each value of what they share, by the column in which they differ most. */
function selectionsOf(changes: readonly RowChange<AnyRow>[], columns: readonly string[]): Selection<AnyRow>[] {
  const distinct = (column: string): number => new Set(changes.map(({ key }) => key[column])).size;
  const texts = columns.filter((column) => typeof changes[0]!.key[column] === 'string');
  const [column] = texts.sort((a, b) => distinct(b) - distinct(a));
  if (column === undefined) return changes.map(({ key }) => ({ where: key }));
  const shared = new Map<string, { where: AnyRow; values: Set<string> }>();
  const others = columns.filter((other) => other !== column);
  for (const { key } of changes) {
    const text = textOfKey(key, others);
    const one = shared.get(text) ?? { where: pick(key, others), values: new Set<string>() };
    one.values.add(key[column] as string);
    shared.set(text, one);
  }
  return [...shared.values()].map(({ where, values }) => ({ where, among: [column, [...values]] }));
}

/** The row as the rules know it. */
function bare({ rowMac: _, ...row }: AnyRow): AnyRow {
  return row;
}

function forged(seal: RowSeal, row: AnyRow, report: (row: ForgedRow) => void): AccessError {
  const which = seal.describe(row);
  report(which);
  return new AccessError('ERR_ACCESS_FORGED', `a row of ${which.table} was not written by a Security server`);
}
