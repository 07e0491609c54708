import {
  canonicalJson,
  formatRelease,
  type ReleaseDocument,
  type TargetsContent,
  targetsOfRelease,
  UPDATE_CHUNK_BYTES,
} from '@sallyport/channel';
import { compareVersions } from '@sallyport/lease';
import type { PackageClaims, PackageView, ReleaseInput, RolloutChange } from '@sallyport/security-api';
import { type Change, change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { randomId } from '../realm/ids.ts';
import { AccessError } from '../store/errors.ts';
import { missing } from '../store/missing.ts';
import type { ListPage } from '../store/pages.ts';
import type { Transaction } from '../store/store.ts';
import {
  begunAt,
  changedRollouts,
  checkChannel,
  eachRollout,
  rolloutColumns,
  rolloutFrom,
  rolloutsOf,
  STABLE,
} from './channels.ts';
import { holdPackage, nameHeld } from './kept-packages.ts';
import type { AppRow, ReleaseRow } from './rows.ts';
import { draftOf, type OnlineKey, parsed, signTargets, type TargetsDraft } from './update-files.ts';

/** Releases of an app that may wait to be signed: what a pipeline can put into the store is bounded. */
const MAX_PROPOSED = 32;
/** Releases of an app for one system that are live: of more the oldest versions are withdrawn, so that no question reads many. */
const MAX_LIVE = 32;

/** A page of releases by id. */
export function listReleases({ store }: AccessContext, { after, limit }: ListPage): Promise<readonly ReleaseRow[]> {
  return store.transaction(({ tables }) => tables.releases.list({ above: ['id', after], limit }));
}

/**
 * Proposes a package as the next release of its app: what the package says of itself must fit what is registered. Nobody is offered it
 * before enough people have signed it. `look` reads the package, which is not removed meanwhile.
 * @throws AccessError ERR_ACCESS_NOT_FOUND, ERR_ACCESS_INVALID with what does not fit, ERR_ACCESS_CONFLICT for a version that is there
 */
export async function proposeRelease(
  access: AccessContext,
  { look, ...input }: ReleaseInput & { readonly look: (sha256: string) => Promise<PackageView> },
  by: Actor,
): Promise<ReleaseRow> {
  const id = randomId(access.crypto);
  await holdPackage(access, input.sha256);
  const content = await look(input.sha256);
  const { channel = STABLE } = input;
  return change(access, by, async (begun) => {
    const { releases, groups } = begun.tables;
    const app = await appOfPackage(begun, content);
    checkChannel(app, channel);
    for (const name of input.rollout?.groups ?? []) if (!(await groups.find({ name }))) throw missing('group', name);
    await nameHeld(begun, content.sha256);
    const row: ReleaseRow = {
      id,
      appId: app.id,
      package: content,
      notes: input.notes ?? {},
      state: 'proposed',
      publishedBy: by.actor,
      publishedAt: begun.at,
      packageHash: content.sha256,
      withdrawnAt: null,
      ...rolloutColumns({ [channel]: rolloutFrom(input.rollout) }),
    };
    await releases.insert(row);
    begun.audit('release.publish', `${app.id} ${content.version} ${content.os}: ${id}`);
    return row;
  });
}

/**
 * Whether a package that says so of itself would be taken as the next release of its app: for who is about to make one.
 * @throws AccessError like `proposeRelease`
 */
export async function checkPackage({ store }: AccessContext, claims: PackageClaims): Promise<void> {
  await store.transaction((transaction) => appOfPackage(transaction, claims));
}

/** The app of which a package may be the next release. @throws AccessError */
async function appOfPackage({ tables }: Transaction, content: PackageClaims | PackageView): Promise<AppRow> {
  const { id, os, version } = content;
  const app = await tables.apps.find({ id }, 'share');
  if (app?.removedAt !== null) throw missing('app', id);
  checkFits(app, content);
  const all = await tables.releases.list({ where: { appId: id } });
  checkBuild(content, all);
  const others = all.filter(({ state }) => state !== 'withdrawn');
  const same = others.find((row) => row.package.os === os && compareVersions(row.package.version, version) === 0);
  if (same) throw new AccessError('ERR_ACCESS_CONFLICT', `there is a release ${version} for ${os}: ${same.id}`);
  const waiting = others.filter(({ state }) => state === 'proposed').length;
  if (waiting >= MAX_PROPOSED)
    throw new AccessError('ERR_ACCESS_CONFLICT', `${waiting} releases of the app wait to be signed: withdraw some`);
  return app;
}

type Signed = Pick<PackageView, 'os' | 'signers'>;

/** @throws AccessError ERR_ACCESS_INVALID */
function checkFits({ id, signers, platforms }: AppRow, { os, signers: signed }: Signed): void {
  const invalid = (why: string): AccessError => doesNotFit(id, why);
  if (platforms.length > 0 && !platforms.some((one) => one.os === os)) throw invalid(`it is for ${os}`);
  if (os !== 'browser' && signers.length === 0) throw invalid('no signer is registered for the app');
  const foreign = signed.find((one) => !signers.includes(one));
  if (foreign !== undefined) throw invalid(`it is signed by ${foreign}`);
}

function doesNotFit(id: string, why: string): AccessError {
  return new AccessError('ERR_ACCESS_INVALID', `the package does not fit ${id}: ${why}`);
}

/**
 * Android goes by the build (versionCode) and installs none below that which it has: builds rise with versions, whatever channel they are
 * on, also above what was withdrawn or revoked once devices may have it. iOS goes by the version.
 * @throws AccessError ERR_ACCESS_INVALID
 */
function checkBuild(
  { id, os, version, build }: Pick<PackageView, 'id' | 'os' | 'version' | 'build'>,
  all: readonly ReleaseRow[],
): void {
  if (os !== 'android') return;
  const installed = all.filter((row) => row.package.os === os && (row.state !== 'withdrawn' || hasBegun(row)));
  for (const { package: other, id: release } of installed) {
    const order = compareVersions(version, other.version);
    if (order === 0 || Math.sign(Number(build) - Number(other.build)) === Math.sign(order)) continue;
    const where = order > 0 ? 'above' : 'below';
    throw doesNotFit(
      id,
      `its build ${build} is not ${where} ${other.build}, that of ${other.version} (${release}): Android installs no update to a lower one`,
    );
  }
}

/** True for a release that was live: its steps are moments, and no longer counted from its begin. */
function hasBegun(row: ReleaseRow): boolean {
  return Object.values(rolloutsOf(row)).some(({ steps }) => steps.some(({ at }) => at >= row.publishedAt));
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
  if (!row) throw missing('release', id);
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
    const begin = rolloutColumns(eachRollout(rolloutsOf(row), (rollout) => begunAt(rollout, begun.at)));
    const live = { state: 'live', ...begin } as const;
    await begun.tables.releases.update({ where: { id } }, live);
    begun.audit('release.live', `${row.appId} ${row.package.version}: ${id}`);
    await withdrawOldest(begun, row);
    return { ...row, ...live };
  });
}

