import type { EvidenceLevel, ProvenFacts } from '@sallyport/security-api';
import type { Shapes } from '../store/shape.ts';

/** The newest evidence of an installation. One for each; it goes with the installation. */
export interface EvidenceRow {
  readonly installationId: string;
  readonly connector: string;
  /** Null while what is known speaks against the device: nothing is proved then. */
  readonly level: EvidenceLevel | null;
  /** When it was verified, epoch ms. */
  readonly at: number;
  /** What was proved last; it stays when the level goes. */
  readonly facts: ProvenFacts;
  /** When the challenge was made that was answered last, epoch ms: that one and older ones are used up. */
  readonly challengedAt: number;
  /** A key of the platform that signs later evidence: its id, its SubjectPublicKeyInfo, its counter. Null, null and 0 where there is none. */
  readonly keyId: string | null;
  readonly publicKey: Uint8Array | null;
  readonly counter: number;
}

/** Rows of this room by their tables. */
export interface AttestationRows {
  readonly evidence: EvidenceRow;
}

/** Shapes of these tables. */
export const ATTESTATION_TABLES: Shapes<AttestationRows> = {
  evidence: {
    key: ['installationId'],
    sealed: ['installationId', 'connector', 'level', 'at', 'facts', 'challengedAt', 'keyId', 'publicKey', 'counter'],
    columns: {
      installationId: 'text',
      connector: 'text',
      level: 'text',
      at: 'int',
      facts: 'json',
      challengedAt: 'int',
      keyId: 'text',
      publicKey: 'bytes',
      counter: 'int',
      rowMac: 'bytes',
    },
  },
};
