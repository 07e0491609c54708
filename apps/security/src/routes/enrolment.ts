import { type AccessContext, issueCode, listInstallations, listSites, readRealm, settingsOf } from '@sallyport/access';
import { formatLink } from '@sallyport/channel';
import { ProblemError } from '@sallyport/http-service';
import { codes, installations } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import type { LiveKeys } from '../keys/live-keys.ts';
import { pageOf } from './paging.ts';
import { serve } from './serve.ts';

/** What operations on activation codes and installations work with. */
export interface EnrolmentRoutes {
  readonly access: AccessContext;
  readonly liveKeys: Pick<LiveKeys, 'current'>;
}

/** Activation codes and installations. */
export function addEnrolmentRoutes(service: FastifyInstance, { access, liveKeys }: EnrolmentRoutes): void {
  serve(service, codes.issue, async ({ body: { user, ttlMs }, by }) => {
    const { id, code, expiresAt } = await issueCode(access, user, ttlMs, by);
    const realm = await readRealm(access.store);
    const origins = (await listSites(access)).flatMap(({ origins: served }) => served);
    if (origins.length === 0)
      throw new ProblemError('ERR_SECURITY_NO_SITE', 'no site has an origin yet: sallyport site put');
    const { newestKid: kid, handshake, rootThumbprint: root } = liveKeys.current;
    const rs = handshake.get(kid)!.publicKey;
    const link = { origins, realm: access.store.realm, kid, rs, root, code, seq: realm.mapVersion, user };
    return { id, user, code, link: formatLink(settingsOf(realm).enrolPage, link), expiresAt };
  });
  serve(service, installations.list, async ({ query }) =>
    (await listInstallations(access, pageOf(query))).map(({ installation, user }) => {
      const { id, status, generation, app, model, createdAt, lastSeenAt } = installation;
      return { id, user, status, generation, app, model, createdAt, lastSeenAt };
    }),
  );
}
