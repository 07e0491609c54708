import { compareVersions } from '@sallyport/lease';
import { appIdOf, usableApp } from '../apps/app-rule.ts';
import { isInPart, percentNow } from '../apps/rollout.ts';
import type { AppRow, ReleaseRow } from '../apps/rows.ts';
import { groupsOf } from '../people/users.ts';
import type { AccessContext } from '../realm/context.ts';
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

/** The newest release that is rolled out to a device above the version that it runs. */
export function offerFor(
  access: AccessContext,
  asker: UpdateAsker,
  running: { readonly version: string; readonly os: string },
): Promise<UpdateOffer> {
  return access.store.transaction(async (transaction) => {
    const entitled = await entitledApp(transaction, asker);
    if (!entitled) return { release: null, requiredFrom: null };
    const { app } = entitled;
    const isRequired = app.minimum !== null && compareVersions(running.version, app.minimum.version) < 0;
    const [best] = (await releasesFor(access, transaction, { ...entitled, asker, isRequired }))
      .filter(({ package: { os, version } }) => os === running.os && compareVersions(version, running.version) > 0)
      .sort((a, b) => compareVersions(b.package.version, a.package.version));
    return { release: best?.id ?? null, requiredFrom: isRequired ? app.minimum!.from : null };
  });
}

/** A release that a device may read and download now; undefined for any other, or one that it lost since. */
export function releaseForDevice(
  access: AccessContext,
  asker: UpdateAsker,
  wanted: (release: ReleaseRow) => boolean,
): Promise<ReleaseRow | undefined> {
  return access.store.transaction(async (transaction) => {
    const entitled = await entitledApp(transaction, asker);
    if (!entitled) return undefined;
    const { app } = entitled;
    const isRequired = app.minimum !== null && compareVersions(entitled.version, app.minimum.version) < 0;
    return (await releasesFor(access, transaction, { ...entitled, asker, isRequired })).find(wanted);
  });
}

interface Entitled {
  readonly app: AppRow;
  readonly groups: readonly string[];
  /** The version as which the device last signed in. */
  readonly version: string;
}

/** The app of a device, as long as its user may have it. */
async function entitledApp(
  transaction: Transaction,
  { installationId, userId }: UpdateAsker,
): Promise<Entitled | undefined> {
  const { installations, users, apps } = transaction.tables;
  const [installation, user, groups] = await Promise.all([
    installations.find({ id: installationId }),
    users.find({ id: userId }),
    groupsOf(transaction, userId),
  ]);
  if (!user?.enabled || installation?.userId !== userId || installation.status === 'revoked') return undefined;
  const id = appIdOf(installation.app);
  const row = await apps.find({ id });
  const app = row && usableApp([row], { id, groups });
  return app && { app, groups, version: installation.app.slice(id.length + 1) };
}

/** Releases of the app that are rolled out to the device. Who must update need not wait for its turn. */
async function releasesFor(
  { crypto }: AccessContext,
  { tables, now }: Transaction,
  { app, groups, asker, isRequired }: Entitled & { readonly asker: UpdateAsker; readonly isRequired: boolean },
): Promise<ReleaseRow[]> {
  const live = await tables.releases.list({ where: { appId: app.id, state: 'live' } });
  return live.filter(({ id, rollout }) => {
    if (rollout.groups !== null && !rollout.groups.some((group) => groups.includes(group))) return false;
    const percent = percentNow(rollout, now());
    if (percent === 0) return false;
    if (isRequired) return true;
    return isInPart((bytes) => crypto.sha256(bytes), { release: id, installation: asker.installationId }, percent);
  });
}
