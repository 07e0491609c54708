import type { Log, Metrics } from '@sallyport/telemetry';
import type { DatabaseProbe } from '../stores/database-probe.ts';

/** How often the archive of the database is looked at, ms. */
const LOOK_MS = 10_000;

/** What the watch looks at, and whom it tells. */
export interface ArchiveWatchParts {
  readonly database: Pick<DatabaseProbe, 'archive'>;
  readonly metrics: Pick<Metrics, 'gauge'>;
  readonly log: Log;
}

/** Looks whether the database's WAL reaches its archive: a metric, and a line in the log when that changes. Gives the function that stops it. */
export function startArchiveWatch({ database, metrics, log }: ArchiveWatchParts): () => void {
  let failingSince = 0;
  metrics.gauge(
    'sallyport_archive_failing_seconds',
    'for how long the archive of the database has taken no WAL, 0 while it does or where there is none',
    () => (failingSince === 0 ? 0 : Math.max(1, (Date.now() - failingSince) / 1_000)),
  );
  const look = async (): Promise<void> => {
    const before = failingSince;
    failingSince = (await database.archive())?.failingSince ?? 0;
    if (before === 0 && failingSince !== 0) log.error({ failingSince }, 'the archive of the database takes no WAL');
    if (before !== 0 && failingSince === 0) log.info('the archive of the database takes WAL again');
  };
  // A database that does not answer says nothing of its archive; others tell of it.
  const timer = setInterval(() => void look().catch(() => undefined), LOOK_MS);
  return () => clearInterval(timer);
}