/** Of more live releases for one system than are kept, the oldest versions beside the newcomer are withdrawn. */
async function withdrawOldest(begun: Change, { id: own, appId, package: { os } }: ReleaseRow): Promise<void> {
  const { releases } = begun.tables;
  const live = await releases.list({ where: { appId, state: 'live' } });
  const others = live.filter((row) => row.package.os === os && row.id !== own);
  const newestFirst = others.sort((a, b) => compareVersions(b.package.version, a.package.version));
  for (const { id, package: content } of newestFirst.slice(MAX_LIVE - 1)) {
    await releases.update({ where: { id } }, { state: 'withdrawn', withdrawnAt: begun.at });
    begun.audit('release.withdraw', `${appId} ${content.version}: ${id}, one of more than ${MAX_LIVE}`);
  }
}

/**
 * Changes a rollout: halt, resume, the next step at once, or other steps from now on; steps on another channel begin it there.
 * @throws AccessError
 */
export async function changeRollout(
  access: AccessContext,
  id: string,
  wanted: RolloutChange,
  by: Actor,
): Promise<ReleaseRow> {
  return change(access, by, async (begun) => {
    const row = await getRelease(begun, id);
    if (row.state !== 'live') throw new AccessError('ERR_ACCESS_CONFLICT', `the release is ${row.state}, not live`);
    await checkNamed(begun, row, wanted);
    const columns = rolloutColumns(changedRollouts(rolloutsOf(row), wanted, { now: begun.at, why: by.reason }));
    await begun.tables.releases.update({ where: { id } }, columns);
    const where = wanted.channel === undefined ? '' : `, channel ${wanted.channel}`;
    begun.audit(`release.${wanted.do}`, `${row.appId} ${row.package.version}: ${id}${where}`);
    return { ...row, ...columns };
  });
}

/** What a change names is there. @throws AccessError ERR_ACCESS_NOT_FOUND */
async function checkNamed(
  { tables }: Transaction,
  { appId }: ReleaseRow,
  { do: what, channel, groups = [] }: RolloutChange,
): Promise<void> {
  const app = what === 'steps' && channel !== undefined ? await tables.apps.find({ id: appId }) : undefined;
  if (app) checkChannel(app, channel!);
  for (const name of groups) if (!(await tables.groups.find({ name }))) throw missing('group', name);
}

/** Takes a release back: nobody is offered it, or gets another byte of it, from then on. @throws AccessError ERR_ACCESS_NOT_FOUND */
export async function withdrawRelease(access: AccessContext, id: string, by: Actor): Promise<void> {
  await change(access, by, async (begun) => {
    const row = await getRelease(begun, id);
    if (row.state === 'withdrawn') return begun.unchanged();
    await begun.tables.releases.update({ where: { id } }, { state: 'withdrawn', withdrawnAt: begun.at });
    begun.audit('release.withdraw', `${row.appId} ${row.package.version}: ${id}`);
  });
}
