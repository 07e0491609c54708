/** JSON that a column may hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json | undefined };

/** A time that never comes. */
export const NEVER: number = Number.MAX_SAFE_INTEGER;

/** How a column is stored. `int` is a safe integer, `bytes` a byte string. */
export type ColumnType = 'text' | 'int' | 'bool' | 'bytes' | 'json';

/** How a column of such values is stored; whatever is no text, number, truth or byte string is JSON. */
export type ColumnTypeOf<Value> = unknown extends Value
  ? ColumnType
  : NonNullable<Value> extends string
    ? 'text'
    : NonNullable<Value> extends number
      ? 'int'
      : NonNullable<Value> extends boolean
        ? 'bool'
        : NonNullable<Value> extends Uint8Array
          ? 'bytes'
          : 'json';

/** What a store must know of a table; every table has a realm column in front of its key. */
export interface TableShape<Row> {
  readonly key: readonly (keyof Row & string)[];
  readonly unique?: readonly (keyof Row & string)[];
  /**
   * Columns that only a Security server may write: each row carries a MAC over them in `rowMac`. Not among them is what
   * changes with every login or channel and gives nobody anything.
   */
  readonly sealed?: readonly (keyof Row & string)[];
  /**
   * Sealed columns that were added when rows with a MAC were there already: null is what such rows have, and no part of their MAC.
   * Any other value is, so neither writing one nor taking one away goes unnoticed.
   */
  readonly sealedLater?: readonly (keyof Row & string)[];
  readonly columns: { readonly [Column in keyof Row]: ColumnTypeOf<Row[Column]> } & { readonly rowMac?: 'bytes' };
}

/** Shapes of several tables, by name. */
export type Shapes<Rows> = { readonly [Name in keyof Rows]: TableShape<Rows[Name]> };
