import { findOperator, findPublisher, type OperatorAtWork, type PublisherRow } from '@sallyport/access';
import { ProblemError } from '@sallyport/http-service';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { StatusParts } from '../farm/status.ts';
import { type AppRoutes, addAppRoutes } from './apps.ts';
import { addCertificateRoutes, type CertificateRoutes } from './certificates.ts';
import { addDirectoryRoutes, type DirectoryRoutes } from './directories.ts';
import { addEnrolmentRoutes, type EnrolmentRoutes } from './enrolment.ts';
import { addEscrowRoutes, type EscrowRoutes } from './escrows.ts';
import { addKekRoutes, type KekRoutes } from './keks.ts';
import { addOperatorRoutes, type OperatorRoutes } from './operators.ts';
import { addPolicyRoutes, type PolicyRoutes } from './policies.ts';
import { addProxyRoutes, type ProxyRoutes } from './proxies.ts';
import { addRealmRoutes, type RealmRoutes } from './realm.ts';
import { addReleaseRoutes, type ReleaseRoutes } from './releases.ts';
import { addResourceRoutes, type ResourceRoutes } from './resources.ts';
import { checkFields } from './serve.ts';
import { addSessionRoutes, type SessionRoutes } from './sessions.ts';
import { addSiteRoutes, type SiteRoutes } from './sites.ts';
import { addStatusRoutes } from './status.ts';
import { addUserRoutes, type UserRoutes } from './users.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The operator who asks, with the credential they came by. */
    operator: OperatorAtWork;
    /** The pipeline that asks, for what it may. */
    publisher?: PublisherRow;
  }
}

/** What the admin API works with: each noun names its part of it. */
export type AdminRoutes = AppRoutes &
  CertificateRoutes &
  DirectoryRoutes &
  EnrolmentRoutes &
  EscrowRoutes &
  KekRoutes &
  OperatorRoutes &
  PolicyRoutes &
  ProxyRoutes &
  RealmRoutes &
  ReleaseRoutes &
  ResourceRoutes &
  SessionRoutes &
  SiteRoutes &
  StatusParts &
  UserRoutes;

/** The admin API. It denies by default: who asks is checked before a body is read. */
export function addAdminRoutes(service: FastifyInstance, routes: AdminRoutes): void {
  const { access, refusals } = routes;
  const admit = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const { operation, open } = request.routeOptions.config;
    if (operation?.open || open) return;
    const [, token] = /^Bearer (\S{1,256})$/i.exec(request.headers.authorization ?? '') ?? [];
    const operator = token && (await findOperator(access, token));
    const publisher = token && !operator ? await findPublisher(access, token) : undefined;
    if (publisher && operation?.publisher) {
      request.publisher = publisher;
      return;
    }
    if (publisher) {
      const why = `the credential of the publisher ${publisher.name} may only publish`;
      refusals.note({ action: 'operator', subject: 'admin API', why, address: request.ip });
      throw new ProblemError('ERR_SECURITY_OPERATOR', `${why}: ask with one of an operator`, 403);
    }
    if (!operator) {
      const why = token ? 'the credential is not good' : 'no credential';
      refusals.note({ action: 'operator', subject: 'admin API', why, address: request.ip });
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
  addOperatorRoutes(service, routes);
  addUserRoutes(service, routes);
  addResourceRoutes(service, routes);
  addPolicyRoutes(service, routes);
  addAppRoutes(service, routes);
  addReleaseRoutes(service, routes);
  addEnrolmentRoutes(service, routes);
  addSessionRoutes(service, routes);
  addSiteRoutes(service, routes);
  addProxyRoutes(service, routes);
  addRealmRoutes(service, routes);
  addStatusRoutes(service, routes);
  addCertificateRoutes(service, routes);
  addKekRoutes(service, routes);
  addEscrowRoutes(service, routes);
  addDirectoryRoutes(service, routes);
}
