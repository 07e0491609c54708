import { compareVersions } from '@sallyport/lease';
import type { AccessContext } from '../realm/context.ts';
import type { Tallied, Transaction } from '../store/store.ts';
import { appVersionOf } from './app-rule.ts';
import { eachRollout, percentsNow, rolloutColumns, rolloutsOf } from './channels.ts';
import { LEAST_TRIES, type Tries, type TriesBefore, triesIn, whyHalt } from './rollout.ts';
import type { ReleaseOutcome, ReleaseReportRow, ReleaseRow } from './rows.ts';

/** How a release fares: installations by what they said of it, and how many run its version or are refused with it. */
export interface ReleaseStanding {
  readonly release: ReleaseRow;
  /** By its channels. */
  readonly percents: Readonly<Record<string, number>>;
  readonly running: number;
  /** Installations whose last sign-in was refused with it, for whatever reason. */
  readonly refused: number;
  readonly counts: Readonly<Record<Exclude<ReleaseOutcome, 'refused'>, number>>;
}

/** How the newest releases of an app fare, so many at most, the newest first. */
export function releaseStandings(
  access: AccessContext,
  appId: string,
  limit: number,
): Promise<readonly ReleaseStanding[]> {
  return access.store.transaction(async (transaction) => {
    const { tables, now } = transaction;
    const rows = await tables.releases.list({ where: { appId } });
    const newest = [...rows].sort((a, b) => b.publishedAt - a.publishedAt).slice(0, limit);
    const apps = [...new Set(newest.map(appVersionOf))];
    // However many releases there are, each of these is one look.
    const [said, running, refusals] = await Promise.all([
      reportsOf(transaction, newest),
      runningOf(transaction, newest),
      tables.installations.tally(['refusedApp', 'os', 'status'], { among: ['refusedApp', apps] }),
    ]);
    return newest.map((release) => {
      const { refused: _, ...counts } = said(release);
      const refused = refusals.filter(
        ({ refusedApp, os, status }) =>
          status !== 'revoked' && refusedApp === appVersionOf(release) && isOn(os, release),
      );
      return {
        ...{ release, running: running(release), refused: sum(refused), counts },
        percents: release.state === 'live' ? percentsNow(release, now()) : {},
      };
    });
  });
}

/** What installations said of some releases. */
async function reportsOf(
  { tables }: Transaction,
  releases: readonly ReleaseRow[],
): Promise<(release: ReleaseRow) => Record<ReleaseOutcome, number>> {
  const ids = releases.map(({ id }) => id);
  const said = await tables.releaseReports.tally(['releaseId', 'outcome'], { among: ['releaseId', ids] });
  return ({ id }) => countsOf(said.filter(({ releaseId }) => releaseId === id));
}

/** How many installations run the versions of some releases. */
async function runningOf(
  { tables }: Transaction,
  releases: readonly ReleaseRow[],
): Promise<(release: ReleaseRow) => number> {
  const apps = [...new Set(releases.map(appVersionOf))];
  const all = await tables.installations.tally(['app', 'os'], { where: { status: 'active' }, among: ['app', apps] });
  return (release) => sum(all.filter(({ app, os }) => app === appVersionOf(release) && isOn(os, release)));
}

function sum(tallied: readonly { readonly count: number }[]): number {
  return tallied.reduce((all, { count }) => all + count, 0);
}

/** True for a release of the system of an installation; of one that never said its own, for all. */
export function isOn(os: string | null | undefined, release: ReleaseRow): boolean {
  return !os || os === release.package.os;
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
 * All is counted only where a report may halt a rollout: a bad one, or a good one that makes them enough to count. They are of the
 * release, wherever it is rolled out: what fails on one channel halts on all of them.
 */
async function haltIfBad(transaction: Transaction, row: ReleaseRow, outcome: ReleaseOutcome): Promise<void> {
  const rollouts = rolloutsOf(row);
  const going = Object.values(rollouts).filter(({ haltedAt }) => haltedAt === null);
  if (going.length === 0) return;
  const { releases, releaseReports } = transaction.tables;
  const few = { where: { releaseId: row.id }, among: ['outcome', SETTLED], limit: LEAST_TRIES + 1 } as const;
  if (outcome === 'installed' && (await releaseReports.list(few)).length > LEAST_TRIES) return;
  const own = (await triesOf(transaction, [row]))(row);
  // The version before only ever speaks for this one.
  if (going.every((rollout) => whyHalt(rollout, own) === undefined)) return;
  const before = await triesBefore(transaction, row);
  const halted = eachRollout(rollouts, (rollout) => {
    const why = rollout.haltedAt === null ? whyHalt(rollout, own, before) : undefined;
    return why === undefined ? rollout : { ...rollout, haltedAt: transaction.now(), haltedWhy: why };
  });
  if (Object.entries(halted).every(([channel, rollout]) => rollout === rollouts[channel])) return;
  await releases.update({ where: { id: row.id } }, rolloutColumns(halted));
}

/** How installations fared with some releases. Not every app says that it is installed; who signed in with it has tried it, too. */
async function triesOf(transaction: Transaction, rows: readonly ReleaseRow[]): Promise<(release: ReleaseRow) => Tries> {
  const [said, running] = await Promise.all([reportsOf(transaction, rows), runningOf(transaction, rows)]);
  return (row) => {
    const { installed, failed, refused } = said(row);
    return { good: Math.max(installed, running(row)), failed, refused };
  };
}

/** How the version before fared: the newest one below that enough have tried, and that was not halted. */
async function triesBefore(transaction: Transaction, row: ReleaseRow): Promise<TriesBefore | undefined> {
  const { appId, package: content } = row;
  const live = await transaction.tables.releases.list({ where: { appId, state: 'live' } });
  const below = live
    .filter(({ package: { os, version } }) => os === content.os && compareVersions(version, content.version) < 0)
    .filter((one) => Object.values(rolloutsOf(one)).every(({ haltedAt }) => haltedAt === null))
    .sort((a, b) => compareVersions(b.package.version, a.package.version));
  if (below.length === 0) return undefined;
  const tries = await triesOf(transaction, below);
  const before = below.find((one) => triesIn(tries(one)) >= LEAST_TRIES);
  return before && { ...tries(before), version: before.package.version };
}
