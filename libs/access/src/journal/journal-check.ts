import type { RealmStore } from '../store/store.ts';
import { type JournalEntry, lastOf } from './journal.ts';

/** What to say of a database that lacks what its journal holds. */
export const OLDER_THAN_JOURNAL =
  'the database is older than its journal: if it was restored from a backup, or its machine went back to an earlier state, it needs "sallyport realm new-epoch" before any node uses it';

/**
 * Holds the log against its journal: what was called in force must be in it. `entries` are those of the log's own epoch.
 * @throws Error when the database is older than its journal
 */
export async function checkLogHolds(store: RealmStore, entries: readonly JournalEntry[]): Promise<void> {
  const newest = lastOf(entries);
  if (!newest) return;
  const found = await store.transaction(({ tables }) => tables.revocations.find({ index: newest.index }));
  if (found?.hash === newest.hash) return;
  throw new Error(OLDER_THAN_JOURNAL);
}
