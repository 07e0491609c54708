import type { AnyRow, ColumnType, Page, RowChange, RowLock, Selection, TableShape } from '@sallyport/access/store';
import { quoted } from './names.ts';

/** One statement: its text, and the values of `$1`, `$2` and so on. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** A table as statements name it. It is worked out once, and good for every realm. */
export interface SqlShape {
  readonly table: string;
  /** Types of the columns by their names in the domain, in the order in which rows are written. */
  readonly types: Readonly<Record<string, ColumnType>>;
  /** Columns as rows are read, `"user_id" as "userId"` and so on. */
  readonly selectList: string;
  /** Columns as rows are written, the realm first. */
  readonly insertList: string;
  readonly order: readonly string[];
}

/** A table of one realm. Every statement names the realm, so no row of another can appear. */
export interface RealmTable {
  readonly shape: SqlShape;
  readonly realm: string;
}

const LOCKS: Readonly<Record<RowLock, string>> = { share: ' for share', update: ' for update' };
const ARRAY_TYPES: Readonly<Record<ColumnType, string>> = {
  text: 'text[]',
  int: 'bigint[]',
  bool: 'boolean[]',
  bytes: 'bytea[]',
  json: 'json[]',
};

/** Works out how statements name a table. */
export function sqlShape(name: string, { columns, key }: TableShape<AnyRow>): SqlShape {
  const names = Object.keys(columns);
  return {
    table: quoted(name),
    types: columns,
    selectList: names.map((column) => `${quoted(column)} as "${column}"`).join(', '),
    insertList: ['"realm"', ...names.map(quoted)].join(', '),
    order: key.map(quoted),
  };
}

/** Reads the one row with a key. */
export function selectOne(of: RealmTable, key: AnyRow, lock: RowLock | undefined): Statement {
  const values: unknown[] = [];
  const { selectList, table } = of.shape;
  const where = condition(of, { where: key }, values);
  return { text: `select ${selectList} from ${table} where ${where} limit 1${lockOf(lock)}`, values };
}

/**
 * Reads rows in the order of their keys. They are locked in that order, so that two transactions with many of them do not
 * wait for each other.
 */
export function selectPage(of: RealmTable, page: Page<AnyRow>, lock: RowLock | undefined): Statement {
  const values: unknown[] = [];
  const { selectList, table, order } = of.shape;
  const where = condition(of, page, values);
  const sorted = order.map((column) => `${column}${page.newestFirst ? ' desc' : ''}`).join(', ');
  const limit = page.limit === undefined ? '' : ` limit $${values.push(page.limit)}`;
  const offset = page.offset === undefined ? '' : ` offset $${values.push(page.offset)}`;
  const rest = `order by ${sorted}${limit}${offset}${lockOf(lock)}`;
  return { text: `select ${selectList} from ${table} where ${where} ${rest}`, values };
}

/** Counts rows, as the column `count`. */
export function selectCount(of: RealmTable, selection: Selection<AnyRow>): Statement {
  const values: unknown[] = [];
  const where = condition(of, selection, values);
  return { text: `select count(*) as "count" from ${of.shape.table} where ${where}`, values };
}

/** Counts rows by the values of some columns, as the column `count`. */
export function selectTally(of: RealmTable, columns: readonly string[], selection: Selection<AnyRow>): Statement {
  const values: unknown[] = [];
  const where = condition(of, selection, values);
  const named = columns.map((column) => `${quoted(column)} as "${column}"`).join(', ');
  const by = columns.map((_, index) => index + 1).join(', ');
  return { text: `select ${named}, count(*) as "count" from ${of.shape.table} where ${where} group by ${by}`, values };
}

/** Writes one new row. */
export function insertOne({ shape, realm }: RealmTable, row: AnyRow): Statement {
  const values = [realm, ...Object.keys(shape.types).map((column) => toSql(shape, column, row[column]))];
  const marks = values.map((_, index) => `$${index + 1}`).join(', ');
  return { text: `insert into ${shape.table} (${shape.insertList}) values (${marks})`, values };
}

