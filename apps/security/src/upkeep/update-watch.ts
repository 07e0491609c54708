import { type AccessContext, type UpdateEnds, updateEnds, updateWords } from '@sallyport/access';
import type { Log, Metrics } from '@sallyport/telemetry';

/** Metadata of updates is looked at this often, ms. */
const LOOK_MS = 600_000;

/** What the watch looks at, and whom it tells. */
export interface UpdateWatchParts {
  readonly access: AccessContext;
  readonly metrics: Pick<Metrics, 'gauge'>;
  readonly log: Log;
}

/** Looks whether metadata ends that only persons can sign: metrics, and a line in the log when there is something new. Gives the function that stops it. */
export function startUpdateWatch({ access, metrics, log }: UpdateWatchParts): () => void {
  let ends: UpdateEnds | undefined;
  let said = '';
  const seconds = (end: { readonly endsAt: number } | null | undefined): number =>
    end ? end.endsAt / 1_000 : Number.NaN;
  const root = 'when the root of updates ends, epoch s; no device takes an update then';
  const targets = 'when the signed list of releases ends, epoch s; no device takes an update then';
  metrics.gauge('sallyport_updates_root_end_seconds', root, () => seconds(ends?.root));
  metrics.gauge('sallyport_updates_targets_end_seconds', targets, () => seconds(ends?.targets));
  const look = async (): Promise<void> => {
    ends = await updateEnds(access);
    const words = updateWords(ends, Date.now());
    // The days that are left are no news.
    const news = words.map((one) => one.replace(/ in \d+ days,?/, '')).join();
    if (news !== said && words.length > 0) log.warn({ updates: words }, 'signed metadata of updates ends');
    said = news;
  };
  // A database that does not answer says nothing of metadata; others tell of it.
  const watch = (): void => void look().catch(() => undefined);
  watch();
  const timer = setInterval(watch, LOOK_MS);
  return () => clearInterval(timer);
}
