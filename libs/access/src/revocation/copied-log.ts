import type { JournalCopy } from '../journal/copies.ts';
import type { JournalEntry } from '../journal/journal.ts';
import type { RealmRow } from '../realm/rows.ts';
import { AccessError } from '../store/errors.ts';

/** What copies of the log say about the time since a backup. */
export interface CopiedLog {
  /** Epochs that they name. */
  readonly epochs: readonly string[];
  readonly entries: readonly JournalEntry[];
  /** Nothing can be missing: they hold each entry from the backup's head to where the log ended. */
  readonly whole: boolean;
}

type Life = Pick<RealmRow, 'epoch' | 'head' | 'headHash'>;

/**
 * Reads the copies of a log for a backup. They may lack its end without knowing, so only with the word of somebody who knows
 * where it ended are they whole. Until then they give nothing back: what lifted a revocation may have been taken back behind it.
 * @throws AccessError ERR_ACCESS_INVALID when they cannot be whole up to where the log is said to have ended
 */
export function copiesAre(copies: readonly JournalCopy[], realm: Life, logEndedAt: number | undefined): CopiedLog {
  const epochs = [...new Set(copies.flatMap(({ epoch, supersedes }) => [...supersedes, epoch]))];
  const entries = copies.flatMap((copy) => copy.entries).sort((a, b) => a.index - b.index);
  if (logEndedAt === undefined) return { epochs, entries: entries.filter(({ kind }) => kind !== 'lift'), whole: false };
  const why = whyNotWhole(copies, realm, logEndedAt);
  if (why !== undefined)
    throw new AccessError(
      'ERR_ACCESS_INVALID',
      `the copies of the journal do not show all up to entry ${logEndedAt}: ${why}`,
    );
  return { epochs, entries: entries.filter(({ epoch }) => epoch === realm.epoch), whole: true };
}

function whyNotWhole(copies: readonly JournalCopy[], { epoch, head, headHash }: Life, end: number): string | undefined {
  if (copies.some(({ supersedes }) => supersedes.includes(epoch)))
    return 'the realm was restored since this backup, take a newer one';
  const own = copies.filter((copy) => copy.epoch === epoch).flatMap(({ entries }) => entries);
  const hashes = new Map(own.map(({ index, hash }) => [index, hash]));
  const newest = Math.max(head, ...hashes.keys());
  if (newest > end) return `they go on to entry ${newest}`;
  if (end < head) return `the backup itself has entry ${head}`;
  if (head > 0 && end > head && hashes.get(head) !== headHash) return `entry ${head} is not that of the backup`;
  for (let index = head + 1; index <= end; index++) if (!hashes.has(index)) return `entry ${index} is missing`;
  return undefined;
}
