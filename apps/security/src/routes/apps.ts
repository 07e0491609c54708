import {
  type AccessContext,
  type AppRow,
  type ChannelDevice,
  getApp,
  issueInstallLink,
  listApps,
  listChannelDevices,
  putApp,
  putOnChannel,
  removeApp,
  takeOffChannel,
} from '@sallyport/access';
import { INSTALL_PREFIX } from '@sallyport/security-api';
import { apps, type GivenAnswerOf } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import type { InForce } from '../revocation/in-force.ts';
import { installOrigin, webOriginOf } from '../updates/install-origin.ts';
import { pageOf } from './paging.ts';
import { serve } from './serve.ts';

/** What operations on apps work with. */
export interface AppRoutes {
  readonly access: AccessContext;
  readonly inForce: InForce;
}

function appView(app: AppRow): GivenAnswerOf<typeof apps.put> {
  const { id, title, platforms, signers, groups, owners, minimum, channels } = app;
  return { id, title, platforms, signers, groups, owners, minimum, channels: channels ?? {} };
}

function channelDeviceView(row: ChannelDevice): GivenAnswerOf<typeof apps.devices>[number] {
  const { installationId: id, installation, user, addedAt, addedBy, reason } = row;
  return { id, user, app: installation?.app ?? '', model: installation?.model ?? '', addedAt, addedBy, reason };
}

/** Registered apps. */
export function addAppRoutes(service: FastifyInstance, { access, inForce }: AppRoutes): void {
  serve(service, apps.list, async ({ query }) => (await listApps(access, pageOf(query))).map(appView));
  serve(service, apps.get, async ({ params: { id } }) => appView(await getApp(access, id)));
  serve(service, apps.put, async ({ params: { id }, body, by, onlyNew }) => {
    const row = await putApp(access, id, body, by, { onlyNew });
    await inForce.ensureAll();
    return appView(row);
  });
  serve(service, apps.link, async ({ params: { id: app }, body: { user, ttlMs, origin }, by }) => {
    const at = origin === undefined ? await installOrigin(access) : webOriginOf(origin);
    const { token, expiresAt } = await issueInstallLink(access, { app, user, origin: at, ttlMs }, by);
    return { link: `${at}${INSTALL_PREFIX}/${token}`, expiresAt };
  });
  serve(service, apps.devices, async ({ params: { id: app, channel }, query }) =>
    (await listChannelDevices(access, { app, channel }, pageOf(query))).map(channelDeviceView),
  );
  serve(service, apps.assign, async ({ params: { id: app, channel, installation }, by }) => ({
    done: await putOnChannel(access, { app, channel, installation }, by),
  }));
  serve(service, apps.unassign, async ({ params: { id: app, channel, installation }, by }) => ({
    done: await takeOffChannel(access, { app, channel, installation }, by),
  }));
  serve(service, apps.remove, async ({ params: { id }, by }) => {
    const done = await removeApp(access, id, by);
    await inForce.ensureAll();
    return { done };
  });
}
