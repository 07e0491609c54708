import { admitOperator, auditRefusal, type DirectoryRow, inviteOperator, redeemOperatorToken } from '@sallyport/access';
import type { AuthorizationCode } from '@sallyport/directory';
import { ProblemError } from '@sallyport/http-service';
import {
  type OidcSettings,
  OperatorCredential,
  OperatorLogin,
  OperatorOidcLogin,
  OperatorProvider,
} from '@sallyport/security-api';
import type { FastifyInstance } from 'fastify';
import { scopeOf } from '../directories/providers.ts';
import type { RealmContext } from '../realm-context.ts';
import { NameParam, operation } from './operation.ts';

/** Operators and their credentials. */
export function addOperatorRoutes(service: FastifyInstance, context: RealmContext): void {
  const { access, addressThrottle } = context;
  service.post<{ Body: OperatorLogin }>(
    '/v1/operators/login',
    operation('operators.login', 'Exchange a one-time token for a credential', OperatorCredential, {
      body: OperatorLogin,
    }),
    async ({ body, ip }) => {
      if ((await addressThrottle.take(`operator ${ip}`)) > 0)
        throw new ProblemError(429, 'ERR_SECURITY_SLOW', 'too many attempts');
      const credential = await redeemOperatorToken(access, body.token, body.name);
      if (!credential)
        throw new ProblemError(403, 'ERR_SECURITY_TOKEN', 'the one-time token is unknown, used or expired');
      return credential;
    },
  );
  service.post<{ Params: NameParam }>(
    '/v1/operators/:name/invite',
    operation('operators.invite', 'Issue a one-time token for another operator', OperatorCredential, {
      params: NameParam,
    }),
    async (request) => inviteOperator(access, request.params.name, request.operator),
  );
  addProviderRoutes(service, context);
}

/** Operators who sign in at an OpenID provider: members of the groups that its settings name. */
function addProviderRoutes(service: FastifyInstance, context: RealmContext): void {
  const { access, addressThrottle, connectors } = context;
  const providerOf = async (name: string) => {
    const row = await access.store.transaction(({ tables }) => tables.directories.find({ name }));
    if (row?.kind !== 'oidc') throw new ProblemError(404, 'ERR_HTTP_NOT_FOUND', `there is no provider ${name}`);
    return { row, settings: row.settings as unknown as OidcSettings };
  };
  service.get<{ Params: NameParam }>(
    '/v1/operators/providers/:name',
    operation('operators.provider', 'Where operators sign in at a provider', OperatorProvider, { params: NameParam }),
    async ({ params }) => {
      const { row, settings } = await providerOf(params.name);
      const authorizationEndpoint = await connectors.oidc(row).authorizationEndpoint();
      const { issuer, clientId, scope, acr } = settings;
      const provider = { issuer, authorizationEndpoint, clientId, scope: scopeOf(scope) };
      return acr ? { ...provider, acr } : provider;
    },
  );
  service.post<{ Body: OperatorOidcLogin }>(
    '/v1/operators/oidc',
    operation('operators.oidc', 'Exchange a code of a provider for a credential', OperatorCredential, {
      body: OperatorOidcLogin,
    }),
    async ({ body, ip }) => {
      if ((await addressThrottle.take(`operator ${ip}`)) > 0)
        throw new ProblemError(429, 'ERR_SECURITY_SLOW', 'too many attempts');
      const { row, settings } = await providerOf(body.directory);
      const user = await operatorOf(context, row, { settings, grant: { ...body, issuer: settings.issuer } });
      const credential = typeof user === 'string' ? await admitOperator(access, user) : undefined;
      if (credential) return credential;
      const reason = typeof user === 'string' ? 'the user is disabled' : user.why;
      await auditRefusal(access, { actor: `at ${row.name}`, action: 'operator.login', subject: row.name, reason });
      throw new ProblemError(403, 'ERR_SECURITY_OPERATOR', 'you are no operator of this gateway');
    },
  );
}

/** The user who may be an operator by a provider, or why not. Groups count as the directory has them now. */
async function operatorOf(
  { access, connectors }: RealmContext,
  row: DirectoryRow,
  { settings, grant }: { settings: OidcSettings; grant: AuthorizationCode },
): Promise<string | { why: string }> {
  const signedIn = await connectors.oidc(row).redeem(grant);
  const namespace = settings.accounts ?? row.name;
  const wanted = new Set(settings.operatorGroups ?? []);
  return access.store.transaction(async ({ tables }) => {
    const by = settings.accounts === undefined ? { subject: signedIn.subject } : { externalId: signedIn.subject };
    const [account, second] = await tables.identities.list({ where: { directory: namespace, ...by }, limit: 2 });
    if (!account || second || account.userId === '') return { why: 'no user has this account' };
    const { subject } = account;
    const joined = await tables.accountGroups.list({ where: { directory: namespace, subject } });
    const claimed = signedIn.groups?.map((group) => group.subject) ?? [];
    const groups =
      settings.accounts === undefined && signedIn.groups ? claimed : joined.map(({ groupSubject }) => groupSubject);
    return groups.some((group) => wanted.has(group)) ? account.userId : { why: 'in no group of operators' };
  });
}
