import { inviteOperator, redeemOperatorToken } from '@sallyport/access';
import { ProblemError } from '@sallyport/http-service';
import { OperatorCredential, OperatorLogin } from '@sallyport/security-api';
import type { FastifyInstance } from 'fastify';
import type { RealmContext } from '../realm-context.ts';
import { NameParam, operation } from './operation.ts';

/** Operators and their credentials. */
export function addOperatorRoutes(service: FastifyInstance, { access, addressThrottle }: RealmContext): void {
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
}
