import type { RealmStore } from '../store/store.ts';
import type { JournalEntry } from './journal.ts';

/**
 * Holds the log against its journal: what was called in force must be in it. `entries` are those of the log's own epoch.
 * @throws Error when the database is older than its journal
 */
export async function checkLogHolds(store: RealmStore, entries: readonly JournalEntry[]): Promise<void> {
  const newest = entries.reduce<JournalEntry | undefined>((a, b) => (a && a.index > b.index ? a : b), undefined);
  if (!newest) return;
  const found = await store.transaction(({ tables }) => tables.revocations.find({ index: newest.index }));
  if (found?.hash === newest.hash) return;
  throw new Error(
    'the database is older than its journal: if it was restored from a backup, it needs "realm new-epoch" before any node uses it',
  );
}
