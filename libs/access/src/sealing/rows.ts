import type { Shapes } from '../store/shape.ts';

/** A key-encryption key, by what tells it from others with its number; the key itself is outside of the store. */
export interface KekRow {
  readonly id: number;
  readonly checkValue: Uint8Array;
  /** When the realm first heard of it; null for one of a version that did not say. */
  readonly createdAt: number | null;
  /** Since when nothing is wrapped with it; null while something may be. */
  readonly retiredAt: number | null;
  /** MAC by a later key, which says that an operator wants no node to keep it; null while they keep it. */
  readonly forgotten: Uint8Array | null;
}

/** How far a new key-encryption key is: nodes get it, everything is wrapped with it, nothing uses another one. */
export type TurnState = 'spreading' | 'wrapping' | 'done';

/** The turn from one key-encryption key to the next; one at a time, and the last one stays. */
export interface KekTurnRow {
  readonly id: 'turn';
  /** Of this turn alone, drawn when it begins. */
  readonly turn: string;
  /** The new key; 0 while nobody has drawn it. */
  readonly kek: number;
  /** Keys that were in use when it began. */
  readonly from: readonly number[];
  readonly state: TurnState;
  /** Nodes that need not have the key as long as they are silent. */
  readonly without: readonly string[];
  readonly actor: string;
  readonly reason: string;
  readonly startedAt: number;
  /** When key or state changed last. */
  readonly changedAt: number;
  /** For people: rows that were wrapped or sealed anew so far, and forged ones that were left alone. */
  readonly renewed: number;
  readonly forged: number;
  /** MAC over what counts, by a key of before, or by the new one once it is done or every node has it. */
  readonly mac: Uint8Array;
}

/** What one run of one node has of key-encryption keys, and the parcel with a new one for it. */
export interface KekHolderRow {
  readonly node: string;
  /** Of this run of the process, drawn in memory. */
  readonly instance: string;
  /** Whom a new key is sealed for: `X25519 (32) | ML-KEM-768 (1,184)`. */
  readonly publicKey: Uint8Array;
  /** Keys in its file that it uses. */
  readonly keks: readonly number[];
  /** The one that it wraps with. */
  readonly current: number;
  readonly mac: Uint8Array;
  /** Number of the key in the parcel, the parcel, and its MAC; null while there is none. */
  readonly parcelKek: number | null;
  readonly parcel: Uint8Array | null;
  readonly parcelMac: Uint8Array | null;
}

/** Rows of this room by their tables. */
export interface KekRows {
  readonly keks: KekRow;
  readonly kekTurns: KekTurnRow;
  readonly kekHolders: KekHolderRow;
}

/** Shapes of these tables. */
export const KEK_TABLES: Shapes<KekRows> = {
  keks: {
    key: ['id'],
    columns: { id: 'int', checkValue: 'bytes', createdAt: 'int', retiredAt: 'int', forgotten: 'bytes' },
  },
  kekTurns: {
    key: ['id'],
    columns: {
      id: 'text',
      turn: 'text',
      kek: 'int',
      from: 'json',
      state: 'text',
      without: 'json',
      actor: 'text',
      reason: 'text',
      startedAt: 'int',
      changedAt: 'int',
      renewed: 'int',
      forged: 'int',
      mac: 'bytes',
    },
  },
  kekHolders: {
    key: ['node'],
    columns: {
      node: 'text',
      instance: 'text',
      publicKey: 'bytes',
      keks: 'json',
      current: 'int',
      mac: 'bytes',
      parcelKek: 'int',
      parcel: 'bytes',
      parcelMac: 'bytes',
    },
  },
};
