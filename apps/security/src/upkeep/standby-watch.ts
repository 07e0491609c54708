import { type AccessContext, listSafeguards, missedSafeguards, noteStandbys } from '@sallyport/access';
import type { Log, Metrics } from '@sallyport/telemetry';
import type { DatabaseProbe } from '../stores/database-probe.ts';

/** How often it is looked who follows the database, ms. */
const LOOK_MS = 10_000;

/** What the watch looks at, and whom it tells. */
export interface StandbyWatchParts {
  readonly access: AccessContext;
  readonly database: Pick<DatabaseProbe, 'servers'>;
  readonly metrics: Pick<Metrics, 'gauge'>;
  readonly log: Log;
}

/**
 * Remembers who follows the database, so that one that follows no more is missed, also by a node that never saw it. A metric, and a
 * line in the log when that changes. Gives the function that stops it.
 */
export function startStandbyWatch({ access, database, metrics, log }: StandbyWatchParts): () => void {
  let missed = 0;
  let archiveAt = 0;
  metrics.gauge(
    'sallyport_safeguards_missed',
    'standbys and copies of the database, and verifications of its archive, that are overdue',
    () => missed,
  );
  metrics.gauge(
    'sallyport_archive_verified_age_seconds',
    'since when nobody has restored the archive to look at it, s; +Inf when nobody ever did',
    () => (archiveAt === 0 ? Number.POSITIVE_INFINITY : Math.round((Date.now() - archiveAt) / 1_000)),
  );
  const look = async (): Promise<void> => {
    const servers = await database.servers();
    await noteStandbys(
      access,
      servers.filter(({ role, state }) => role === 'standby' && state !== 'startup' && state !== 'backup'),
    );
    const { rows, now } = await listSafeguards(access);
    const names = missedSafeguards(rows, { now, primary: servers[0]?.address ?? '' }).map(({ name }) => name);
    archiveAt = rows.find(({ kind }) => kind === 'archive')?.goodAt ?? 0;
    if (names.length > missed) log.error({ names }, 'what is kept beside the database is out of date');
    missed = names.length;
  };
  // A database that does not answer says nothing of who follows it; others tell of that.
  const timer = setInterval(() => void look().catch(() => undefined), LOOK_MS);
  return () => clearInterval(timer);
}
