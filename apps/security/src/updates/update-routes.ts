import type { Readable } from 'node:stream';
import {
  type AccessContext,
  memoryThrottle,
  noteReport,
  offerFor,
  readUpdateFile,
  releaseDocument,
  releaseForDevice,
  type UpdateAsker,
} from '@sallyport/access';
import { UPDATE_AUTHORITY } from '@sallyport/channel';
import { ProblemError } from '@sallyport/http-service';
import type { Log } from '@sallyport/telemetry';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { createLocalJWKSet, errors, jwtVerify } from 'jose';
import Type from 'typebox';
import { assertionJwks } from '../keys/assertions.ts';
import type { LiveKeys } from '../keys/live-keys.ts';
import { onlineKeyOf } from './online-key.ts';
import type { PackageStore } from './package-store.ts';

/** Where devices' requests for updates arrive, by way of a resource with this prefix. */
export const UPDATES_PREFIX = '/updates';
/** A download is held against the rights of its user this often, ms. */
const LOOK_MS = 500;
/** What an installation may ask of updates: a look for one is about seven requests, each a transaction. */
const ASK_LIMIT = { burst: 120, perMinute: 120 } as const;

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
const OfferQuery = Type.Object({
  app: Type.String({ maxLength: 128 }),
  version: Type.String({
    pattern: '^[0-9]{1,9}(\\.[0-9]{1,9}){0,7}$',
    maxLength: 32,
    description: 'numbers with dots',
  }),
  os: Type.String({ maxLength: 32 }),
});
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
  { access, liveKeys, packages, log, monotonicMs }: UpdateRoutes,
  known: (request: FastifyRequest) => void,
): void {
  const online = onlineKeyOf(liveKeys);
  const throttle = memoryThrottle({ ...ASK_LIMIT, now: monotonicMs });
  service.addHook('onRequest', async (request) => {
    request.updateAsker = await askerOf(liveKeys, access.store.realm, request);
    known(request);
    if ((await throttle.take(request.updateAsker.installationId)) > 0)
      throw new ProblemError('ERR_SECURITY_SLOW', 'this device asks for updates too often');
  });
  service.get<{ Querystring: { version: string; os: string } }>(
    '/v1/offer',
    { schema: { querystring: OfferQuery } },
    async ({ updateAsker, query: { version, os } }) => offerFor(access, updateAsker, { version, os }),
  );
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
      const row = await releaseForDevice(access, updateAsker, ({ id }) => `${id}.json` === name);
      if (!row) throw nothing();
      return reply.type('application/json').send(Buffer.from(releaseDocument(row)));
    },
  );
  service.get<{ Params: { name: string } }>(
    '/v1/packages/:name',
    { schema: { params: Param } },
    async ({ updateAsker, params: { name }, headers }, reply) => {
      const find = () => releaseForDevice(access, updateAsker, (row) => row.package.sha256 === name);
      const row = await find();
      if (!row) throw nothing();
      const { installationId } = updateAsker;
      await noteReport(access, { releaseId: row.id, installationId, outcome: 'downloading' });
      const { bytes } = row.package;
      const from = firstOf(headers.range, bytes);
      const stream = packages.read(name, from);
      watch(stream, reply, { still: async () => (await find()) !== undefined, log });
      return reply
        .code(206)
        .header('content-range', `bytes ${from}-${bytes - 1}/${bytes}`)
        .header('content-length', bytes - from)
        .type('application/octet-stream')
        .send(stream);
    },
  );
  service.put<{ Body: { release: string; outcome: 'installed' | 'failed' } }>(
    '/v1/reports',
    { schema: { body: Report } },
    async ({ updateAsker, body: { release, outcome } }) => {
      const row = await releaseForDevice(access, updateAsker, ({ id }) => id === release);
      if (!row) throw nothing();
      await noteReport(access, { releaseId: release, installationId: updateAsker.installationId, outcome });
      return { done: true };
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

/** The first byte of a range without an end, as the SDK asks for; all of it otherwise. */
function firstOf(range: string | undefined, bytes: number): number {
  const from = Number(/^bytes=(\d{1,12})-$/.exec(range ?? 'bytes=0-')?.[1] ?? Number.NaN);
  if (Number.isNaN(from) || from >= bytes) throw new ProblemError('ERR_HTTP_INVALID', 'no such range of the package');
  return from;
}

/** Breaks a download off once its release is not the device's any more. A store that does not answer decides nothing. */
function watch(
  stream: Readable,
  reply: FastifyReply,
  { still, log }: { readonly still: () => Promise<boolean>; readonly log: Log },
): void {
  const timer = setInterval(() => {
    void still().then(
      (goesOn) => {
        if (!goesOn) stream.destroy(new Error('the release was taken away'));
      },
      (error: unknown) => log.warn({ err: error }, 'rights of a download cannot be read'),
    );
  }, LOOK_MS);
  stream.once('close', () => clearInterval(timer));
  reply.raw.once('close', () => stream.destroy());
}