/** Writes many new rows by one array for each column. */
export function insertMany({ shape, realm }: RealmTable, rows: readonly AnyRow[]): Statement {
  const values: unknown[] = [realm];
  const arrays = Object.keys(shape.types).map((column) => {
    const array = rows.map((row) => toSql(shape, column, row[column]));
    return pushArray(shape, column, array, values);
  });
  const from = `select $1::text, * from unnest(${arrays.join(', ')})`;
  return { text: `insert into ${shape.table} (${shape.insertList}) ${from}`, values };
}

/** Changes every selected row in the same way; the change names at least one column. */
export function updateSelected(of: RealmTable, selection: Selection<AnyRow>, change: AnyRow): Statement {
  const values: unknown[] = [];
  const { shape } = of;
  const set = Object.entries(change).map(
    ([column, value]) => `${quoted(column)} = $${values.push(toSql(shape, column, value))}`,
  );
  const where = condition(of, selection, values);
  return { text: `update ${shape.table} set ${set.join(', ')} where ${where}`, values };
}

/** Changes rows by their keys, each in its own way; there is at least one, and all change the same columns. */
export function updateEach({ shape, realm }: RealmTable, changes: readonly RowChange<AnyRow>[]): Statement {
  const values: unknown[] = [realm];
  const arrayOf = (column: string, from: 'key' | 'change'): string => {
    const array = changes.map((one) => toSql(shape, column, one[from][column]));
    return pushArray(shape, column, array, values);
  };
  const { table } = shape;
  const keys = Object.keys(changes[0]!.key);
  const changed = Object.keys(changes[0]!.change);
  const arrays = [...keys.map((key) => arrayOf(key, 'key')), ...changed.map((one) => arrayOf(one, 'change'))];
  const names = [...keys.map((_, i) => `"k${i}"`), ...changed.map((_, i) => `"c${i}"`)];
  const set = changed.map((column, i) => `${quoted(column)} = "each"."c${i}"`).join(', ');
  const same = keys.map((column, i) => `${table}.${quoted(column)} = "each"."k${i}"`).join(' and ');
  const from = `unnest(${arrays.join(', ')}) as "each"(${names.join(', ')})`;
  return { text: `update ${table} set ${set} from ${from} where ${table}."realm" = $1 and ${same}`, values };
}

/** Removes every selected row. */
export function deleteSelected(of: RealmTable, selection: Selection<AnyRow>): Statement {
  const values: unknown[] = [];
  return { text: `delete from ${of.shape.table} where ${condition(of, selection, values)}`, values };
}

function condition({ realm }: RealmTable, selection: Selection<AnyRow>, values: unknown[]): string {
  const parts = [`"realm" = $${values.push(realm)}`];
  for (const [column, value] of Object.entries(selection.where ?? {})) {
    parts.push(value === null ? `${quoted(column)} is null` : `${quoted(column)} = $${values.push(value)}`);
  }
  for (const one of [selection.among, selection.within])
    if (one) parts.push(`${quoted(one[0])} = any($${values.push([...one[1]])})`);
  if (selection.above) parts.push(`${quoted(selection.above[0])} > $${values.push(selection.above[1])}`);
  if (selection.below) parts.push(`${quoted(selection.below[0])} < $${values.push(selection.below[1])}`);
  return parts.join(' and ');
}

function pushArray({ types }: SqlShape, column: string, array: unknown[], values: unknown[]): string {
  return `$${values.push(array)}::${ARRAY_TYPES[types[column]!]}`;
}

function toSql({ types }: SqlShape, column: string, value: unknown): unknown {
  return types[column] === 'json' && value !== null ? JSON.stringify(value) : value;
}

function lockOf(lock: RowLock | undefined): string {
  return lock ? LOCKS[lock] : '';
}
