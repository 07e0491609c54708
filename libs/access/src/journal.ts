import type { RevocationRow } from './tables.ts';

/** An entry of the log as it is kept outside of the database: everything that brings it back. */
export interface JournalEntry extends Omit<RevocationRow, 'salt'> {
  /** Epoch of the log that it was committed to. */
  readonly epoch: string;
}

/** Everything that a journal holds. */
export interface JournalContent {
  /** Every epoch that ever claimed it, oldest first. */
  readonly epochs: readonly string[];
  /** In the order of their writing; the same entry may come twice. */
  readonly entries: readonly JournalEntry[];
  /** Places where something was written that cannot be read: entries may be missing. */
  readonly damaged: number;
}

/** Why a journal did not do what was asked. `CLAIMED`: another epoch holds it now; `UNAVAILABLE`: perhaps nothing was done. */
export type JournalErrorCode = 'ERR_JOURNAL_CLAIMED' | 'ERR_JOURNAL_UNAVAILABLE';

/** What every implementation of the journal port throws. */
export class JournalError extends Error {
  readonly code: JournalErrorCode;

  constructor(code: JournalErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'JournalError';
    this.code = code;
  }
}

/**
 * Revocations of one realm, kept outside of its database: what was acknowledged outlives a restore of an older backup. One
 * epoch at a time may write; a restore claims the journal for its new one before it reads, so that nothing is acknowledged
 * by the old one any more.
 */
export interface Journal {
  /** Where it is, in words. */
  readonly description: string;
  /** The epoch that may write; undefined before the first claim. */
  claimed(): Promise<string | undefined>;
  /** Gives the journal to `epoch`, if `from` is the one that has it; false otherwise. Compared and set in one step. */
  claim(from: string | undefined, epoch: string): Promise<boolean>;
  /**
   * Writes entries durably, and only while `epoch` has the claim: when this returns, whoever claims it later reads them.
   * @throws JournalError ERR_JOURNAL_CLAIMED, ERR_JOURNAL_UNAVAILABLE
   */
  append(epoch: string, entries: readonly JournalEntry[]): Promise<void>;
  /** @throws JournalError ERR_JOURNAL_UNAVAILABLE */
  read(): Promise<JournalContent>;
  close(): Promise<void>;
}

/** A journal in memory, for tests and simulations. */
export function memoryJournal(): Journal {
  const epochs: string[] = [];
  const entries: JournalEntry[] = [];
  return {
    description: 'in memory',
    claimed: async () => epochs.at(-1),
    async claim(from, epoch) {
      if (epochs.at(-1) !== from) return false;
      epochs.push(epoch);
      return true;
    },
    async append(epoch, more) {
      if (epochs.at(-1) !== epoch) throw claimedByOther();
      entries.push(...more);
    },
    read: async () => ({ epochs: [...epochs], entries: [...entries], damaged: 0 }),
    close: async () => undefined,
  };
}

/** The journal belongs to another epoch. */
export function claimedByOther(): JournalError {
  return new JournalError('ERR_JOURNAL_CLAIMED', 'the journal belongs to another life of the database by now');
}
