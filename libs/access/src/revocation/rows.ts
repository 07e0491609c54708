import type { RevocationKind } from '@sallyport/security-api';
import type { Shapes } from '../store/shape.ts';

/** An entry of the revocation log. */
export interface RevocationRow {
  readonly index: number;
  /** Client-made id: the same one gives the same entry. */
  readonly requestId: string;
  readonly kind: RevocationKind;
  readonly subject: string;
  readonly reason: string;
  readonly actor: string;
  readonly at: number;
  /** 32 random hex digits, so that two logs differ wherever they were written apart. */
  readonly salt: string;
  /** Hash over the entry before, the content and the salt. */
  readonly hash: string;
}

/** What one process of a Proxy was given last: how long it may serve, and how far it follows the log. */
export interface LeaseRow {
  /** `name/instance`: each process of a Proxy has a lease of its own. Those of the version before have a name only. */
  readonly proxy: string;
  /** Last entry that is in force there: seen, and all rights that it changed are read again. */
  readonly applied: number;
  /** By the store's clock: for people to read, never to decide by. */
  readonly expiresAt: number;
  readonly channels: number;
  /** Counts the beats: whoever sees it stand still for a lease knows that the lease is over, whatever clocks say. */
  readonly beat: number;
  readonly leaseMs: number;
  /** The node that recorded the last beat. */
  readonly node: string;
  /** What the process has served since it began: requests, and bytes of content both ways. For people to read. */
  readonly requests: number;
  readonly bytes: number;
  /** How long an answer of Security took last, ms, as the process measured it; null before it has. */
  readonly rttMs: number | null;
}

/** Rows of this room by their tables. */
export interface RevocationRows {
  readonly revocations: RevocationRow;
  readonly leases: LeaseRow;
}

/** Shapes of these tables. */
export const REVOCATION_TABLES: Shapes<RevocationRows> = {
  revocations: {
    key: ['index'],
    unique: ['requestId'],
    columns: {
      index: 'int',
      requestId: 'text',
      kind: 'text',
      subject: 'text',
      reason: 'text',
      actor: 'text',
      at: 'int',
      salt: 'text',
      hash: 'text',
    },
  },
  leases: {
    key: ['proxy'],
    columns: {
      proxy: 'text',
      applied: 'int',
      expiresAt: 'int',
      channels: 'int',
      beat: 'int',
      leaseMs: 'int',
      node: 'text',
      requests: 'int',
      bytes: 'int',
      rttMs: 'int',
    },
  },
};
