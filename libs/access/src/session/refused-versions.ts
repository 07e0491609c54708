import { compareVersions } from '@sallyport/lease';
import { appIdOf, appVersionOf } from '../apps/app-rule.ts';
import { isOn, noteReport } from '../apps/release-reports.ts';
import type { ReleaseRow } from '../apps/rows.ts';
import type { AccessContext } from '../realm/context.ts';
import { isAppRevoked } from '../revocation/revocation.ts';
import type { Transaction } from '../store/store.ts';
import { ownRelease } from './offers.ts';
import type { InstallationRow } from './rows.ts';

/** A sign-in of a version, by an installation that has proved itself. */
export interface VersionSignIn {
  /** As which app, `id@version`. */
  readonly app: string;
  readonly installationId: string;
}

/** A sign-in that was refused for what the app is. */
export interface RefusedSignIn extends VersionSignIn {
  /** True where the version itself may be why: nobody has said that it, its app or its user is out. */
  readonly mayBeVersion: boolean;
}

/**
 * Notes that a sign-in was refused with a version. It counts against the rollout of its release where nothing else is known that changed:
 * the installation was served with another version until now, and the release is offered to it. Of other apps than its own a device says
 * nothing.
 */
export async function noteRefusedVersion(
  access: AccessContext,
  { app, installationId, mayBeVersion }: RefusedSignIn,
): Promise<void> {
  const counted = await access.store.transaction(async (transaction) => {
    const { installations } = transaction.tables;
    const installation = await installations.find({ id: installationId }, 'update');
    if (!installation || appIdOf(installation.app) !== appIdOf(app)) return undefined;
    if (installation.refusedApp !== app)
      await installations.update({ where: { id: installationId } }, { refusedApp: app });
    const wasServed = installation.app !== app && (await isServed(transaction, installation));
    const release = mayBeVersion && wasServed ? await releaseOf(transaction, app, installation) : undefined;
    return release && { releaseId: release.id, userId: installation.userId };
  });
  if (!counted) return;
  const { releaseId, userId } = counted;
  if (await ownRelease(access, { installationId, userId }, { id: releaseId }))
    await noteReport(access, { releaseId, installationId, outcome: 'refused' });
}

/** True for an installation that was refused with nothing since it signed in, but with a version for being below the minimum. */
async function isServed({ tables }: Transaction, { refusedApp }: InstallationRow): Promise<boolean> {
  if (!refusedApp) return true;
  const id = appIdOf(refusedApp);
  const minimum = (await tables.apps.find({ id }))?.minimum;
  return minimum ? compareVersions(refusedApp.slice(id.length + 1), minimum.version) < 0 : false;
}

/** The live release of a version for the system of an installation. */
async function releaseOf(
  { tables }: Transaction,
  app: string,
  { os }: InstallationRow,
): Promise<ReleaseRow | undefined> {
  const live = await tables.releases.list({ where: { appId: appIdOf(app), state: 'live' } });
  return live.find((row) => appVersionOf(row) === app && isOn(os, row));
}

/** Notes that a sign-in was refused for its version, where that is revoked; says whether it is. */
export async function noteRevokedVersion(access: AccessContext, refused: VersionSignIn): Promise<boolean> {
  const isRevoked = await access.store.transaction((transaction) => isAppRevoked(transaction, refused.app));
  if (isRevoked) await noteRefusedVersion(access, { ...refused, mayBeVersion: false });
  return isRevoked;
}

/** Notes that a version signs in that was refused before: whatever it was, it was not the version, or is over. */
export async function noteServedVersion(access: AccessContext, { app, installationId }: VersionSignIn): Promise<void> {
  const release = await access.store.transaction(async (transaction) => {
    const installation = await transaction.tables.installations.find({ id: installationId });
    const served = installation && (await releaseOf(transaction, app, installation));
    const before = served && (await transaction.tables.releaseReports.find({ releaseId: served.id, installationId }));
    return before?.outcome === 'refused' ? served : undefined;
  });
  if (release) await noteReport(access, { releaseId: release.id, installationId, outcome: 'installed' });
}
