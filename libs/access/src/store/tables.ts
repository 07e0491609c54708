import { APP_TABLES, type AppRows } from '../apps/rows.ts';
import { ATTESTATION_TABLES, type AttestationRows } from '../attestation/rows.ts';
import { BACKUP_TABLES, type BackupRows } from '../backup/rows.ts';
import { DIRECTORY_TABLES, type DirectoryRows } from '../directory/rows.ts';
import { FARM_TABLES, type FarmRows } from '../farm/rows.ts';
import { KEY_TABLES, type KeyRows } from '../keys/rows.ts';
import { OPERATOR_TABLES, type OperatorRows } from '../operators/rows.ts';
import { PEOPLE_TABLES, type PeopleRows } from '../people/rows.ts';
import { REALM_TABLES, type RealmRows } from '../realm/rows.ts';
import { REVOCATION_TABLES, type RevocationRows } from '../revocation/rows.ts';
import { RIGHTS_TABLES, type RightsRows } from '../rights/rows.ts';
import { KEK_TABLES, type KekRows } from '../sealing/rows.ts';
import { SESSION_TABLES, type SessionRows } from '../session/rows.ts';
import type { Shapes, TableShape } from './shape.ts';

/** Every table by name. Each noun's rows stand with the noun. */
export interface Rows
  extends RealmRows,
    KekRows,
    OperatorRows,
    RightsRows,
    KeyRows,
    FarmRows,
    RevocationRows,
    PeopleRows,
    SessionRows,
    DirectoryRows,
    BackupRows,
    AppRows,
    AttestationRows {}
export type TableName = keyof Rows;

/** Shapes of all tables: the single source for the memory store, the SQL store and its migrations test. */
export const TABLES: Shapes<Rows> = {
  ...REALM_TABLES,
  ...KEK_TABLES,
  ...OPERATOR_TABLES,
  ...RIGHTS_TABLES,
  ...KEY_TABLES,
  ...FARM_TABLES,
  ...REVOCATION_TABLES,
  ...PEOPLE_TABLES,
  ...SESSION_TABLES,
  ...DIRECTORY_TABLES,
  ...BACKUP_TABLES,
  ...APP_TABLES,
  ...ATTESTATION_TABLES,
};

/** Names of all tables. */
export const TABLE_NAMES: readonly TableName[] = Object.keys(TABLES) as TableName[];

/** Tables whose rows are authenticated. */
export const SEALED_TABLES: readonly TableName[] = TABLE_NAMES.filter((name) => TABLES[name].sealed !== undefined);

/** A row of whatever table. Stores know columns by shapes alone. */
export type AnyRow = Record<string, unknown>;

/** The shape of a table as stores use it. */
export function shapeOf(name: TableName): TableShape<AnyRow> {
  // Every row is one of any columns; the types of the columns are lost on purpose.
  return TABLES[name] as unknown as TableShape<AnyRow>;
}
