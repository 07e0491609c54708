import { openScratchFolder } from '../backup/scratch-database.ts';
import type { Config } from '../config.ts';
import { type RestoreSource, restore } from './restore.ts';

/** What a drill showed. */
export interface Drilled {
  readonly name: string;
  readonly takenAt: string;
  readonly rows: number;
  /** From an empty folder to a realm that is open. */
  readonly tookMs: number;
  /** So old is the backup: a fire at this moment would have cost what was changed since. */
  readonly lostMs: number;
}

/**
 * Restores an export as after a fire, on a machine that has nothing but a scratch folder, and deletes all of it again. Nothing that works
 * is touched: the database is one of its own, and the journal of the settings is neither read nor claimed.
 * @throws Error with what would stand in the way of the restore
 */
export async function drill(
  config: Config,
  source: RestoreSource,
  { scratch, step }: { readonly scratch: string | undefined; readonly step: (words: string) => void },
): Promise<Drilled> {
  const { folder, close } = await openScratchFolder(scratch);
  try {
    const empty = { SALLYPORT_DATA: folder, SALLYPORT_DATABASE_HOSTS: [], SALLYPORT_JOURNAL: undefined };
    const { manifest, tookMs } = await restore({ ...config, ...empty }, source, {
      by: { actor: 'drill', reason: 'drill' },
      ...{ journalIsLost: true, logEndedAt: undefined, operators: 'out', hosts: [], step },
      confirm: () => Promise.resolve(false),
    });
    const rows = manifest.parts.reduce((sum, part) => sum + part.rows, 0);
    const { name, takenAt } = manifest;
    return { name, takenAt, rows, tookMs, lostMs: Math.max(0, Date.now() - tookMs - Date.parse(takenAt)) };
  } finally {
    await close();
  }
}

/** The same for people. */
export function wordsOfDrill({ name, takenAt, rows, tookMs, lostMs }: Drilled): string {
  return `${name} can be restored: ${rows} rows in ${seconds(tookMs)}, opened with a new epoch, and deleted again
a fire now would have lost what was changed after ${takenAt}: ${seconds(lostMs)} of it, and no revocation where the journal lives
`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
