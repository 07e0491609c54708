import type { AccessContext } from '../realm/context.ts';
import type { Tallied, Transaction } from '../store/store.ts';
import { appIdOf } from './app-rule.ts';
import { eachRollout, percentsNow, rolloutColumns, rolloutsOf } from './channels.ts';
import { LEAST_REPORTS, whyHalt } from './rollout.ts';
import type { ReleaseOutcome, ReleaseReportRow, ReleaseRow } from './rows.ts';

/** How a release fares: installations by what they said of it, and how many run its version. */
export interface ReleaseStanding {
  readonly release: ReleaseRow;
  /** By its channels. */
  readonly percents: Readonly<Record<string, number>>;
  readonly running: number;
  readonly counts: Readonly<Record<ReleaseOutcome, number>>;
}

/** How the newest releases of an app fare, so many at most, the newest first. */
export function releaseStandings(
  access: AccessContext,
  appId: string,
  limit: number,
): Promise<readonly ReleaseStanding[]> {
  return access.store.transaction(async ({ tables, now }) => {
    const rows = await tables.releases.list({ where: { appId } });
    const newest = [...rows].sort((a, b) => b.publishedAt - a.publishedAt).slice(0, limit);
    const apps = newest.map(({ package: { version } }) => `${appId}@${version}`);
    const ids = newest.map(({ id }) => id);
    // However many releases there are, each of both is one look.
    const [running, said] = await Promise.all([
      tables.installations.tally(['app', 'os'], { where: { status: 'active' }, among: ['app', [...new Set(apps)]] }),
      tables.releaseReports.tally(['releaseId', 'outcome'], { among: ['releaseId', ids] }),
    ]);
    return newest.map((release, i) => ({
      release,
      percents: release.state === 'live' ? percentsNow(release, now()) : {},
      running: running
        .filter(({ app, os }) => app === apps[i] && isOn(os, release))
        .reduce((sum, { count }) => sum + count, 0),
      counts: countsOf(said.filter(({ releaseId }) => releaseId === release.id)),
    }));
  });
}

/** True for a release of the system of an installation; of one that never said its own, for all. */
function isOn(os: string | null | undefined, release: ReleaseRow): boolean {
  return os === null || os === undefined || os === release.package.os;
}

async function countReports({ tables }: Transaction, releaseId: string): Promise<Record<ReleaseOutcome, number>> {
  return countsOf(await tables.releaseReports.tally(['outcome'], { where: { releaseId } }));
}

function countsOf(said: readonly Tallied<ReleaseReportRow, 'outcome'>[]): Record<ReleaseOutcome, number> {
  const of = (outcome: ReleaseOutcome): number => said.find((one) => one.outcome === outcome)?.count ?? 0;
  return {
    downloading: of('downloading'),
    installed: of('installed'),
    failed: of('failed'),
    refused: of('refused'),
  };
}

/**
 * Notes what came of a release at an installation: the last word counts. A rollout halts when too much of it is bad. Downloads wait for
 * nobody but their own device: all of them begin at once, and none halts anything.
 */
export async function noteReport(access: AccessContext, report: ReleaseReportRow): Promise<void> {
  const { releaseId, installationId, outcome } = report;
  await access.store.transaction(async (transaction) => {
    const { releases, releaseReports, installations } = transaction.tables;
    await installations.find({ id: installationId }, 'update');
    const where = { releaseId, installationId };
    const before = await releaseReports.find(where);
    // What an installation has come to is not forgotten because it looks again.
    if (before && (outcome === 'downloading' || outcome === before.outcome)) return;
    const row = await releases.find({ id: releaseId }, outcome === 'downloading' ? 'share' : 'update');
    if (row?.state !== 'live') return;
    if (before) await releaseReports.update({ where }, { outcome });
    else await releaseReports.insert(report);
    if (outcome !== 'downloading') await haltIfBad(transaction, row, outcome);
  });
}

const SETTLED: readonly ReleaseOutcome[] = ['installed', 'failed', 'refused'];

/**
 * All reports are counted only where this one may halt a rollout: a bad one, or a good one that makes them enough to count. They are of the
 * release, wherever it is rolled out: what fails on one channel halts on all of them.
 */
async function haltIfBad(transaction: Transaction, row: ReleaseRow, outcome: ReleaseOutcome): Promise<void> {
  const { id } = row;
  const rollouts = rolloutsOf(row);
  if (Object.values(rollouts).every(({ haltedAt }) => haltedAt !== null)) return;
  const { releases, releaseReports } = transaction.tables;
  const few = { where: { releaseId: id }, among: ['outcome', SETTLED], limit: LEAST_REPORTS + 1 } as const;
  if (outcome === 'installed' && (await releaseReports.list(few)).length > LEAST_REPORTS) return;
  const counts = await countReports(transaction, id);
  const halted = eachRollout(rollouts, (rollout) => {
    const why = rollout.haltedAt === null ? whyHalt(rollout, counts) : undefined;
    return why === undefined ? rollout : { ...rollout, haltedAt: transaction.now(), haltedWhy: why };
  });
  if (Object.entries(halted).every(([channel, rollout]) => rollout === rollouts[channel])) return;
  await releases.update({ where: { id } }, rolloutColumns(halted));
}

/** A sign-in that was refused. */
export interface RefusedSignIn {
  /** As which app, `id@version`. */
  readonly app: string;
  readonly installationId: string;
}

/**
 * Notes that a sign-in was refused with a version, and by the release of it that is rolled out for the system of the device, where there is
 * one. Of other apps than its own a device says nothing.
 */
export async function noteRefusedVersion(access: AccessContext, { app, installationId }: RefusedSignIn): Promise<void> {
  const appId = appIdOf(app);
  const release = await access.store.transaction(async ({ tables }) => {
    const installation = await tables.installations.find({ id: installationId }, 'update');
    if (!installation || appIdOf(installation.app) !== appId) return undefined;
    if (installation.refusedApp !== app)
      await tables.installations.update({ where: { id: installationId } }, { refusedApp: app });
    const live = await tables.releases.list({ where: { appId, state: 'live' } });
    return live.find((row) => `${appId}@${row.package.version}` === app && isOn(installation.os, row));
  });
  if (release) await noteReport(access, { releaseId: release.id, installationId, outcome: 'refused' });
}
