import { findOperator, type OperatorAtWork } from '@sallyport/access';
import { ProblemError } from '@sallyport/http-service';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { addDirectoryRoutes } from './directories.ts';
import { addEnrolmentRoutes } from './enrolment.ts';
import { addFarmRoutes } from './farm.ts';
import { checkFields } from './operation.ts';
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

/** The admin API. It denies by default: who asks is checked before a body is read. */
export function addAdminRoutes(service: FastifyInstance, routes: AdminRoutes): void {
  const { context } = routes;
  const admit = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const { operation, open } = request.routeOptions.config;
    if (operation?.open || open) return;
    const [, token] = /^Bearer (\S{1,256})$/i.exec(request.headers.authorization ?? '') ?? [];
    const operator = token && (await findOperator(context.access, token));
    if (!operator) {
      const why = token ? 'the credential is not good' : 'no credential';
      context.refusals.note({ action: 'operator', subject: 'admin API', why, address: request.ip });
      reply.header('www-authenticate', 'Bearer');
      throw new ProblemError('ERR_SECURITY_OPERATOR', 'an operator credential is needed: sallyport login');
    }
    request.operator = operator;
  };
  // A route that says nothing of itself would stand in no document, and nobody would know who may ask for it.
  service.addHook('onRoute', ({ config, schema, url }) => {
    if (!config?.operation && !(schema as { hide?: boolean } | undefined)?.hide)
      throw new TypeError(`${url} is no operation`);
  });
  service.addHook('onRequest', async (request, reply) => {
    await admit(request, reply);
    checkFields(request);
  });
  // A body may come as late as whoever sends it likes; an operator who was ended meanwhile changes nothing.
  service.addHook('preHandler', async (request, reply) => {
    if (request.body !== undefined) await admit(request, reply);
  });
  addOperatorRoutes(service, context);
  addUserRoutes(service, context);
  addRightRoutes(service, context);
  addEnrolmentRoutes(service, context);
  addSessionRoutes(service, context);
  addFarmRoutes(service, routes);
  addDirectoryRoutes(service, context);
}
