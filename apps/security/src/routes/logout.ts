import { endProviderSessions, type ProviderLogout } from '@sallyport/access';
import { DirectoryError, type LogoutOrder } from '@sallyport/directory';
import { ProblemError } from '@sallyport/http-service';
import type { OidcSettings } from '@sallyport/security-api';
import type { FastifyInstance } from 'fastify';
import { whenInForce } from '../in-force.ts';
import type { RealmContext } from '../realm-context.ts';

const FORM_TYPE = 'application/x-www-form-urlencoded';

/** Back-channel logout (OpenID Connect Back-Channel Logout 1.0): the provider ends sessions that it vouched for. */
export function addLogoutRoute(service: FastifyInstance, context: RealmContext): void {
  service.addContentTypeParser(FORM_TYPE, { parseAs: 'string', bodyLimit: 128 * 1024 }, (_request, body, done) =>
    done(null, Object.fromEntries(new URLSearchParams(String(body)))),
  );
  service.post<{ Params: { name: string }; Body: { logout_token?: string } }>(
    '/oidc/:name/backchannel-logout',
    async ({ params, body, ip }, reply) => {
      if ((await context.addressThrottle.take(ip, 'logout')) > 0)
        throw new ProblemError(429, 'ERR_SECURITY_SLOW', 'too many attempts');
      const { name } = params;
      const row = await context.access.store.transaction(({ tables }) => tables.directories.find({ name }));
      if (row?.kind !== 'oidc') throw new ProblemError(404, 'ERR_HTTP_NOT_FOUND', 'there is no such provider');
      const order = await context.connectors
        .oidc(row)
        .readLogout(body?.logout_token ?? '')
        .catch(refuse);
      const { accounts } = row.settings as unknown as OidcSettings;
      const { ended, index } = await endProviderSessions(context.access, {
        directory: name,
        ...logoutOf(order, name, accounts),
      });
      await whenInForce(context, index);
      context.log.info({ directory: name, ended }, 'a provider has logged somebody out');
      return reply.header('cache-control', 'no-store').code(200).send();
    },
  );
}

/** A bad token is 400 (section 2.8); a provider whose keys cannot be read is none of its fault. */
function refuse(error: unknown): never {
  if (!(error instanceof DirectoryError)) throw error;
  const status = error.code === 'ERR_DIRECTORY_REFUSED' ? 400 : 503;
  throw new ProblemError(
    status,
    error.code,
    error.reason === '' ? 'the provider does not answer' : `the logout token is refused: ${error.reason}`,
  );
}

/** Whose sessions an order means: its subject is known here, or in the directory that has the provider's accounts. */
function logoutOf(
  { id, session, subject }: LogoutOrder,
  name: string,
  accounts: string | undefined,
): Omit<ProviderLogout, 'directory'> {
  if (subject === undefined) return { id, session, account: undefined };
  const account = accounts === undefined ? { directory: name, subject } : { directory: accounts, externalId: subject };
  return { id, session, account };
}
