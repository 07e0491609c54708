import { type AccessContext, livePackages, type UpdateEnds, updateEnds, updateWords } from '@sallyport/access';
import type { Log, Metrics } from '@sallyport/telemetry';
import type { PackageStore } from '../updates/package-store.ts';

/** Metadata of updates, and packages of live releases, are looked at this often, ms. */
const LOOK_MS = 600_000;

/** What the watch looks at, and whom it tells. */
export interface UpdateWatchParts {
  readonly access: AccessContext;
  readonly packages: Pick<PackageStore, 'ensure'>;
  readonly metrics: Pick<Metrics, 'gauge'>;
  readonly log: Log;
}

/**
 * Looks whether metadata ends that only persons can sign, and whether this node has what devices may ask it for: metrics, and a line in the log
 * when there is something new. Gives the function that stops it.
 */
export function startUpdateWatch(parts: UpdateWatchParts): () => void {
  const looks = [watchEnds(parts), watchPackages(parts)];
  // A database that does not answer says nothing of updates; others tell of it.
  const watch = (): void => {
    for (const look of looks) void look().catch(() => undefined);
  };
  watch();
  const timer = setInterval(watch, LOOK_MS);
  return () => clearInterval(timer);
}

function watchEnds({ access, metrics, log }: UpdateWatchParts): () => Promise<void> {
  let ends: UpdateEnds | undefined;
  let said = '';
  const seconds = (end: { readonly endsAt: number } | null | undefined): number =>
    end ? end.endsAt / 1_000 : Number.NaN;
  const root = 'when the root of updates ends, epoch s; no device takes an update then';
  const targets = 'when the signed list of releases ends, epoch s; no device takes an update then';
  metrics.gauge('sallyport_updates_root_end_seconds', root, () => seconds(ends?.root));
  metrics.gauge('sallyport_updates_targets_end_seconds', targets, () => seconds(ends?.targets));
  return async () => {
    ends = await updateEnds(access);
    const words = updateWords(ends, Date.now());
    // The days that are left are no news.
    const news = words.map((one) => one.replace(/ in \d+ days,?/, '')).join();
    if (news !== said && words.length > 0) log.warn({ updates: words }, 'signed metadata of updates ends');
    said = news;
  };
}

/** Nodes that do not share their packages, or a package that went, are noticed before a device asks for it. */
function watchPackages({ access, packages, metrics, log }: UpdateWatchParts): () => Promise<void> {
  let missing: readonly string[] = [];
  const help = 'packages of live releases that this node does not have: devices get them by other nodes at most';
  metrics.gauge('sallyport_updates_packages_missing', help, () => missing.length);
  return async () => {
    const said = missing;
    const found: string[] = [];
    for (const { id, version, ...content } of await livePackages(access))
      await packages.ensure(content).catch((error: Error) => found.push(`${id} ${version}: ${error.message}`));
    missing = found;
    if (found.length > 0 && String(found) !== String(said))
      log.warn({ packages: found }, 'packages of live releases are not at this node');
  };
}
