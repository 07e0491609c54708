import type { Json, Shapes } from '../store/shape.ts';

export type KeyPurpose = 'handshake' | 'root' | 'assertion' | 'ca';

/** A key of the realm. */
export interface KeyRow {
  readonly id: string;
  readonly purpose: KeyPurpose;
  /** Public part: X25519 key, JWK or certificate, as JSON. */
  readonly publicPart: Json;
  /** Wrapped; null once the key is retired. */
  readonly secret: Uint8Array | null;
  readonly createdAt: number;
  readonly expiresAt: number;
  /** Since when site maps name it; null while not every node has it. For handshake keys only, as is `retiredAt`. */
  readonly publishedAt: number | null;
  /** Since when it is good for nothing any more. */
  readonly retiredAt: number | null;
}

/** Rows of this room by their tables. */
export interface KeyRows {
  readonly keys: KeyRow;
}

/** Shapes of these tables. */
export const KEY_TABLES: Shapes<KeyRows> = {
  keys: {
    key: ['id'],
    sealed: ['id', 'purpose', 'publicPart', 'createdAt', 'expiresAt'],
    columns: {
      id: 'text',
      purpose: 'text',
      publicPart: 'json',
      secret: 'bytes',
      createdAt: 'int',
      expiresAt: 'int',
      publishedAt: 'int',
      retiredAt: 'int',
      rowMac: 'bytes',
    },
  },
};
