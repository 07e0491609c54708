import type { Shapes } from '../store/shape.ts';

/** A key-encryption key, by what tells it from others with its number; the key itself is outside of the store. */
export interface KekRow {
  readonly id: number;
  readonly checkValue: Uint8Array;
}

/** Rows of this room by their tables. */
export interface KekRows {
  readonly keks: KekRow;
}

/** Shapes of these tables. */
export const KEK_TABLES: Shapes<KekRows> = {
  keks: { key: ['id'], columns: { id: 'int', checkValue: 'bytes' } },
};
