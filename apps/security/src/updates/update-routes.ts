import {
  type AccessContext,
  catalogueFor,
  issueOwnInstallLink,
  memoryThrottle,
  noteReport,
  offerFor,
  ownRelease,
  readUpdateFile,
  releaseDocument,
  releaseForDevice,
  type UpdateAsker,
} from '@sallyport/access';
import { UPDATE_AUTHORITY } from '@sallyport/channel';
import { ProblemError } from '@sallyport/http-service';
import { INSTALL_PREFIX } from '@sallyport/security-api';
import type { Log } from '@sallyport/telemetry';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { createLocalJWKSet, errors, jwtVerify } from 'jose';
import Type, { type Static } from 'typebox';
import { assertionJwks } from '../keys/assertions.ts';
import type { LiveKeys } from '../keys/live-keys.ts';
import { Downloads } from './downloads.ts';
import { installOrigin } from './install-origin.ts';
import { onlineKeyOf } from './online-key.ts';
import { answerPackage } from './package-answer.ts';
import type { PackageStore } from './package-store.ts';

/** Where devices' requests for updates arrive, by way of a resource with this prefix. */
export const UPDATES_PREFIX = '/updates';
/** What an installation may ask of updates: a look for one is about seven requests, all apps of a user some hundreds. */
const ASK_LIMIT = { burst: 1_000, perMinute: 300 } as const;

/** What updates are served with. */
export interface UpdateRoutes {
  readonly access: AccessContext;
  readonly liveKeys: LiveKeys;
  readonly packages: PackageStore;
  readonly log: Log;
  readonly monotonicMs: () => number;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The device that asks for updates, as its Proxy's assertion says. */
    updateAsker: UpdateAsker;
  }
}

const Param = Type.Object({
  name: Type.String({ pattern: '^[A-Za-z0-9.-]{1,80}$', description: 'the name of a file' }),
});
const Version = Type.String({
  pattern: '^[0-9]{1,9}(\\.[0-9]{1,9}){0,7}$',
  maxLength: 32,
  description: 'numbers with dots',
});
const OfferQuery = Type.Object({
  app: Type.String({ maxLength: 128 }),
  version: Version,
  os: Type.String({ maxLength: 32 }),
  /** Of the system; a device of the version before does not say it. */
  osVersion: Type.Optional(Version),
});
const LinkBody = Type.Object(
  { app: Type.String({ minLength: 1, maxLength: 128, description: 'the id of an app' }) },
  { additionalProperties: false },
);
const Report = Type.Object(
  {
    release: Type.String({ pattern: '^[A-Za-z0-9-]{8,64}$', description: 'the id of a release' }),
    outcome: Type.Union([Type.Literal('installed'), Type.Literal('failed')]),
  },
  { additionalProperties: false },
);

/**
 * What devices ask of updates. They come as to any backend: a Proxy forwards them with an assertion that Security signed for this resource.
 * `known` hears of connections that brought a good one.
 */
export function addUpdateRoutes(
  service: FastifyInstance,
  routes: UpdateRoutes,
  known: (request: FastifyRequest) => void,
): void {
  const { access, liveKeys, monotonicMs } = routes;
  const throttle = memoryThrottle({ ...ASK_LIMIT, now: monotonicMs });
  service.addHook('onRequest', async (request) => {
    request.updateAsker = await askerOf(liveKeys, access.store.realm, request);
    known(request);
    if ((await throttle.take(request.updateAsker.installationId)) > 0)
      throw new ProblemError('ERR_SECURITY_SLOW', 'this device asks for updates too often');
  });
  addOffers(service, access);
  addFiles(service, routes);
  addPackages(service, routes);
}

