import { findOperator, type OperatorAtWork } from '@sallyport/access';
import { ProblemError } from '@sallyport/http-service';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { addDirectoryRoutes } from './directories.ts';
import { addEnrolmentRoutes } from './enrolment.ts';
import { addFarmRoutes } from './farm.ts';
import { addOperatorRoutes } from './operators.ts';
import { addUserRoutes } from './people.ts';
import { addRightRoutes } from './rights.ts';
import { addSessionRoutes } from './sessions.ts';
import type { StatusParts } from './status.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The operator who asks, with the credential they came by. */
    operator: OperatorAtWork;
  }
}

/** What the admin API needs beside the realm. */
export type AdminRoutes = StatusParts;

/** What is answered without a credential: the way to get one, and what load balancers ask. */
const OPEN_PATHS: readonly string[] = [
  '/v1/operators/login',
  '/v1/operators/oidc',
  '/v1/operators/providers/:name',
  '/healthz',
  '/readyz',
];

/** The admin API. It denies by default: who asks is checked before a body is read. */
export function addAdminRoutes(service: FastifyInstance, routes: AdminRoutes): void {
  const { context } = routes;
  const admit = async (request: FastifyRequest): Promise<void> => {
    if (OPEN_PATHS.includes(request.routeOptions.url ?? '')) return;
    const [, token] = /^Bearer (\S{1,256})$/i.exec(request.headers.authorization ?? '') ?? [];
    const operator = token && (await findOperator(context.access, token));
    if (!operator) {
      const why = token ? 'the credential is not good' : 'no credential';
      context.refusals.note({ action: 'operator', subject: 'admin API', why, address: request.ip });
      throw new ProblemError(401, 'ERR_SECURITY_OPERATOR', 'an operator credential is needed: sallyport login');
    }
    request.operator = operator;
  };
  service.addHook('onRequest', admit);
  // A body may come as late as whoever sends it likes; an operator who was ended meanwhile changes nothing.
  service.addHook('preHandler', async (request) => {
    if (request.body !== undefined) await admit(request);
  });
  addOperatorRoutes(service, context);
  addUserRoutes(service, context);
  addRightRoutes(service, context);
  addEnrolmentRoutes(service, context);
  addSessionRoutes(service, context);
  addFarmRoutes(service, routes);
  addDirectoryRoutes(service, context);
}
