import {
  type AccessContext,
  type BackupTargetRow,
  backupTargetsNow,
  backupWords,
  newestVerified,
  verifiedAgeMs,
} from '@sallyport/access';
import type { BackupTargetView, BackupView } from '@sallyport/security-api';

/** How backups are set up at a node. */
export interface BackupSetup {
  /** Descriptions of the targets; none: there is no backup. */
  readonly places: readonly string[];
  readonly everyMs: number;
  /** Which ones are kept, as it was written. */
  readonly keep: string;
  /** Words about the setup itself. */
  readonly doubts: readonly string[];
  /** The database is a server of its own: whoever runs that expects that it is backed up. */
  readonly external: boolean;
}

/** Backups of the realm, and what is wrong with them in words, the worst first. */
export async function backupStatus(
  access: AccessContext,
  setup: BackupSetup,
): Promise<{ readonly view?: BackupView; readonly words: readonly string[] }> {
  const { places, everyMs, keep, external, doubts } = setup;
  if (places.length === 0) return { words: external ? [NONE] : [] };
  const { rows, now } = await backupTargetsNow(access, places);
  const newest = newestVerified(rows);
  const view = {
    everyMs,
    keep,
    verified: newest ?? null,
    verifiedAgeMs: newest ? verifiedAgeMs(rows, now) : null,
    targets: places.map((place) =>
      targetView(
        place,
        rows.find((row) => row.place === place),
        { now, everyMs },
      ),
    ),
  };
  return { view, words: [...backupWords(rows, { now, everyMs }), ...doubts] };
}

const NONE =
  'there is no backup: whatever happens to the database loses the realm, and everybody enrols again (set SALLYPORT_BACKUP_TARGETS)';

function targetView(
  place: string,
  row: BackupTargetRow | undefined,
  { now, everyMs }: { readonly now: number; readonly everyMs: number },
): BackupTargetView {
  const { triedAt = 0, runId = null, runNode = '', state = {} } = row ?? {};
  const { exported, verified, lookedAt, exports: backups, trouble } = state;
  return {
    place,
    triedAt: triedAt || null,
    dueAt: triedAt > 0 && triedAt <= now ? triedAt + everyMs : now,
    node: runId === null ? '' : runNode,
    lookedAt: lookedAt ?? null,
    newest: exported ? { name: exported.name, takenAt: exported.takenAt } : null,
    verified: verified ?? null,
    backups: backups ?? 0,
    trouble: trouble ?? null,
  };
}
