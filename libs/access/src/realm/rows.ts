import type { RealmSettings } from '@sallyport/security-api';
import type { Shapes } from '../store/shape.ts';

/** A realm: its settings, the epoch and head of its revocation log, and which sessions count. */
export interface RealmRow {
  readonly id: 'realm';
  /** One uninterrupted life of the log: 32 random hex digits, drawn anew by each restore. */
  readonly epoch: string;
  /** Epochs that this one takes the place of. */
  readonly supersedes: readonly string[];
  /** Nothing may be given from this database any more: another one takes its place. */
  readonly closed: boolean;
  /** False while leases of an epoch before may live: nothing is called in force until a node has waited for their end. */
  readonly held: boolean;
  /** The run of the database server in which a node has waited for the end of leases from before it; null before the first one. */
  readonly heldRun: string | null;
  readonly head: number;
  /** Hash of the entry at the head; empty for an empty log. */
  readonly headHash: string;
  /** Counts up when everything so far is revoked: sessions of an older one are over. */
  readonly generation: number;
  /** The longest lease that any node was ever set up to give, ms. Raised before it is given. */
  readonly longestLeaseMs: number;
  /** Identity of the journal that all nodes of this epoch keep; empty before the first one has said so. */
  readonly journal: string;
  readonly policyVersion: number;
  /** Sessions created before this are over, epoch ms. */
  readonly notBefore: number;
  /** Goes up with every change that a site map shows, whatever clocks say; after a restore it is above all before. */
  readonly mapVersion: number;
  /** What a version before this one wrote lacks what came later: `settingsOf` fills that in. */
  readonly settings: Partial<RealmSettings>;
}

/** An event of the audit chain. */
export interface AuditRow {
  readonly seq: number;
  readonly at: number;
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly outcome: string;
  readonly reason: string;
  readonly previousHash: Uint8Array;
  readonly hash: Uint8Array;
}

/** A place in the audit chain that counts. */
export interface AuditHeadRow {
  /** `head`: the last event. `start`: the last event that was removed because it was old. */
  readonly id: 'head' | 'start';
  readonly seq: number;
  readonly hash: Uint8Array;
  /** Of `start`: seq and hash, wrapped, so that only a Security server can move it. */
  readonly seal: Uint8Array | null;
}

/** Rows of this room by their tables. */
export interface RealmRows {
  readonly realms: RealmRow;
  readonly audit: AuditRow;
  readonly auditHeads: AuditHeadRow;
}

/** Shapes of these tables. */
export const REALM_TABLES: Shapes<RealmRows> = {
  realms: {
    key: ['id'],
    sealed: ['id', 'settings'],
    columns: {
      id: 'text',
      epoch: 'text',
      supersedes: 'json',
      closed: 'bool',
      held: 'bool',
      heldRun: 'text',
      head: 'int',
      headHash: 'text',
      generation: 'int',
      longestLeaseMs: 'int',
      journal: 'text',
      policyVersion: 'int',
      notBefore: 'int',
      mapVersion: 'int',
      settings: 'json',
      rowMac: 'bytes',
    },
  },
  audit: {
    key: ['seq'],
    columns: {
      seq: 'int',
      at: 'int',
      actor: 'text',
      action: 'text',
      subject: 'text',
      outcome: 'text',
      reason: 'text',
      previousHash: 'bytes',
      hash: 'bytes',
    },
  },
  auditHeads: { key: ['id'], columns: { id: 'text', seq: 'int', hash: 'bytes', seal: 'bytes' } },
};
