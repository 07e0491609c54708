import { createHash } from 'node:crypto';
import { revoke, type SessionRow } from '@sallyport/access';
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
      const sessions = await sessionsOf(context, { name, settings: row.settings as unknown as OidcSettings, order });
      const index = await endSessions(context, { name, order, sessions });
      await whenInForce(context, index);
      context.log.info({ directory: name, ended: sessions.length }, 'a provider has logged somebody out');
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

/**
 * The live sessions that the provider means: those of its session id, and when it names the user, those of theirs that it
 * vouched for, but for the ones that are known to be of another session there.
 */
async function sessionsOf(
  { access }: RealmContext,
  { name, settings, order }: { name: string; settings: OidcSettings; order: LogoutOrder },
): Promise<readonly SessionRow[]> {
  const where = { directory: name, endedAt: null };
  const { session: providerSession, subject } = order;
  return access.store.transaction(async ({ tables }) => {
    const named =
      providerSession === undefined ? [] : await tables.sessions.list({ where: { ...where, providerSession } });
    if (subject === undefined) return named;
    const { accounts } = settings;
    const by = accounts === undefined ? { directory: name, subject } : { directory: accounts, externalId: subject };
    const account = await tables.identities.find(by);
    if (!account || account.userId === '') return named;
    const others = await tables.sessions.list({ where: { ...where, userId: account.userId } });
    const unnamed = others.filter((row) => providerSession === undefined || row.providerSession === null);
    return [...named, ...unnamed];
  });
}

/** Ends each with an id made from the token's, so that a provider that repeats itself changes nothing. */
async function endSessions(
  { access }: RealmContext,
  { name, order, sessions }: { name: string; order: LogoutOrder; sessions: readonly SessionRow[] },
): Promise<number> {
  let index = 0;
  for (const { id } of sessions) {
    const requestId = createHash('sha256').update(`${name}\0${order.id}\0${id}`).digest('hex').slice(0, 32);
    const by = { actor: `directory ${name}`, reason: `signed out at ${name}` };
    index = (await revoke(access, { requestId, kind: 'session', subject: id }, by)).index;
  }
  return index;
}
