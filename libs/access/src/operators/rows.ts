import type { Shapes } from '../store/shape.ts';

/** How somebody became an operator: at a first start (or by break-glass), by another operator, or by a provider's groups. */
export type OperatorOrigin = 'bootstrap' | 'invite' | 'provider';

/** Who may use the admin API. Their tokens hang on it; it stays for the record when it has ended. */
export interface OperatorRow {
  readonly id: string;
  /** One among those that have not ended; the audit log names it. */
  readonly name: string;
  readonly origin: OperatorOrigin;
  /** The node that printed the first token, or the provider at which they sign in; empty for the invited. */
  readonly place: string;
  /** Id of the operator who invited; empty for the others. */
  readonly invitedBy: string;
  /** The user who signs in at the provider: the operator ends with them. */
  readonly userId: string | null;
  readonly createdAt: number;
  /** No credential of theirs is good after this, epoch ms; NEVER when there is no end. */
  readonly endsAt: number;
  readonly endedAt: number | null;
  readonly endReason: string | null;
}

/** An operator's token: one that is exchanged once, or a credential. The store has its hash only. */
export interface OperatorTokenRow {
  readonly id: string;
  readonly operatorId: string;
  readonly tokenHash: Uint8Array;
  readonly oneTime: boolean;
  readonly createdAt: number;
  readonly expiresAt: number;
  /** When it was last used, to the hour; null before its first use. */
  readonly usedAt: number | null;
  /** The client's id of the request that exchanged it, or that made it: a repetition gets another answer, once. */
  readonly requestId: string | null;
  /** The token in whose place it came: that one ends with the first use of this one. */
  readonly replaces: string | null;
}

/** Rows of this room by their tables. */
export interface OperatorRows {
  readonly operators: OperatorRow;
  readonly operatorTokens: OperatorTokenRow;
}

/** Shapes of these tables. */
export const OPERATOR_TABLES: Shapes<OperatorRows> = {
  operators: {
    key: ['id'],
    sealed: ['id', 'name', 'origin', 'place', 'invitedBy', 'userId', 'createdAt', 'endsAt', 'endedAt'],
    columns: {
      id: 'text',
      name: 'text',
      origin: 'text',
      place: 'text',
      invitedBy: 'text',
      userId: 'text',
      createdAt: 'int',
      endsAt: 'int',
      endedAt: 'int',
      endReason: 'text',
      rowMac: 'bytes',
    },
  },
  operatorTokens: {
    key: ['id'],
    unique: ['tokenHash'],
    sealed: ['id', 'operatorId', 'tokenHash', 'oneTime', 'createdAt', 'expiresAt', 'usedAt'],
    columns: {
      id: 'text',
      operatorId: 'text',
      tokenHash: 'bytes',
      oneTime: 'bool',
      createdAt: 'int',
      expiresAt: 'int',
      usedAt: 'int',
      requestId: 'text',
      replaces: 'text',
      rowMac: 'bytes',
    },
  },
};
