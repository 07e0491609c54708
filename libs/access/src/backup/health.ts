import type { BackupTargetRow, VerifiedExport } from './rows.ts';

/** A moment of the store's clock, and how often exports are made, ms. */
export interface BackupMoment {
  readonly now: number;
  readonly everyMs: number;
}

/** The newest export that somebody restored elsewhere, at whichever of these targets; undefined when there is none. */
export function newestVerified(
  rows: readonly BackupTargetRow[],
): (VerifiedExport & { readonly place: string }) | undefined {
  const all = rows.flatMap(({ place, state: { verified } }) => (verified ? [{ ...verified, place }] : []));
  return all.sort((a, b) => b.takenAt - a.takenAt)[0];
}

/** How old the newest verified export is, ms; infinite when there is none. A name of the future is no younger than now. */
export function verifiedAgeMs(rows: readonly BackupTargetRow[], now: number): number {
  const newest = newestVerified(rows);
  return newest ? Math.max(0, now - newest.takenAt) : Number.POSITIVE_INFINITY;
}

/** Whether no export was verified for twice the time between two. */
export function isOverdue(rows: readonly BackupTargetRow[], { now, everyMs }: BackupMoment): boolean {
  return verifiedAgeMs(rows, now) > 2 * everyMs;
}

/** What is wrong with the backup of a realm, in words, the worst first; `rows` are those of the targets that are set up. */
export function backupWords(rows: readonly BackupTargetRow[], moment: BackupMoment): string[] {
  return [...overdueWords(rows, moment), ...rows.flatMap(troubleWords), ...rows.flatMap(futureWords)];
}

function overdueWords(rows: readonly BackupTargetRow[], { now, everyMs }: BackupMoment): string[] {
  if (!isOverdue(rows, { now, everyMs })) return [];
  const newest = newestVerified(rows);
  if (!newest)
    return ['no backup was ever verified: nobody knows whether it can be restored (sallyport backup verify)'];
  const age = minutes(now - newest.takenAt);
  return [
    `the newest verified backup is ${age} old, of ${newest.name} at ${newest.place}: one every ${minutes(everyMs)}`,
  ];
}

function troubleWords({ place, state: { trouble } }: BackupTargetRow): string[] {
  if (!trouble) return [];
  return [
    `backup to ${place} fails since ${new Date(trouble.since).toISOString()} (${trouble.code}): ${trouble.words}`,
  ];
}

function futureWords({ place, state: { future = 0 } }: BackupTargetRow): string[] {
  if (future === 0) return [];
  return [`${future} backups at ${place} have names of times that have not come yet: a clock was wrong`];
}

function minutes(ms: number): string {
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}
