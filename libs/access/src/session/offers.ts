import { compareVersions } from '@sallyport/lease';
import type { PackageView } from '@sallyport/security-api';
import { appIdOf, appVersionOf, usableApp } from '../apps/app-rule.ts';
import { type ChannelAsker, rolloutsFor, STABLE } from '../apps/channels.ts';
import { isInPart, percentNow } from '../apps/rollout.ts';
import type { AppRow, ReleaseRow } from '../apps/rows.ts';
import { groupsOf } from '../people/users.ts';
import type { AccessContext } from '../realm/context.ts';
import { blockedApps } from '../revocation/revocation.ts';
import type { Transaction } from '../store/store.ts';

/** A device that asks for updates of its app. */
export interface UpdateAsker {
  readonly installationId: string;
  readonly userId: string;
}

/** What is offered to a device: the release, and from when on the version that it runs is not served. */
export interface UpdateOffer {
  readonly release: string | null;
  readonly requiredFrom: number | null;
}

/** What a device says that it runs. */
export interface RunningApp {
  readonly version: string;
  readonly os: string;
  /** Version of the system, numbers with dots; absent where it is not known. */
  readonly osVersion?: string | undefined;
}

/** The newest release that is rolled out to a device above the version that it runs, for its version of the system. */
export function offerFor(access: AccessContext, asker: UpdateAsker, running: RunningApp): Promise<UpdateOffer> {
  return access.store.transaction(async (transaction) => {
    const { tables } = transaction;
    const who = await askingUser(transaction, asker);
    const row = who && (await tables.apps.find({ id: appIdOf(who.running) }));
    const app = row && usableApp([row], { id: row.id, groups: who.groups });
    if (!app) return { release: null, requiredFrom: null };
    const of = { ...who, running: `${app.id}@${running.version}`, asker, app, now: transaction.now() };
    const live = await liveReleases(transaction, [app.id]);
    const [best] = live
      .filter(({ package: content }) => runsOn(content, running))
      .filter(({ package: { version } }) => compareVersions(version, running.version) > 0)
      .filter((release) => isOffered(access, release, of))
      .sort((a, b) => compareVersions(b.package.version, a.package.version));
    return { release: best?.id ?? null, requiredFrom: mustUpdate(of) ? app.minimum!.from : null };
  });
}

/** True for a package of the system of a device that this one does not say is too old for it. */
function runsOn({ os, minOsVersion }: PackageView, running: RunningApp): boolean {
  if (os !== running.os) return false;
  const { osVersion } = running;
  return osVersion === undefined || minOsVersion === '' || compareVersions(osVersion, minOsVersion) >= 0;
}

/** Which release: by its id, or by its package. */
export type WantedRelease = { readonly id: string } | { readonly sha256: string };

/**
 * A release that a device may read and download now: of its own app, or of another one that its user may have. Undefined for any other, or
 * one that it lost since.
 */
export function releaseForDevice(
  access: AccessContext,
  asker: UpdateAsker,
  wanted: WantedRelease,
): Promise<ReleaseRow | undefined> {
  return access.store.transaction(async (transaction) => {
    const [who, rows] = await Promise.all([askingUser(transaction, asker), releasesOf(transaction, wanted)]);
    if (!who || rows.length === 0) return undefined;
    const apps = await transaction.tables.apps.list({ among: ['id', [...new Set(rows.map(({ appId }) => appId))]] });
    return rows.find((row) => {
      const app = usableApp(apps, { id: row.appId, groups: who.groups });
      return app && isOffered(access, row, { ...who, asker, app, now: transaction.now() });
    });
  });
}

/** A release of the app as which a device signed in; what it says of others counts for nothing. */
export async function ownRelease(
  access: AccessContext,
  asker: UpdateAsker,
  wanted: WantedRelease,
): Promise<ReleaseRow | undefined> {
  const row = await releaseForDevice(access, asker, wanted);
  const id = asker.installationId;
  const installation = row && (await access.store.transaction(({ tables }) => tables.installations.find({ id })));
  return installation && appIdOf(installation.app) === row.appId ? row : undefined;
}

async function releasesOf(transaction: Transaction, wanted: WantedRelease): Promise<readonly ReleaseRow[]> {
  const { releases } = transaction.tables;
  if ('sha256' in wanted) {
    const found = await releases.list({ where: { state: 'live', packageHash: wanted.sha256 } });
    return withoutRevoked(
      transaction,
      found.filter((row) => row.package.sha256 === wanted.sha256),
    );
  }
  const row = await releases.find({ id: wanted.id });
  return row?.state === 'live' ? withoutRevoked(transaction, [row]) : [];
}

/** Releases of some apps that can be offered: they are live, and nobody has revoked their versions. */
export async function liveReleases(
  transaction: Transaction,
  appIds: readonly string[],
): Promise<readonly ReleaseRow[]> {
  const live = await transaction.tables.releases.list({ where: { state: 'live' }, among: ['appId', appIds] });
  return withoutRevoked(transaction, live);
}

/** Whoever installed a version that was revoked would be let to nothing any more. */
async function withoutRevoked(transaction: Transaction, rows: readonly ReleaseRow[]): Promise<readonly ReleaseRow[]> {
  if (rows.length === 0) return rows;
  const out = await blockedApps(transaction, rows.map(appVersionOf));
  return rows.filter((row) => !out.has(appVersionOf(row)));
}

/** An app that somebody may have, with its newest release for each system, as far as it is rolled out to the device that asks. */
export interface CatalogueEntry {
  readonly app: AppRow;
  readonly releases: readonly ReleaseRow[];
  /** Channels by which the device gets those of them that are not on `stable` for it, by their ids. */
  readonly channels: Readonly<Record<string, string>>;
}

