import { type AuditWatch, sweepPackages } from '@sallyport/access';
import type { CountWatch } from '../farm/count-watch.ts';
import type { DatabaseProbe } from '../stores/database-probe.ts';
import type { PackageStore } from '../updates/package-store.ts';
import { type ArchiveWatchParts, startArchiveWatch } from './archive-watch.ts';
import { startCertificateWatch } from './certificate-watch.ts';
import { startErasing } from './erasing.ts';
import type { Renewal } from './renewal.ts';
import { type RetentionParts, startRetention } from './retention.ts';
import { type StandbyWatchParts, startStandbyWatch } from './standby-watch.ts';
import { startUpdateWatch } from './update-watch.ts';

/** The whole audit log is checked again this often, ms. */
const RECHECK_MS = 21_600_000;
/** Packages that nobody goes on sending, or no release names, are looked for this often, ms. */
const SWEEP_MS = 3_600_000;

/** What upkeep works on. */
export interface UpkeepParts
  extends RetentionParts,
    Omit<ArchiveWatchParts, 'database'>,
    Omit<StandbyWatchParts, 'database'> {
  readonly database: Pick<DatabaseProbe, 'archive' | 'servers'>;
  readonly renewal: Renewal;
  readonly packages: Pick<PackageStore, 'sweep' | 'names' | 'drop' | 'ensure'>;
  readonly auditWatch: AuditWatch;
  readonly countWatch: CountWatch;
}

/** Begins everything that a node does from time to time; gives the function that stops it. */
export function startUpkeep(parts: UpkeepParts): () => void {
  const { access, auditWatch, countWatch, renewal, packages, log } = parts;
  renewal.start();
  // The whole log is checked once now, beside everything else, and again from time to time.
  void auditWatch.look(0).catch(() => undefined);
  // Who asks for the status first does not wait for the counts of a large farm either.
  void countWatch.look(0).catch(() => undefined);
  const sweep = (): void => {
    void packages.sweep(Date.now()).catch((error: unknown) => log.warn({ err: error }, 'drafts of packages stay'));
    void sweepPackages(access, packages).catch((error: unknown) =>
      log.warn({ err: error }, 'packages that no release names stay'),
    );
  };
  sweep();
  const sweeping = setInterval(sweep, SWEEP_MS);
  const recheck = setInterval(() => void auditWatch.recheck().catch(() => undefined), RECHECK_MS);
  const stops = [
    startErasing(parts),
    startRetention(parts),
    () => renewal.stop(),
    startArchiveWatch(parts),
    startCertificateWatch(parts),
    startStandbyWatch(parts),
    startUpdateWatch(parts),
    () => clearInterval(recheck),
    () => clearInterval(sweeping),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}
