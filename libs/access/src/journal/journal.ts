import type { RevocationRow } from '../revocation/rows.ts';

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
  /** Epochs of which entries may be missing: something cannot be read, is gone, or was not written again to its end. */
  readonly damaged: readonly string[];
}

/**
 * Why a journal did not do what was asked. `CLAIMED`: another epoch holds it now; `DAMAGED`: entries that were there are gone;
 * `ELSEWHERE`: other nodes keep another one; `UNAVAILABLE`: perhaps nothing was done.
 */
export type JournalErrorCode =
  | 'ERR_JOURNAL_CLAIMED'
  | 'ERR_JOURNAL_DAMAGED'
  | 'ERR_JOURNAL_ELSEWHERE'
  | 'ERR_JOURNAL_UNAVAILABLE';

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
  /** The same for every process that reaches this very journal at the moment, and for no other. */
  readonly identity: string;
  /** The epoch that may write; undefined before the first claim. */
  claimed(): Promise<string | undefined>;
  /** Gives the journal to `epoch`, if `from` is the one that has it; false otherwise. Compared and set in one step. */
  claim(from: string | undefined, epoch: string): Promise<boolean>;
  /**
   * Writes the entries that come next, durably, and only while `epoch` has the claim: when this returns, whoever claims it
   * later reads them. An entry that stands there as another one is refused as of another life.
   * @throws JournalError ERR_JOURNAL_CLAIMED, ERR_JOURNAL_DAMAGED, ERR_JOURNAL_UNAVAILABLE
   */
  append(epoch: string, entries: readonly JournalEntry[]): Promise<void>;
  /**
   * Writes all entries of an epoch anew, from the first one on, after some were lost. Until it returns the epoch is damaged.
   * @throws JournalError ERR_JOURNAL_CLAIMED, ERR_JOURNAL_UNAVAILABLE
   */
  mend(epoch: string, entries: readonly JournalEntry[]): Promise<void>;
  /** A quick look whether an entry, and with it what was written before, is still there; index 0 stands for none. */
  holds(epoch: string, index: number): Promise<boolean>;
  /** The entry of an epoch with the highest index; undefined for none. */
  last(epoch: string): Promise<Pick<JournalEntry, 'index' | 'hash'> | undefined>;
  /** @throws JournalError ERR_JOURNAL_UNAVAILABLE */
  read(): Promise<JournalContent>;
  close(): Promise<void>;
}

/** A journal in memory, for tests and simulations. */
export function memoryJournal(): Journal {
  const epochs: string[] = [];
  const entries: JournalEntry[] = [];
  const write = async (epoch: string, more: readonly JournalEntry[]): Promise<void> => {
    if (epochs.at(-1) !== epoch) throw claimedByOther();
    refuseOthers(
      entries.filter((one) => one.epoch === epoch),
      more,
    );
    entries.push(...more);
  };
  return {
    description: 'in memory',
    identity: 'memory',
    claimed: async () => epochs.at(-1),
    async claim(from, epoch) {
      if (epochs.at(-1) !== from) return false;
      epochs.push(epoch);
      return true;
    },
    append: write,
    mend: write,
    holds: async (epoch, index) => index === 0 || entries.some((one) => one.epoch === epoch && one.index === index),
    last: async (epoch) => lastOf(entries.filter((one) => one.epoch === epoch)),
    read: async () => ({ epochs: [...epochs], entries: [...entries], damaged: epochsWithGaps(entries) }),
    close: async () => undefined,
  };
}

/** The journal belongs to another epoch. */
export function claimedByOther(): JournalError {
  return new JournalError('ERR_JOURNAL_CLAIMED', 'the journal belongs to another life of the database by now');
}

/** Entries that were in the journal are gone. */
export function journalDamaged(): JournalError {
  return new JournalError('ERR_JOURNAL_DAMAGED', 'the journal has lost entries that were in it');
}

/** The journal holds other entries in the place of these: the log went back to an earlier state since. */
export function journalDiffers(): JournalError {
  return new JournalError('ERR_JOURNAL_CLAIMED', 'the journal holds another life of this log than the database does');
}

/**
 * Whoever writes another entry where one of its epoch stands follows a log that went back: what stands was acknowledged.
 * @throws JournalError ERR_JOURNAL_CLAIMED
 */
export function refuseOthers(held: readonly JournalEntry[], entries: readonly JournalEntry[]): void {
  const hashes = new Map(held.map(({ index, hash }) => [index, hash]));
  if (entries.some(({ index, hash }) => (hashes.get(index) ?? hash) !== hash)) throw journalDiffers();
}

/** The entry with the highest index. */
export function lastOf(entries: readonly JournalEntry[]): JournalEntry | undefined {
  return entries.reduce<JournalEntry | undefined>((a, b) => (a && a.index > b.index ? a : b), undefined);
}

/** Epochs whose entries do not count from one without a gap: each epoch is written from its first entry on. */
export function epochsWithGaps(entries: readonly JournalEntry[]): string[] {
  const held = new Map<string, Set<number>>();
  for (const { epoch, index } of entries) held.set(epoch, (held.get(epoch) ?? new Set()).add(index));
  return [...held].filter(([, indexes]) => Math.max(...indexes) !== indexes.size).map(([epoch]) => epoch);
}