/** Of more apps a device is told the first ones only. */
const MAX_CATALOGUE = 200;
/** Apps whose releases are read at a time. */
const APPS_AT_ONCE = 16;

/** The apps of the user of a device of which there is a release, by their titles. */
export function catalogueFor(access: AccessContext, asker: UpdateAsker): Promise<readonly CatalogueEntry[]> {
  return access.store.transaction(async (transaction) => {
    const { tables } = transaction;
    const who = await askingUser(transaction, asker);
    if (!who) return [];
    const all = await tables.apps.list({ where: { removedAt: null } });
    const own = all
      .filter((row) => usableApp([row], { id: row.id, groups: who.groups }))
      .sort((a, b) => (a.title < b.title ? -1 : 1));
    const entries: CatalogueEntry[] = [];
    for (let at = 0; at < own.length && entries.length < MAX_CATALOGUE; at += APPS_AT_ONCE) {
      const apps = own.slice(at, at + APPS_AT_ONCE);
      const live = await liveReleases(
        transaction,
        apps.map(({ id }) => id),
      );
      const now = transaction.now();
      for (const app of apps) {
        const of = { ...who, asker, app, now };
        const offered = live.filter((one) => one.appId === app.id && isOffered(access, one, of));
        const releases = newestBySystem(offered);
        const by = releases.map((one) => [one.id, offeredOn(access, one, of)!] as const);
        const channels = Object.fromEntries(by.filter(([, channel]) => channel !== STABLE));
        if (releases.length > 0) entries.push({ app, releases, channels });
      }
    }
    return entries.slice(0, MAX_CATALOGUE);
  });
}

/** Releases of an app that are offered to a device now; undefined for one that is out, or its user. */
export async function offeredReleases(
  access: AccessContext,
  transaction: Transaction,
  { asker, app }: Pick<OfferParts, 'asker' | 'app'>,
): Promise<readonly ReleaseRow[] | undefined> {
  const who = await askingUser(transaction, asker);
  if (!who) return undefined;
  const live = await liveReleases(transaction, [app.id]);
  return live.filter((row) => isOffered(access, row, { ...who, asker, app, now: transaction.now() }));
}

/** Of some releases of one app the newest for each system. */
export function newestBySystem(rows: readonly ReleaseRow[]): ReleaseRow[] {
  const newest = new Map<string, ReleaseRow>();
  for (const row of rows) {
    const known = newest.get(row.package.os);
    if (!known || compareVersions(row.package.version, known.package.version) > 0) newest.set(row.package.os, row);
  }
  return [...newest.values()];
}

/** Whoever asks, as long as their user and device are in. */
interface AskingUser extends ChannelAsker {
  /** The app as which the device last signed in: `id@version`. */
  readonly running: string;
}

async function askingUser(
  transaction: Transaction,
  { installationId, userId }: UpdateAsker,
): Promise<AskingUser | undefined> {
  const { installations, users, channelDevices } = transaction.tables;
  const [installation, user, groups, own] = await Promise.all([
    installations.find({ id: installationId }),
    users.find({ id: userId }),
    groupsOf(transaction, userId),
    channelDevices.list({ where: { installationId } }),
  ]);
  if (!user?.enabled || installation?.userId !== userId || installation.status === 'revoked') return undefined;
  return { groups, own, running: installation.app };
}

/** What decides whether a release is rolled out to a device. */
interface OfferParts extends AskingUser {
  readonly asker: UpdateAsker;
  readonly app: AppRow;
  readonly now: number;
}

/** True for a release of an app that is rolled out to a device. */
function isOffered(access: AccessContext, release: ReleaseRow, of: OfferParts): boolean {
  return offeredOn(access, release, of) !== undefined;
}

/** The channel by which a release is rolled out to a device. Who must update need not wait for its turn. */
function offeredOn(access: AccessContext, release: ReleaseRow, of: OfferParts): string | undefined {
  const installationId = mustUpdate(of) ? undefined : of.asker.installationId;
  return channelOfOffer(access, release, { ...of, installationId });
}

/** For whom a release is asked. */
export interface RolloutAsker extends ChannelAsker {
  readonly app: Pick<AppRow, 'id' | 'channels'>;
  readonly installationId: string | undefined;
  readonly now: number;
}

/**
 * True for a release that is rolled out now to an installation of a member of the groups, on one of their channels; without an installation,
 * to anybody at all: then it is enough that it has begun and was not halted.
 */
export function isRolledOut(access: AccessContext, release: ReleaseRow, asker: RolloutAsker): boolean {
  return channelOfOffer(access, release, asker) !== undefined;
}

/** The channel by which a release is rolled out now to an installation: `stable` where that is one of several. */
function channelOfOffer(
  { crypto }: AccessContext,
  release: ReleaseRow,
  { app, installationId: installation, now, ...asker }: RolloutAsker,
): string | undefined {
  const isIn = (percent: number): boolean =>
    installation === undefined
      ? percent > 0
      : isInPart((bytes) => crypto.sha256(bytes), { release: release.id, installation }, percent);
  const rollouts = Object.entries(rolloutsFor(app, release, asker));
  const offering = rollouts.filter(([, rollout]) => isIn(percentNow(rollout, now))).map(([channel]) => channel);
  return offering.includes(STABLE) ? STABLE : offering[0];
}

/** True for a device of this app whose version is below the minimum, be that due or not. */
function mustUpdate({ app: { id, minimum }, running }: Pick<OfferParts, 'app' | 'running'>): boolean {
  if (minimum === null || appIdOf(running) !== id) return false;
  return compareVersions(running.slice(id.length + 1), minimum.version) < 0;
}
