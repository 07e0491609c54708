export { MemoryStore } from './store/memory-store.ts';
export type { ColumnType, TableShape } from './store/shape.ts';
export {
  makeTables,
  type Page,
  type RowChange,
  type RowLock,
  type Selection,
  type Table,
  type Tables,
  type Tallied,
  type Transaction,
  type Urgency,
} from './store/store.ts';
export { type AnyRow, type Rows, shapeOf, TABLE_NAMES, TABLES, type TableName } from './store/tables.ts';