/** What a device may install, how it gets it, and what it says of that. */
function addOffers(service: FastifyInstance, access: AccessContext): void {
  service.get<{ Querystring: Static<typeof OfferQuery> }>(
    '/v1/offer',
    { schema: { querystring: OfferQuery } },
    async ({ updateAsker, query: { version, os, osVersion } }) =>
      offerFor(access, updateAsker, { version, os, osVersion }),
  );
  service.get('/v1/apps', async ({ updateAsker }) => ({
    apps: (await catalogueFor(access, updateAsker)).map(({ app, releases, channels }) => ({
      app: app.id,
      title: app.title,
      releases: releases.map(({ id }) => id),
      channels,
    })),
  }));
  service.put<{ Body: { app: string } }>(
    '/v1/links',
    { schema: { body: LinkBody } },
    async ({ updateAsker, body: { app } }) => {
      const origin = await installOrigin(access);
      const { token, expiresAt } = await issueOwnInstallLink(access, updateAsker, { app, origin });
      return { link: `${origin}${INSTALL_PREFIX}/${token}`, expiresAt };
    },
  );
  service.put<{ Body: { release: string; outcome: 'installed' | 'failed' } }>(
    '/v1/reports',
    { schema: { body: Report } },
    async ({ updateAsker, body: { release, outcome } }) => {
      const row = await ownRelease(access, updateAsker, { id: release });
      if (!row) throw nothing();
      await noteReport(access, { releaseId: release, installationId: updateAsker.installationId, outcome });
      return { done: true };
    },
  );
}

/** Signed files: the metadata, and the documents of releases. */
function addFiles(service: FastifyInstance, { access, liveKeys }: UpdateRoutes): void {
  const online = onlineKeyOf(liveKeys);
  service.get<{ Params: { name: string } }>(
    '/v1/metadata/:name',
    { schema: { params: Param } },
    async (request, reply) => {
      const content = await readUpdateFile(access, request.params.name, online);
      if (content === undefined) throw nothing();
      return reply.type('application/json').send(content);
    },
  );
  service.get<{ Params: { name: string } }>(
    '/v1/targets/releases/:name',
    { schema: { params: Param } },
    async ({ updateAsker, params: { name } }, reply) => {
      const row = await releaseForDevice(access, updateAsker, { id: name.replace(/\.json$/, '') });
      if (!row) throw nothing();
      return reply.type('application/json').send(Buffer.from(releaseDocument(row)));
    },
  );
}

/** Packages, for as long as their release is for the device. */
function addPackages(service: FastifyInstance, { access, packages, log }: UpdateRoutes): void {
  const downloads = new Downloads();
  service.get<{ Params: { name: string } }>(
    '/v1/packages/:name',
    { schema: { params: Param } },
    async ({ updateAsker, params: { name }, headers }, reply) => {
      const row = await releaseForDevice(access, updateAsker, { sha256: name });
      if (!row) throw nothing();
      const { installationId } = updateAsker;
      await noteReport(access, { releaseId: row.id, installationId, outcome: 'downloading' });
      const still = async (): Promise<boolean> =>
        (await releaseForDevice(access, updateAsker, { id: row.id })) !== undefined;
      void reply.type('application/octet-stream');
      // Asked for without a range, too, the SDK is told which bytes these are.
      return answerPackage(reply, {
        packages,
        release: row,
        range: headers.range ?? 'bytes=0-',
        still,
        log,
        downloads,
        owner: installationId,
      });
    },
  );
}

/** Nothing for who has no right to it: not even that it is there. */
function nothing(): ProblemError {
  return new ProblemError('ERR_HTTP_NOT_FOUND', 'there is nothing here for this device');
}

/** Who asks, by the assertion of this resource. @throws ProblemError ERR_HTTP_FORBIDDEN */
async function askerOf(liveKeys: LiveKeys, realm: string, { headers }: FastifyRequest): Promise<UpdateAsker> {
  const assertion = headers['sallyport-assertion'];
  const keys = createLocalJWKSet(assertionJwks({ liveKeys }));
  const verified = await jwtVerify(typeof assertion === 'string' ? assertion : '', keys, {
    algorithms: ['ES256'],
    typ: 'sallyport-assertion+jwt',
    issuer: `sallyport:${realm}`,
    audience: UPDATE_AUTHORITY,
    requiredClaims: ['exp', 'sub', 'iid'],
  }).catch((error: unknown) => {
    if (error instanceof errors.JOSEError) return undefined;
    throw error;
  });
  if (!verified) throw new ProblemError('ERR_HTTP_FORBIDDEN', `an assertion for ${UPDATE_AUTHORITY} is needed`);
  return { userId: String(verified.payload.sub), installationId: String(verified.payload['iid']) };
}
