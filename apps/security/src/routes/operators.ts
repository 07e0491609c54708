import {
  admitAtProvider,
  auditRefusal,
  type DirectoryRow,
  endOperator,
  findDirectory,
  inviteOperator,
  type OperatorView as Listed,
  listOperators,
  NEVER,
  redeemOperatorToken,
  renewOperator,
} from '@sallyport/access';
import { DirectoryError, type OidcSignIn } from '@sallyport/directory';
import { ProblemError } from '@sallyport/http-service';
import {
  OperatorCredential,
  OperatorEnded,
  OperatorLogin,
  OperatorOidcLogin,
  OperatorProvider,
  OperatorView,
} from '@sallyport/security-api';
import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import { OpenProviders } from '../directories/open-providers.ts';
import { providerEntries } from '../directories/providers.ts';
import type { RealmContext } from '../realm-context.ts';
import { actorOf, changing, NameParam, operation } from './operation.ts';
import { CursorQuery, pageOf } from './paging.ts';

/** Whether those whom the operator invited end, too. */
const EndQuery = Type.Object({ withInvited: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])) });

/** Operators and their credentials. */
export function addOperatorRoutes(service: FastifyInstance, context: RealmContext): void {
  const { access } = context;
  service.post<{ Body: OperatorLogin }>(
    '/v1/operators/login',
    operation('operators.login', 'Exchange a one-time token for a credential', OperatorCredential, {
      open: true,
      body: OperatorLogin,
    }),
    async ({ body, ip }) => {
      // Made-up tokens are told by their MAC, so they need no budget that an operator at the same address would lack.
      const { token, name, request: requestId } = body;
      const credential = await redeemOperatorToken(access, { token, name, requestId });
      if (credential) return credential;
      const why = 'the one-time token is unknown, used or expired';
      context.refusals.note({ action: 'operator.login', subject: 'one-time token', why, address: ip });
      throw new ProblemError('ERR_SECURITY_TOKEN', why);
    },
  );
  service.get<{ Querystring: CursorQuery }>(
    '/v1/operators',
    operation('operators.list', 'Operators, those that have ended too, a page of them', Type.Array(OperatorView), {
      querystring: CursorQuery,
    }),
    async ({ query }) => (await listOperators(access, pageOf(query))).map(operatorView),
  );
  service.post<{ Params: NameParam }>(
    '/v1/operators/:name/invite',
    changing('operators.invite', 'Issue a one-time token for another operator', OperatorCredential, {
      params: NameParam,
    }),
    async (request) => inviteOperator(access, request.params.name, request.operator, actorOf(request)),
  );
  service.post<{ Params: NameParam; Querystring: Static<typeof EndQuery> }>(
    '/v1/operators/:name/end',
    changing('operators.end', 'End an operator for good, and with them those they invited', OperatorEnded, {
      params: NameParam,
      querystring: EndQuery,
    }),
    async (request) => {
      const withInvited = request.query.withInvited === 'true';
      const { ended, invited } = await endOperator(access, request.params.name, { withInvited }, actorOf(request));
      return { ended: [...ended], invited: [...invited] };
    },
  );
  service.post(
    '/v1/operators/renew',
    operation('operators.renew', 'A new credential in the place of the one in use', OperatorCredential),
    async (request) => renewOperator(access, request.operator),
  );
  addProviderRoutes(service, context);
}

function operatorView({ operator, state, invitedBy, tokenUntil, lastUsedAt }: Listed): OperatorView {
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
function addProviderRoutes(service: FastifyInstance, context: RealmContext): void {
  const { access } = context;
  const providers = new OpenProviders(context);
  service.get<{ Params: NameParam }>(
    '/v1/operators/providers/:name',
    operation('operators.provider', 'Where operators sign in at a provider', OperatorProvider, {
      open: true,
      params: NameParam,
    }),
    async ({ params }) => {
      const row = await operatorProvider(providers, params.name);
      // What the provider published last: nobody without a credential makes this node ask it.
      const [entry] = providerEntries([row]);
      if (!entry) throw new ProblemError('ERR_DIRECTORY_UNREACHABLE', 'the provider has not answered yet');
      const { issuer, authorizationEndpoint, clientId, scope, acr } = entry;
      const provider = { issuer, authorizationEndpoint, clientId, scope };
      return acr ? { ...provider, acr: [...acr] } : provider;
    },
  );
  service.post<{ Body: OperatorOidcLogin }>(
    '/v1/operators/oidc',
    operation('operators.oidc', 'Exchange a code of a provider for a credential', OperatorCredential, {
      open: true,
      body: OperatorOidcLogin,
    }),
    async ({ body, ip }) => {
      const signedIn = await redeemCode(context, providers, { body, address: ip });
      const { subject, groups } = signedIn;
      const admission = await admitAtProvider(access, { provider: body.directory, subject, groups });
      if (admission.index > 0) context.bus.publish('entries');
      if (admission.admitted) return admission.admitted;
      const { why: reason, hint } = admission;
      const actor = `at ${body.directory}`;
      await auditRefusal(access, { actor, action: 'operator.login', subject: body.directory, reason });
      throw new ProblemError('ERR_SECURITY_OPERATOR', hint ?? 'you are no operator of this gateway', 403);
    },
  );
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
 * were refused too often wait. @throws ProblemError 429
 */
async function redeemCode(
  context: RealmContext,
  providers: OpenProviders,
  { body, address }: { readonly body: OperatorOidcLogin; readonly address: string },
): Promise<OidcSignIn> {
  const row = await operatorProvider(providers, body.directory);
  const redeem = async (): Promise<OidcSignIn> => {
    if ((await providers.blockedMs(address)) > 0)
      throw new ProblemError('ERR_SECURITY_SLOW', 'too many codes from this address were refused');
    // Who is an operator goes by what the provider's settings say now.
    const current = await findDirectory(context.access, row.name);
    return context.connectors.oidc(openProvider(current, row.name)).redeem(body);
  };
  return providers
    .inLine(row, redeem, { urgent: (await providers.blockedMs(address)) === 0 })
    .catch(async (error: unknown) => {
      if (!(error instanceof DirectoryError) || error.code !== 'ERR_DIRECTORY_REFUSED') throw error;
      await providers.failed(address);
      const why = `the sign-in at the provider is refused: ${error.reason}`;
      context.refusals.note({ action: 'operator.login', subject: row.name, why, address });
      throw new ProblemError(error.code, why);
    });
}
