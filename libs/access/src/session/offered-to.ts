import { compareVersions } from '@sallyport/lease';
import { appIdOf, appVersionOf, usableApp } from '../apps/app-rule.ts';
import { type ChannelAsker, rolloutsFor } from '../apps/channels.ts';
import { percentNow, turnOf } from '../apps/rollout.ts';
import type { AppRow, ReleaseRow } from '../apps/rows.ts';
import { groupsOfAll } from '../people/users.ts';
import type { AccessContext } from '../realm/context.ts';
import { blockedApps } from '../revocation/revocation.ts';
import { missing } from '../store/missing.ts';
import type { ListPage } from '../store/pages.ts';
import type { InstallationRow } from './rows.ts';

/** Whether a release is offered to an installation, and why it is not. */
export interface OfferedTo {
  /** Of the installation. */
  readonly id: string;
  /** Name of its user; empty for one that is gone. */
  readonly user: string;
  /** The app as which it last signed in: `id@version`. */
  readonly app: string;
  readonly offered: boolean;
  /** In words; empty when it is offered. */
  readonly why: string;
}

/**
 * A page of the installations by id, each with whether a release is offered to it at this moment: by the rules by which it is.
 * @throws AccessError ERR_ACCESS_NOT_FOUND
 */
export function offeredTo(
  { store, crypto }: AccessContext,
  releaseId: string,
  { after, limit }: ListPage,
): Promise<readonly OfferedTo[]> {
  return store.transaction(async (transaction) => {
    const { releases, apps, installations, users, channelDevices } = transaction.tables;
    const release = await releases.find({ id: releaseId });
    if (!release) throw missing('release', releaseId);
    const app = await apps.find({ id: release.appId });
    const rows = await installations.list({ above: ['id', after], limit });
    const userIds = [...new Set(rows.map(({ userId }) => userId))];
    const [known, groups, revoked, onChannels] = await Promise.all([
      users.list({ among: ['id', userIds] }),
      groupsOfAll(transaction, userIds),
      blockedApps(transaction, [appVersionOf(release)]),
      channelDevices.list({
        where: { appId: release.appId },
        among: ['installationId', rows.map(({ id }) => id)],
      }),
    ]);
    const now = transaction.now();
    return rows.map((installation) => {
      const user = known.find(({ id }) => id === installation.userId);
      const turn = turnOf((bytes) => crypto.sha256(bytes), { release: releaseId, installation: installation.id });
      const own = onChannels.filter(({ installationId }) => installationId === installation.id);
      const asker = { own, groups: groups.get(installation.userId) ?? [] };
      const of = { release, app, installation, now, turn, isRevoked: revoked.size > 0, ...asker };
      const why = user?.enabled ? whyNot(of) : 'its user is out';
      const { id, app: running } = installation;
      return { id, user: user?.name ?? '', app: running, offered: why === '', why };
    });
  });
}

/** What decides. */
interface Deciding extends ChannelAsker {
  readonly release: ReleaseRow;
  readonly app: AppRow | undefined;
  readonly installation: InstallationRow;
  readonly turn: number;
  readonly now: number;
  /** The version of the release is. */
  readonly isRevoked: boolean;
}

function whyNot({ release, app, installation, groups, own: onChannels, turn, now, isRevoked }: Deciding): string {
  const { version } = release.package;
  const running = installation.app.slice(release.appId.length + 1);
  if (appIdOf(installation.app) !== release.appId) return 'it is another app';
  if (installation.status === 'revoked') return 'it is revoked';
  if (release.state !== 'live') return `the release is ${release.state}`;
  if (isRevoked) return 'its version is revoked';
  if (!usableApp(app ? [app] : [], { id: release.appId, groups })) return 'its user may not use the app';
  if (compareVersions(version, running) <= 0) return `it has ${running}`;
  const own = Object.entries(rolloutsFor(app!, release, { groups, own: onChannels }));
  if (own.length === 0) return 'it and its user are on no channel, or in no group, of the release';
  const percent = Math.max(...own.map(([, rollout]) => percentNow(rollout, now)));
  if (percent === 0) return own.some(([, { haltedAt }]) => haltedAt !== null) ? 'it is halted' : 'it has not begun';
  const isBelow = app!.minimum !== null && compareVersions(running, app!.minimum.version) < 0;
  return isBelow || turn < percent ? '' : `its turn comes above ${turn.toFixed(2)} %`;
}
