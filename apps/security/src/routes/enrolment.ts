import { getRealm, issueCode, listInstallations, listSites, settingsOf } from '@sallyport/access';
import { formatLink } from '@sallyport/channel';
import { ProblemError } from '@sallyport/http-service';
import { CodeInput, CodeView, InstallationView } from '@sallyport/security-api';
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import type { RealmContext } from '../realm-context.ts';
import { actorOf, changing, operation } from './operation.ts';
import { CursorQuery, pageOf } from './paging.ts';

/** Activation codes and installations. */
export function addEnrolmentRoutes(service: FastifyInstance, context: RealmContext): void {
  const { access } = context;
  service.post<{ Body: CodeInput }>(
    '/v1/codes',
    changing('codes.issue', 'Issue an activation code with its link', CodeView, { body: CodeInput }),
    async (request) => {
      const { user, ttlMs } = request.body;
      const issued = await issueCode(access, user, ttlMs, actorOf(request));
      const realm = await access.store.transaction((transaction) => getRealm(transaction));
      const settings = settingsOf(realm);
      const origins = (await listSites(access)).flatMap((site) => site.origins as string[]);
      if (origins.length === 0)
        throw new ProblemError('ERR_SECURITY_NO_SITE', 'no site has an origin yet: sallyport site put');
      const { keys } = context;
      const link = formatLink(settings.enrolPage, {
        origins,
        realm: access.store.realm,
        kid: keys.newestKid,
        rs: keys.handshake.get(keys.newestKid)!.publicKey,
        root: keys.rootThumbprint,
        code: issued.code,
        seq: realm.mapVersion,
        user,
      });
      return { id: issued.id, user, code: issued.code, link, expiresAt: issued.expiresAt };
    },
  );
  service.get<{ Querystring: CursorQuery }>(
    '/v1/installations',
    operation(
      'installations.list',
      'Installations in the order of their ids, a page of them',
      Type.Array(InstallationView),
      {
        querystring: CursorQuery,
      },
    ),
    async ({ query }) =>
      (await listInstallations(access, pageOf(query))).map(({ installation, user }) => {
        const { id, status, generation, app, model, createdAt, lastSeenAt } = installation;
        return { id, user, status, generation, app, model, createdAt, lastSeenAt };
      }),
  );
}
