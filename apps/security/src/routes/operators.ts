import {
  type AccessContext,
  admitAtProvider,
  auditRefusal,
  type Bus,
  type DirectoryRow,
  endOperator,
  findDirectory,
  inviteOperator,
  listOperators,
  NEVER,
  type OperatorStanding,
  providerEntries,
  redeemOperatorToken,
  renewOperator,
} from '@sallyport/access';
import { DirectoryError, type OidcSignIn } from '@sallyport/directory';
import { ProblemError } from '@sallyport/http-service';
import type { OperatorOidcLogin, OperatorView } from '@sallyport/security-api';
import { operators } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import type { Connectors } from '../directories/connectors.ts';
import { OpenProviders } from '../directories/open-providers.ts';
import type { RefusalRecord } from '../sign-in/refusals.ts';
import type { AddressThrottle } from '../stores/address-throttle.ts';
import { pageOf } from './paging.ts';
import { serve } from './serve.ts';

/** What operations on operators work with. */
export interface OperatorRoutes {
  readonly access: AccessContext;
  readonly bus: Bus;
  readonly connectors: Pick<Connectors, 'oidc'>;
  readonly addressThrottle: AddressThrottle;
  readonly refusals: Pick<RefusalRecord, 'note'>;
  readonly monotonicMs: () => number;
}

/** Operators and their credentials. */
export function addOperatorRoutes(service: FastifyInstance, routes: OperatorRoutes): void {
  const { access, refusals } = routes;
  serve(service, operators.login, async ({ body: { token, name, request: requestId }, ip }) => {
    // Made-up tokens are told by their MAC, so they need no budget that an operator at the same address would lack.
    const credential = await redeemOperatorToken(access, { token, name, requestId });
    if (credential) return credential;
    const why = 'the one-time token is unknown, used or expired';
    refusals.note({ action: 'operator.login', subject: 'one-time token', why, address: ip });
    throw new ProblemError('ERR_SECURITY_TOKEN', why);
  });
  serve(service, operators.list, async ({ query }) => (await listOperators(access, pageOf(query))).map(operatorView));
  serve(service, operators.invite, async ({ params: { name }, operator, by }) =>
    inviteOperator(access, name, operator, by),
  );
  serve(service, operators.end, async ({ params: { name }, query, by }) =>
    endOperator(access, name, { withInvited: query.withInvited === 'true' }, by),
  );
  serve(service, operators.renew, async ({ operator }) => renewOperator(access, operator));
  addProviderRoutes(service, routes);
}

function operatorView({ operator, state, invitedBy, tokenUntil, lastUsedAt }: OperatorStanding): OperatorView {
  const { id, name, origin, place, createdAt, endsAt, endedAt, endReason } = operator;
  const ends = endsAt === NEVER ? null : endsAt;
  return {
    id,
    name,
    state,
    origin,
    place,
    invitedBy,
    createdAt,
    tokenUntil,
    lastUsedAt,
    endsAt: ends,
    endedAt,
    endReason,
  };
}

/** Operators who sign in at an OpenID provider: members of the groups that its settings name. */
function addProviderRoutes(service: FastifyInstance, routes: OperatorRoutes): void {
  const { access, bus } = routes;
  const providers = new OpenProviders(routes);
  serve(service, operators.provider, async ({ params: { name } }) => {
    const row = await operatorProvider(providers, name);
    // What the provider published last: nobody without a credential makes this node ask it.
    const [entry] = providerEntries([row]);
    if (!entry) throw new ProblemError('ERR_DIRECTORY_UNREACHABLE', 'the provider has not answered yet');
    const { issuer, authorizationEndpoint, clientId, scope, acr } = entry;
    const provider = { issuer, authorizationEndpoint, clientId, scope };
    return acr ? { ...provider, acr } : provider;
  });
  serve(service, operators.oidc, async ({ body, ip }) => {
    const { subject, groups } = await redeemCode(routes, providers, { body, address: ip });
    const signIn = { provider: body.directory, subject, groups };
    const admission = await admitAtProvider(access, signIn, () => bus.publish('entries'));
    if (admission.admitted) return admission.admitted;
    const { why: reason, hint } = admission;
    const actor = `at ${body.directory}`;
    await auditRefusal(access, { actor, action: 'operator.login', subject: body.directory, reason });
    throw new ProblemError('ERR_SECURITY_OPERATOR', hint ?? 'you are no operator of this gateway', 403);
  });
}

/** A provider that is in use. Strangers learn of no other directory. @throws ProblemError 404 */
async function operatorProvider(providers: OpenProviders, name: string): Promise<DirectoryRow> {
  return openProvider(await providers.find(name), name);
}

function openProvider(row: DirectoryRow | undefined, name: string): DirectoryRow {
  if (row?.kind === 'oidc' && row.stage === 'active') return row;
  throw new ProblemError('ERR_HTTP_NOT_FOUND', `there is no provider ${name}`);
}

/**
 * Asks the provider about a code. That costs it a request, and nothing tells a made-up code before: so addresses whose codes
 * were refused too often wait. @throws ProblemError ERR_SECURITY_SLOW
 */
async function redeemCode(
  { access, connectors, refusals }: OperatorRoutes,
  providers: OpenProviders,
  { body, address }: { readonly body: OperatorOidcLogin; readonly address: string },
): Promise<OidcSignIn> {
  const row = await operatorProvider(providers, body.directory);
  const redeem = async (): Promise<OidcSignIn> => {
    if ((await providers.blockedMs(address)) > 0)
      throw new ProblemError('ERR_SECURITY_SLOW', 'too many codes from this address were refused');
    // Who is an operator goes by what the provider's settings say now.
    const current = await findDirectory(access, row.name);
    return connectors.oidc(openProvider(current, row.name)).redeem(body);
  };
  return providers
    .inLine(row, redeem, { urgent: (await providers.blockedMs(address)) === 0 })
    .catch(async (error: unknown) => {
      if (!(error instanceof DirectoryError) || error.code !== 'ERR_DIRECTORY_REFUSED') throw error;
      await providers.failed(address);
      const why = `the sign-in at the provider is refused: ${error.reason}`;
      refusals.note({ action: 'operator.login', subject: row.name, why, address });
      throw new ProblemError(error.code, why);
    });
}
