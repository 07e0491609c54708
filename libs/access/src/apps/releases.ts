import {
  canonicalJson,
  formatRelease,
  type ReleaseDocument,
  type TargetsContent,
  targetsOfRelease,
  UPDATE_CHUNK_BYTES,
} from '@sallyport/channel';
import { compareVersions } from '@sallyport/lease';
import type { PackageView, ReleaseInput, RolloutChange } from '@sallyport/security-api';
import { change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { randomId } from '../realm/ids.ts';
import { AccessError } from '../store/errors.ts';
import type { Tallied, Transaction } from '../store/store.ts';
import { appIdOf } from './app-rule.ts';
import { advanced, LEAST_REPORTS, percentNow, resumed, whyHalt } from './rollout.ts';
import type { AppRow, ReleaseOutcome, ReleaseReportRow, ReleaseRow } from './rows.ts';
import { draftOf, type OnlineKey, parsed, signTargets, type TargetsDraft } from './update-files.ts';

/** Releases of an app that may wait to be signed: what a pipeline can put into the store is bounded. */
const MAX_PROPOSED = 32;

/** A page of releases by id. */
export function listReleases(
  { store }: AccessContext,
  { after, limit }: { readonly after: string; readonly limit: number },
): Promise<readonly ReleaseRow[]> {
  return store.transaction(({ tables }) => tables.releases.list({ above: ['id', after], limit }));
}

/**
 * Proposes a package as the next release of its app: what the package says of itself must fit what is registered. Nobody is offered it
 * before enough people have signed it.
 * @throws AccessError ERR_ACCESS_NOT_FOUND, ERR_ACCESS_INVALID with what does not fit, ERR_ACCESS_CONFLICT for a version that is there
 */
export async function proposeRelease(
  access: AccessContext,
  { package: content, ...input }: Omit<ReleaseInput, 'sha256'> & { readonly package: PackageView },
  by: Actor,
): Promise<ReleaseRow> {
  const id = randomId(access.crypto);
  return change(access, by, async (begun) => {
    const { apps, releases, groups } = begun.tables;
    const app = await apps.find({ id: content.id }, 'share');
    if (app?.removedAt !== null) throw new AccessError('ERR_ACCESS_NOT_FOUND', `no app ${content.id} is registered`);
    checkFits(app, content);
    for (const name of input.rollout?.groups ?? [])
      if (!(await groups.find({ name }))) throw new AccessError('ERR_ACCESS_NOT_FOUND', `no group ${name}`);
    const others = await releases.list({ where: { appId: app.id } });
    const same = others.find(
      ({ package: { os, version }, state }) =>
        state !== 'withdrawn' && os === content.os && compareVersions(version, content.version) === 0,
    );
    if (same)
      throw new AccessError(
        'ERR_ACCESS_CONFLICT',
        `there is a release ${content.version} for ${content.os}: ${same.id}`,
      );
    const waiting = others.filter(({ state }) => state === 'proposed').length;
    if (waiting >= MAX_PROPOSED)
      throw new AccessError('ERR_ACCESS_CONFLICT', `${waiting} releases of the app wait to be signed: withdraw some`);
    const { steps = [{ percent: 100, afterMs: 0 }], groups: only = null, haltAbovePercent = 20 } = input.rollout ?? {};
    const rollout = {
      steps: steps.map(({ percent, afterMs }) => ({ percent, at: afterMs })),
      groups: only,
      haltAbovePercent,
    };
    const row: ReleaseRow = {
      id,
      appId: app.id,
      package: content,
      notes: input.notes ?? {},
      state: 'proposed',
      publishedBy: by.actor,
      publishedAt: begun.at,
      rollout: { ...rollout, haltedAt: null, haltedWhy: null },
    };
    await releases.insert(row);
    begun.audit('release.publish', `${app.id} ${content.version} ${content.os}: ${id}`);
    return row;
  });
}

/** @throws AccessError ERR_ACCESS_INVALID */
function checkFits({ id, signers, platforms }: AppRow, { os, signers: signed }: PackageView): void {
  const invalid = (why: string): AccessError =>
    new AccessError('ERR_ACCESS_INVALID', `the package does not fit ${id}: ${why}`);
  if (platforms.length > 0 && !platforms.some((one) => one.os === os)) throw invalid(`it is for ${os}`);
  if (os !== 'browser' && signers.length === 0) throw invalid('no signer is registered for the app');
  const foreign = signed.find((one) => !signers.includes(one));
  if (foreign !== undefined) throw invalid(`it is signed by ${foreign}`);
}

/** The document of a release, as it is signed and devices read it: one text for one row. */
export function releaseDocument(row: ReleaseRow): Uint8Array {
  return formatRelease(documentOf(row));
}

function documentOf({ id, appId, package: content, notes }: ReleaseRow): ReleaseDocument {
  const { version, build, os, minOsVersion, permissions, sha256, bytes, chunks } = content;
  return {
    ...{ release: id, app: appId, version, build, os, minOsVersion, notes, permissions },
    ...{ sha256, bytes, chunkBytes: UPDATE_CHUNK_BYTES, chunks },
  };
}

/** What targets hold once a release is among them, or no more: those that are live, and it. */
async function targetsWith({ tables }: Transaction, release: ReleaseRow): Promise<TargetsContent['targets']> {
  const live = (await tables.releases.list({ where: { state: 'live' } })).filter(({ id }) => id !== release.id);
  const rows = release.state === 'withdrawn' ? live : [...live, release];
  return Object.assign({}, ...rows.map((row) => targetsOfRelease(documentOf(row))));
}

/** Targets with a release, for who is to sign them. @throws AccessError ERR_ACCESS_NOT_FOUND, ERR_ACCESS_CONFLICT */
export function draftWith(access: AccessContext, id: string): Promise<TargetsDraft> {
  return access.store.transaction(async (transaction) => {
    const row = await getRelease(transaction, id);
    return draftOf(transaction, await targetsWith(transaction, row));
  });
}

async function getRelease({ tables }: Transaction, id: string): Promise<ReleaseRow> {
  const row = await tables.releases.find({ id }, 'update');
  if (!row) throw new AccessError('ERR_ACCESS_NOT_FOUND', `no release ${id}`);
  return row;
}

/**
 * Takes somebody's signature over the targets with a release. With enough of them it is live, and its rollout begins. Whoever published it
 * cannot sign it. Gives the release as it is then.
 * @throws AccessError ERR_ACCESS_INVALID for other targets than these, ERR_ACCESS_CONFLICT
 */
export async function approveRelease(
  access: AccessContext,
  { id, metadata, online }: { readonly id: string; readonly metadata: string; readonly online: OnlineKey },
  by: Actor,
): Promise<ReleaseRow> {
  const brought = parsed('targets', metadata);
  return change(access, by, async (begun) => {
    const row = await getRelease(begun, id);
    if (row.publishedBy === by.actor)
      throw new AccessError('ERR_ACCESS_CONFLICT', 'a release is signed by somebody else than who published it');
    const wanted = await targetsWith(begun, row);
    if (canonicalJson(brought.signed.targets) !== canonicalJson(wanted))
      throw new AccessError('ERR_ACCESS_INVALID', 'the targets are not those with this release: begin again');
    const done = await signTargets(begun, brought, { online, operator: by.actor });
    begun.audit('release.sign', `${row.appId} ${row.package.version}: ${id}, targets ${brought.signed.version}`);
    if (!done || row.state !== 'proposed') return row;
    const steps = row.rollout.steps.map(({ percent, at }) => ({ percent, at: begun.at + at }));
    const live = { state: 'live', rollout: { ...row.rollout, steps } } as const;
    await begun.tables.releases.update({ where: { id } }, live);
    begun.audit('release.live', `${row.appId} ${row.package.version}: ${id}`);
    return { ...row, ...live };
  });
}

/** Changes a rollout: halt, resume, the next step at once, or other steps from now on. @throws AccessError */
export async function changeRollout(
  access: AccessContext,
  id: string,
  wanted: RolloutChange,
  by: Actor,
): Promise<ReleaseRow> {
  return change(access, by, async (begun) => {
    const row = await getRelease(begun, id);
    if (row.state !== 'live') throw new AccessError('ERR_ACCESS_CONFLICT', `the release is ${row.state}, not live`);
    const rollout = changedRollout(row.rollout, wanted, begun);
    await begun.tables.releases.update({ where: { id } }, { rollout });
    begun.audit(`release.${wanted.do}`, `${row.appId} ${row.package.version}: ${id}`);
    return { ...row, rollout };
  });
}

function changedRollout(
  rollout: ReleaseRow['rollout'],
  wanted: RolloutChange,
  { at: now, by }: { readonly at: number; readonly by: Actor },
): ReleaseRow['rollout'] {
  switch (wanted.do) {
    case 'halt':
      return rollout.haltedAt === null ? { ...rollout, haltedAt: now, haltedWhy: by.reason } : rollout;
    case 'resume':
      return resumed(rollout, now);
    case 'advance':
      return advanced(rollout, now);
    case 'steps': {
      const steps = (wanted.steps ?? []).map(({ percent, afterMs }) => ({ percent, at: now + afterMs }));
      if (steps.length === 0) throw new AccessError('ERR_ACCESS_INVALID', 'a rollout has steps');
      return { ...rollout, steps };
    }
  }
}

/** Takes a release back: nobody is offered it, or gets another byte of it, from then on. @throws AccessError ERR_ACCESS_NOT_FOUND */
export async function withdrawRelease(access: AccessContext, id: string, by: Actor): Promise<void> {
  await change(access, by, async (begun) => {
    const row = await getRelease(begun, id);
    if (row.state === 'withdrawn') return begun.unchanged();
    await begun.tables.releases.update({ where: { id } }, { state: 'withdrawn' });
    begun.audit('release.withdraw', `${row.appId} ${row.package.version}: ${id}`);
  });
}

/** How a release fares: installations by what they said of it, and how many run its version. */
export interface ReleaseStanding {
  readonly release: ReleaseRow;
  readonly percent: number;
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
      tables.installations.tally(['app'], { where: { status: 'active' }, among: ['app', [...new Set(apps)]] }),
      tables.releaseReports.tally(['releaseId', 'outcome'], { among: ['releaseId', ids] }),
    ]);
    return newest.map((release, i) => ({
      release,
      percent: release.state === 'live' ? percentNow(release.rollout, now()) : 0,
      running: running.find(({ app }) => app === apps[i])?.count ?? 0,
      counts: countsOf(said.filter(({ releaseId }) => releaseId === release.id)),
    }));
  });
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

