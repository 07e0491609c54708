import type { PublicJwk } from '../session/rows.ts';
import type { Shapes } from '../store/shape.ts';

/** The public part of a handshake key: its id on the wire, and the key as base64url. */
export interface HandshakePart {
  readonly kid: number;
  readonly key: string;
}

/** What is public of a key, by what the key is for; of the CA it is the certificate, PEM. */
export interface KeyParts {
  readonly handshake: HandshakePart;
  readonly root: PublicJwk;
  readonly assertion: PublicJwk;
  readonly ca: string;
}
export type KeyPurpose = keyof KeyParts;

interface KeyColumns<Purpose extends KeyPurpose> {
  readonly id: string;
  readonly purpose: Purpose;
  readonly publicPart: KeyParts[Purpose];
  /** Wrapped; null once the key is retired. */
  readonly secret: Uint8Array | null;
  readonly createdAt: number;
  readonly expiresAt: number;
  /** Since when site maps name it; null while not every node has it. For handshake keys only, as is `retiredAt`. */
  readonly publishedAt: number | null;
  /** Since when it is good for nothing any more. */
  readonly retiredAt: number | null;
}

/** A key of the realm; its purpose says what its public part is. */
export type KeyRow<Purpose extends KeyPurpose = KeyPurpose> = { [One in Purpose]: KeyColumns<One> }[Purpose];

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
