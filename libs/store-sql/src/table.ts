import {
  type ColumnType,
  type Page,
  type RowLock,
  type Selection,
  StoreError,
  type Table,
  type TableShape,
} from '@sallyport/access';
import { quoted } from './names.ts';

/** Runs one statement of the transaction. */
export type Query = (text: string, values: readonly unknown[]) => Promise<{ rows: AnyRow[]; count: number }>;

/** A row in domain names. */
export type AnyRow = Record<string, unknown>;

const LOCKS: Readonly<Record<RowLock, string>> = { share: ' for share', update: ' for update' };
const UNIQUE_VIOLATION = '23505';
const ARRAY_TYPES: Readonly<Record<ColumnType, string>> = {
  text: 'text[]',
  int: 'bigint[]',
  bool: 'boolean[]',
  bytes: 'bytea[]',
  json: 'json[]',
};

/** A table of one realm on SQL. Every statement names the realm, so no row of another can appear. */
export function sqlTable(name: string, shape: TableShape<AnyRow>, realm: string, query: Query): Table<AnyRow> {
  const table = quoted(name);
  const columns = Object.keys(shape.columns);
  const selectList = columns.map((column) => `${quoted(column)} as "${column}"`).join(', ');
  const order = shape.key.map(quoted);
  const toSql = (column: string, value: unknown): unknown =>
    shape.columns[column] === 'json' && value !== null ? JSON.stringify(value) : value;

  const condition = (values: unknown[], selection: Selection<AnyRow>): string => {
    const parts = [`"realm" = $${values.push(realm)}`];
    for (const [column, value] of Object.entries(selection.where ?? {})) {
      parts.push(value === null ? `${quoted(column)} is null` : `${quoted(column)} = $${values.push(value)}`);
    }
    for (const one of [selection.among, selection.within])
      if (one) parts.push(`${quoted(one[0])} = any($${values.push([...one[1]])})`);
    if (selection.above) parts.push(`${quoted(selection.above[0])} > $${values.push(selection.above[1])}`);
    if (selection.below) parts.push(`${quoted(selection.below[0])} < $${values.push(selection.below[1])}`);
    return parts.join(' and ');
  };

  return {
    async find(key, lock) {
      const values: unknown[] = [];
      const where = condition(values, { where: key });
      const { rows } = await query(
        `select ${selectList} from ${table} where ${where} limit 1${lock ? LOCKS[lock] : ''}`,
        values,
      );
      return rows[0];
    },
    async insert(row) {
      const values: unknown[] = [realm, ...columns.map((column) => toSql(column, row[column]))];
      const names = ['"realm"', ...columns.map(quoted)].join(', ');
      const marks = values.map((_, index) => `$${index + 1}`).join(', ');
      await query(`insert into ${table} (${names}) values (${marks})`, values).catch(throwConflict);
    },
    async insertEach(rows) {
      if (rows.length === 0) return;
      const values: unknown[] = [realm];
      const arrays = columns.map((column) => {
        const array = rows.map((row) => toSql(column, row[column]));
        return `$${values.push(array)}::${ARRAY_TYPES[shape.columns[column]!]}`;
      });
      const names = ['"realm"', ...columns.map(quoted)].join(', ');
      await query(`insert into ${table} (${names}) select $1::text, * from unnest(${arrays.join(', ')})`, values).catch(
        throwConflict,
      );
    },
    async update(selection, change) {
      const values: unknown[] = [];
      const set = Object.entries(change).map(
        ([column, value]) => `${quoted(column)} = $${values.push(toSql(column, value))}`,
      );
      if (set.length === 0) return this.count(selection);
      const where = condition(values, selection);
      const { count } = await query(`update ${table} set ${set.join(', ')} where ${where}`, values).catch(
        throwConflict,
      );
      return count;
    },
    async updateEach(changes) {
      const [first] = changes;
      if (!first) return;
      const values: unknown[] = [realm];
      const arrayOf = (column: string, from: 'key' | 'change'): string => {
        const array = changes.map((one) => toSql(column, one[from][column]));
        return `$${values.push(array)}::${ARRAY_TYPES[shape.columns[column]!]}`;
      };
      const keys = Object.keys(first.key);
      const changed = Object.keys(first.change);
      const arrays = [...keys.map((key) => arrayOf(key, 'key')), ...changed.map((one) => arrayOf(one, 'change'))];
      const names = [...keys.map((_, i) => `"k${i}"`), ...changed.map((_, i) => `"c${i}"`)];
      const set = changed.map((column, i) => `${quoted(column)} = "each"."c${i}"`).join(', ');
      const same = keys.map((column, i) => `${table}.${quoted(column)} = "each"."k${i}"`).join(' and ');
      const from = `unnest(${arrays.join(', ')}) as "each"(${names.join(', ')})`;
      await query(`update ${table} set ${set} from ${from} where ${table}."realm" = $1 and ${same}`, values).catch(
        throwConflict,
      );
    },
    async remove(selection) {
      const values: unknown[] = [];
      return (await query(`delete from ${table} where ${condition(values, selection)}`, values)).count;
    },
    async list(page: Page<AnyRow> = {}, lock) {
      if (page.among?.[1].length === 0) return [];
      const values: unknown[] = [];
      const where = condition(values, page);
      const sorted = order.map((column) => `${column}${page.newestFirst ? ' desc' : ''}`).join(', ');
      const limit = page.limit === undefined ? '' : ` limit $${values.push(page.limit)}`;
      const offset = page.offset === undefined ? '' : ` offset $${values.push(page.offset)}`;
      // Rows are locked in the order of their keys, so that two transactions with many of them do not wait for each other.
      const locking = lock ? LOCKS[lock] : '';
      const text = `select ${selectList} from ${table} where ${where} order by ${sorted}${limit}${offset}${locking}`;
      return (await query(text, values)).rows;
    },
    async count(selection = {}) {
      const values: unknown[] = [];
      const { rows } = await query(
        `select count(*) as "count" from ${table} where ${condition(values, selection)}`,
        values,
      );
      return rows[0]!['count'] as number;
    },
  };
}

function throwConflict(error: unknown): never {
  if ((error as { code?: string }).code === UNIQUE_VIOLATION) {
    throw new StoreError('ERR_STORE_CONFLICT', 'the key is taken', { cause: error });
  }
  throw error;
}
