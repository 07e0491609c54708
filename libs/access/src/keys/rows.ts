import type { PublicJwk } from '../session/rows.ts';
import type { Shapes } from '../store/shape.ts';

/** The public part of a handshake key: its id on the wire, and the key as base64url. */
export interface HandshakePart {
  readonly kid: number;
  readonly key: string;
}

/** What is public of a key, by what the key is for; of the CA it is the certificate, PEM, and behind it the one by the CA before it. */
export interface KeyParts {
  readonly handshake: HandshakePart;
  /** `statement`: by which the root key before it named it, as a JWS (protocol, section 2). */
  readonly root: PublicJwk & { readonly statement?: string };
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

/** An officer of an escrow, as Security knows them. */
export interface EscrowOfficer {
  readonly name: string;
  /** An age recipient: to whom the share was encrypted. */
  readonly recipient: string;
  /** Public key of proofs that the share opens, base64url. */
  readonly proofKey: string;
}

/** When an officer last proved that their share opens. */
export interface EscrowProof {
  readonly officer: string;
  readonly at: number;
}

/** A set of shares of the realm's keys, without any share: which keys are in it, who has them, and who has proved what. */
export interface EscrowRow {
  /** 16 hex digits. */
  readonly id: string;
  readonly threshold: number;
  readonly officers: readonly EscrowOfficer[];
  /** Keys in it by number, with their check values, hex. */
  readonly keks: readonly { readonly id: number; readonly check: string }[];
  /** Public key of proofs that enough shares were put together, base64url. */
  readonly drillKey: string;
  readonly createdAt: number;
  readonly proofs: readonly EscrowProof[];
  /** When enough officers last opened it together, and the keys were right; null before that. */
  readonly drilledAt: number | null;
  /** Since when another set counts; null for one that counts. */
  readonly endedAt: number | null;
}

/** Rows of this room by their tables. */
export interface KeyRows {
  readonly keys: KeyRow;
  readonly escrows: EscrowRow;
}

/** Shapes of these tables. */
export const KEY_TABLES: Shapes<KeyRows> = {
  escrows: {
    key: ['id'],
    sealed: ['id', 'threshold', 'officers', 'keks', 'drillKey', 'createdAt', 'proofs', 'drilledAt', 'endedAt'],
    columns: {
      id: 'text',
      threshold: 'int',
      officers: 'json',
      keks: 'json',
      drillKey: 'text',
      createdAt: 'int',
      proofs: 'json',
      drilledAt: 'int',
      endedAt: 'int',
      rowMac: 'bytes',
    },
  },
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
