import { checkChannel, STABLE } from '../apps/channels.ts';
import type { ChannelDeviceRow } from '../apps/rows.ts';
import { type Change, change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { AccessError } from '../store/errors.ts';
import { missing } from '../store/missing.ts';
import type { ListPage } from '../store/pages.ts';
import type { InstallationRow } from './rows.ts';

/** Which installation, on which channel of releases of which app. */
export interface ChannelPlace {
  readonly app: string;
  readonly channel: string;
  readonly installation: string;
}

/** An installation that is on a channel by itself. */
export interface ChannelDevice extends ChannelDeviceRow {
  readonly installation: InstallationRow | undefined;
  /** Name of its user; empty for one that is gone. */
  readonly user: string;
}

/**
 * A page of the installations that are on a channel by themselves, by their ids. Whoever is on it by a group is not among them.
 * @throws AccessError ERR_ACCESS_NOT_FOUND for an app or a channel that there is not
 */
export function listChannelDevices(
  { store }: AccessContext,
  { app: appId, channel }: Pick<ChannelPlace, 'app' | 'channel'>,
  { after, limit }: ListPage,
): Promise<readonly ChannelDevice[]> {
  return store.transaction(async ({ tables }) => {
    await checkPlace(tables, { app: appId, channel });
    const { channelDevices, installations, users } = tables;
    const rows = await channelDevices.list({ where: { appId, channel }, above: ['installationId', after], limit });
    const known = await installations.list({ among: ['id', rows.map(({ installationId }) => installationId)] });
    const names = await users.list({ among: ['id', [...new Set(known.map(({ userId }) => userId))]] });
    return rows.map((row) => {
      const installation = known.find(({ id }) => id === row.installationId);
      return { ...row, installation, user: names.find(({ id }) => id === installation?.userId)?.name ?? '' };
    });
  });
}

/**
 * Puts one installation on a channel, whatever groups its user is in; which apps its user may have stays as it is. False when it is there.
 * @throws AccessError ERR_ACCESS_NOT_FOUND, ERR_ACCESS_INVALID for `stable`, ERR_ACCESS_CONFLICT for a revoked installation
 */
export async function putOnChannel(access: AccessContext, place: ChannelPlace, by: Actor): Promise<boolean> {
  const { app: appId, channel, installation: installationId } = place;
  if (channel === STABLE) throw new AccessError('ERR_ACCESS_INVALID', `every installation is on ${STABLE}`);
  return change(access, by, async (begun) => {
    const { installations, channelDevices } = begun.tables;
    await checkPlace(begun.tables, place);
    const installation = await installations.find({ id: installationId }, 'share');
    if (!installation) throw missing('installation', installationId);
    if (installation.status === 'revoked')
      throw new AccessError('ERR_ACCESS_CONFLICT', `the installation ${installationId} is revoked`);
    if (await channelDevices.find({ appId, channel, installationId })) return nothing(begun);
    await channelDevices.insert({
      ...{ appId, channel, installationId, addedAt: begun.at, addedBy: by.actor, reason: by.reason },
    });
    begun.audit('app.channel-device', `${appId} ${channel}: ${installationId}`);
    return true;
  });
}

/** Takes one installation off a channel: it gets no further byte of what it had by that alone. False when it was not there. */
export function takeOffChannel(access: AccessContext, place: ChannelPlace, by: Actor): Promise<boolean> {
  const { app: appId, channel, installation: installationId } = place;
  return change(access, by, async (begun) => {
    const removed = await begun.tables.channelDevices.remove({ where: { appId, channel, installationId } });
    if (removed === 0) return nothing(begun);
    begun.audit('app.channel-device-removed', `${appId} ${channel}: ${installationId}`);
    return true;
  });
}

async function checkPlace(
  tables: Change['tables'],
  { app: id, channel }: Pick<ChannelPlace, 'app' | 'channel'>,
): Promise<void> {
  const app = await tables.apps.find({ id });
  if (app?.removedAt !== null) throw missing('app', id);
  checkChannel(app, channel);
}

function nothing(begun: Change): false {
  begun.unchanged();
  return false;
}
