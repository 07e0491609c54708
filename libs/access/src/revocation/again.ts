import type { JournalEntry } from '../journal/journal.ts';
import type { Change } from '../realm/change.ts';
import { appendRevocation } from '../realm/revocation-log.ts';
import { AccessError } from '../store/errors.ts';
import { applyEffect } from './revocation.ts';
import type { RevocationRow } from './rows.ts';

/**
 * Appends an entry of a life before to the log of this one, under its own id, and does what it does. What it is about may be
 * younger than the backup: then it stands in the log, and there is nothing to end.
 */
export async function appendAgain(
  begun: Change,
  { requestId, kind, subject, actor, reason, at }: Omit<JournalEntry, 'epoch' | 'index' | 'hash'>,
): Promise<RevocationRow> {
  const row = await appendRevocation(begun.access, begun, { requestId, kind, subject }, { actor, reason, at });
  try {
    // Not before the entry itself, should the clock of the new server be behind: a time that was past stays past.
    await applyEffect(begun, kind, { subject, at: Math.max(begun.at, at), reason });
  } catch (error) {
    if (!(error instanceof AccessError) || error.code !== 'ERR_ACCESS_NOT_FOUND') throw error;
  }
  return row;
}