/** All reports are counted only where this one may halt the rollout: a bad one, or a good one that makes them enough to count. */
async function haltIfBad(transaction: Transaction, row: ReleaseRow, outcome: ReleaseOutcome): Promise<void> {
  const { id, rollout } = row;
  if (rollout.haltedAt !== null) return;
  const { releases, releaseReports } = transaction.tables;
  const few = { where: { releaseId: id }, among: ['outcome', SETTLED], limit: LEAST_REPORTS + 1 } as const;
  if (outcome === 'installed' && (await releaseReports.list(few)).length > LEAST_REPORTS) return;
  const why = whyHalt(rollout, await countReports(transaction, id));
  if (why === undefined) return;
  const halted = { ...rollout, haltedAt: transaction.now(), haltedWhy: why };
  await releases.update({ where: { id } }, { rollout: halted });
}

/** Notes that a sign-in was refused by a version that is rolled out. Of releases of other apps than its own a device says nothing. */
export async function noteRefusedVersion(
  access: AccessContext,
  { app, installationId }: { readonly app: string; readonly installationId: string },
): Promise<void> {
  const appId = appIdOf(app);
  const live = await access.store.transaction(async ({ tables }) => {
    const installation = await tables.installations.find({ id: installationId });
    if (!installation || appIdOf(installation.app) !== appId) return [];
    return tables.releases.list({ where: { appId, state: 'live' } });
  });
  const release = live.find(({ package: { version } }) => `${appId}@${version}` === app);
  if (release) await noteReport(access, { releaseId: release.id, installationId, outcome: 'refused' });
}
