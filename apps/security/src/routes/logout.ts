import { type DirectoryRow, endProviderSessions, type LoggedOut } from '@sallyport/access';
import { DirectoryError, type LogoutOrder } from '@sallyport/directory';
import { ProblemError } from '@sallyport/http-service';
import type { Log } from '@sallyport/telemetry';
import type { FastifyInstance } from 'fastify';
import type { Connectors } from '../directories/connectors.ts';
import { OpenProviders, type ProviderParts } from '../directories/open-providers.ts';
import type { InForce } from '../revocation/in-force.ts';

const FORM_TYPE = 'application/x-www-form-urlencoded';

/** What logouts of providers are served with. */
export interface LogoutRoutes extends ProviderParts {
  readonly connectors: Connectors;
  readonly inForce: InForce;
  readonly log: Log;
}

/**
 * Back-channel logout (OpenID Connect Back-Channel Logout 1.0): the provider ends sessions that it vouched for. It does not
 * repeat what was refused, and strangers send to the same path, perhaps from the same address: so a token's form and its
 * signature say who asks before anything is counted, and each provider has a line of its own for what it then orders.
 */
export function addLogoutRoute(service: FastifyInstance, routes: LogoutRoutes): void {
  const [checks, orders] = [new OpenProviders(routes), new OpenProviders(routes)];
  service.addContentTypeParser(FORM_TYPE, { parseAs: 'string', bodyLimit: 128 * 1024 }, (_request, body, done) =>
    done(null, Object.fromEntries(new URLSearchParams(String(body)))),
  );
  service.post<{ Params: { name: string }; Body: { logout_token?: string } }>(
    '/oidc/:name/backchannel-logout',
    async ({ params, body, ip }, reply) => {
      const row = await checks.find(params.name);
      if (!row) throw new ProblemError('ERR_HTTP_NOT_FOUND', 'there is no such provider');
      const order = await readOrder(routes, checks, { row, token: body?.logout_token ?? '', address: ip });
      const { index } = await orders.inLine(row, () => endSessions(routes, row, order), { urgent: true });
      await routes.inForce.ensureForDirectory(index);
      return reply.header('cache-control', 'no-store').code(200).send();
    },
  );
}

interface Asked {
  readonly row: DirectoryRow;
  readonly token: string;
  readonly address: string;
}

/** Reads a token that the provider has signed. Addresses that sent too many others wait behind those that did not. */
async function readOrder(
  { connectors }: LogoutRoutes,
  checks: OpenProviders,
  { row, token, address }: Asked,
): Promise<LogoutOrder> {
  const connector = connectors.oidc(row);
  try {
    connector.checkLogoutForm(token);
    const urgent = (await checks.blockedMs(address)) === 0;
    return await checks.inLine(row, () => connector.readLogout(token), { urgent });
  } catch (error) {
    if (isRefused(error)) await checks.failed(address);
    return refuse(error);
  }
}

async function endSessions(
  { access, log }: LogoutRoutes,
  { name: directory }: DirectoryRow,
  { id, session, subject }: LogoutOrder,
): Promise<LoggedOut> {
  const out = await endProviderSessions(access, { directory, id, session, subject });
  log.info({ directory, ended: out.ended }, 'a provider has logged somebody out');
  return out;
}

function isRefused(error: unknown): boolean {
  return error instanceof DirectoryError && error.code === 'ERR_DIRECTORY_REFUSED';
}

/** A bad token is 400 (section 2.8); a provider whose keys cannot be read is none of its fault. */
function refuse(error: unknown): never {
  if (!(error instanceof DirectoryError)) throw error;
  throw new ProblemError(
    error.code,
    error.reason === '' ? 'the provider does not answer' : `the logout token is refused: ${error.reason}`,
    isRefused(error) ? 400 : 503,
  );
}
