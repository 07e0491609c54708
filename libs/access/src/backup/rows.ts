import type { Shapes } from '../store/shape.ts';

/** An export at a target that somebody restored elsewhere, and who says so by a receipt. Times are epoch ms. */
export interface VerifiedExport {
  readonly name: string;
  readonly takenAt: number;
  readonly verifiedAt: number;
}

/** What is wrong with a target: a code of targets or exports, in words, since when. */
export interface BackupTrouble {
  readonly code: string;
  readonly words: string;
  readonly since: number;
}

/** What was last seen of a target. */
export interface BackupTargetState {
  /** The newest export that was made here. */
  readonly exported?: {
    readonly name: string;
    readonly takenAt: number;
    readonly bytes: number;
    readonly tookMs: number;
  };
  /** The newest one that is verified; null: none there is. */
  readonly verified?: VerifiedExport | null;
  /** How many exports are there, and how many have names of times that have not come yet. */
  readonly exports?: number;
  readonly future?: number;
  readonly lookedAt?: number;
  readonly trouble?: BackupTrouble | null;
  /** It was noted that no export of the realm was verified lately. */
  readonly overdue?: boolean;
}

/** A place where exports of the realm go. One node at a time works on it. */
export interface BackupTargetRow {
  /** Where it is, in words without secrets. */
  readonly place: string;
  /** Who works on it: one claim, the node that has it, and a count that goes up while it lives. */
  readonly runId: string | null;
  readonly runNode: string;
  readonly runBeat: number;
  /** When an export was last begun, by the store's clock; 0: never. */
  readonly triedAt: number;
  readonly state: BackupTargetState;
}

/** What is kept of a realm beside its database and its exports: a database that follows, a copy that is made again and again, an archive. */
export type SafeguardKind = 'standby' | 'copy' | 'archive';

/** One of them, and when it was last known to be good. Times are by the store's clock, epoch ms. */
export interface SafeguardRow {
  readonly kind: SafeguardKind;
  /** Of a standby what it calls itself, of a copy where it is; `archive` for the archive. */
  readonly name: string;
  /** Of a standby where it connects from; empty where the database does not say. */
  readonly address: string;
  /** When it was last seen to follow, was copied, or was restored by somebody to look at it. */
  readonly goodAt: number;
  /** It is missed after so long, ms. */
  readonly dueMs: number;
  /** Of an archive: how far what was restored came. */
  readonly upTo: number;
}

/** Rows of this room by their tables. */
export interface BackupRows {
  readonly backupTargets: BackupTargetRow;
  readonly safeguards: SafeguardRow;
}

/** Shapes of these tables. */
export const BACKUP_TABLES: Shapes<BackupRows> = {
  backupTargets: {
    key: ['place'],
    // Not whose turn it is: that changes with every beat of it, and a turn that stands still is taken over.
    sealed: ['place', 'triedAt', 'state'],
    columns: {
      place: 'text',
      runId: 'text',
      runNode: 'text',
      runBeat: 'int',
      triedAt: 'int',
      state: 'json',
      rowMac: 'bytes',
    },
  },
  safeguards: {
    key: ['kind', 'name'],
    sealed: ['kind', 'name', 'address', 'goodAt', 'dueMs', 'upTo'],
    columns: {
      kind: 'text',
      name: 'text',
      address: 'text',
      goodAt: 'int',
      dueMs: 'int',
      upTo: 'int',
      rowMac: 'bytes',
    },
  },
};
