import Type, { type Static } from 'typebox';
import { ResourceTrial } from '../backend-api.ts';
import { CLOSED, Name, OptionalText, orNull, SitesByPreference } from '../fields.ts';
import { AuthorityText, Backend, Timeouts } from '../grant.ts';
import { Text } from '../text.ts';
import { operations } from './operation.ts';
import { CursorQuery } from './paging.ts';
import { Done, NameParam } from './params.ts';

/** What is protected, and where it really is. */
export const ResourceInput = Type.Object(
  {
    kind: Type.Union([Type.Literal('http'), Type.Literal('tcp')]),
    authority: AuthorityText,
    backend: Backend,
    title: Type.Optional(Text({ maxLength: 128 })),
    sites: Type.Optional(
      Type.Union([SitesByPreference, Type.Null()], {
        description: 'its sites by preference, or null for every site; what is not said stays, at first the only site',
      }),
    ),
    region: Type.Optional(orNull(Name('where its data lies, for rules by place'))),
  },
  { ...CLOSED, $id: 'ResourceInput' },
);
export type ResourceInput = Static<typeof ResourceInput>;

const { url, weight, servers, health, networks, ca, readsContent, xForwarded, passFields, delegate } =
  Backend.properties;
const { http, sticky, prefix, host, clientCertificate, basic, publicScheme, paths, fields } = Backend.properties;
const { webSocketMessageBytes } = Backend.properties;

const { connectMs, answerMs, idleMs } = Timeouts.properties;
const TimeoutsChange = Type.Object(
  {
    connectMs: Type.Optional(orNull(connectMs)),
    answerMs: Type.Optional(orNull(answerMs)),
    idleMs: Type.Optional(orNull(idleMs)),
  },
  CLOSED,
);

/** A change of a resource: what it does not name stays as it is. */
export const ResourceChange = Type.Object(
  {
    kind: Type.Optional(ResourceInput.properties.kind),
    authority: Type.Optional(ResourceInput.properties.authority),
    title: Type.Optional(ResourceInput.properties.title),
    sites: ResourceInput.properties.sites,
    region: ResourceInput.properties.region,
    backend: Type.Optional(
      Type.Object(
        {
          url: Type.Optional(url),
          weight: Type.Optional(orNull(weight)),
          servers: Type.Optional(orNull(servers)),
          http: Type.Optional(orNull(http)),
          sticky: Type.Optional(orNull(sticky)),
          health: Type.Optional(orNull(Type.Partial(health, CLOSED))),
          networks: Type.Optional(networks),
          ca: Type.Optional(orNull(ca)),
          readsContent: Type.Optional(orNull(readsContent)),
          xForwarded: Type.Optional(orNull(xForwarded)),
          publicScheme: Type.Optional(orNull(publicScheme)),
          passFields: Type.Optional(orNull(passFields)),
          prefix: Type.Optional(orNull(prefix)),
          host: Type.Optional(orNull(host)),
          clientCertificate: Type.Optional(orNull(Type.Partial(clientCertificate, CLOSED))),
          basic: Type.Optional(orNull(Type.Partial(basic, CLOSED))),
          paths: Type.Optional(orNull(paths)),
          fields: Type.Optional(orNull(fields)),
          delegate: Type.Optional(orNull(delegate)),
          timeouts: Type.Optional(orNull(TimeoutsChange)),
          webSocketMessageBytes: Type.Optional(orNull(webSocketMessageBytes)),
        },
        CLOSED,
      ),
    ),
  },
  { ...CLOSED, $id: 'ResourceChange' },
);
export type ResourceChange = Static<typeof ResourceChange>;

/** A resource as it is; secrets are never shown. */
export const ResourceView = Type.Object(
  {
    name: Type.String(),
    ...ResourceInput.properties,
    title: Type.String(),
    sites: Type.Union([Type.Array(Type.String()), Type.Null()]),
    region: OptionalText(),
  },
  { ...CLOSED, $id: 'Resource' },
);
export type ResourceView = Static<typeof ResourceView>;

/** All resources that a file names, as they shall be. A secret that is not given stays as it is. */
export const ResourcesInput = Type.Object(
  {
    resources: Type.Array(Type.Object({ name: Name(), ...ResourceInput.properties }, CLOSED), { maxItems: 4_096 }),
    prune: Type.Optional(Type.Boolean({ description: 'whether resources that are not named go' })),
    dryRun: Type.Optional(Type.Boolean({ description: 'only say what would change' })),
    basis: Type.Optional(
      Type.String({ maxLength: 128, description: 'of a plan: nothing is done when rights have changed since' }),
    ),
  },
  { ...CLOSED, $id: 'ResourcesInput' },
);
export type ResourcesInput = Static<typeof ResourcesInput>;

/** What a file changes, or has changed: of each resource which settings, by name and never by value. */
export const ResourcesPlan = Type.Object(
  {
    changes: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          what: Type.Union([Type.Literal('add'), Type.Literal('change'), Type.Literal('remove'), Type.Literal('same')]),
          settings: Type.Array(Type.String()),
        },
        CLOSED,
      ),
    ),
    basis: Type.String(),
  },
  { ...CLOSED, $id: 'ResourcesPlan' },
);
export type ResourcesPlan = Static<typeof ResourcesPlan>;

/** A file of all resources, with the certificates in it. */
const FILE_BYTES = 8 * 1024 * 1024;

/** What is protected. */
export const resources = operations('resources', {
  list: {
    method: 'GET',
    path: '/v1/resources',
    about: 'Resources by name, a page of them',
    cursor: 'name',
    query: CursorQuery,
    answer: Type.Array(ResourceView),
  },
  get: {
    method: 'GET',
    path: '/v1/resources/:name',
    about: 'One resource',
    params: NameParam,
    answer: ResourceView,
    errors: ['ERR_SECURITY_RESOURCE'],
  },
  put: {
    method: 'PUT',
    path: '/v1/resources/:name',
    about: 'Create or replace a resource',
    reason: true,
    onlyNew: true,
    params: NameParam,
    body: ResourceInput,
    answer: ResourceView,
    errors: ['ERR_ACCESS_CONFLICT', 'ERR_ACCESS_INVALID', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
  apply: {
    method: 'PUT',
    path: '/v1/resources',
    about: 'Make resources what a file says, or say what that would change',
    reason: true,
    body: ResourcesInput,
    maxBodyBytes: FILE_BYTES,
    answer: ResourcesPlan,
    errors: ['ERR_ACCESS_CONFLICT', 'ERR_ACCESS_INVALID', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
  change: {
    method: 'PATCH',
    path: '/v1/resources/:name',
    about: 'Change what is named of a resource; null takes a setting away',
    reason: true,
    params: NameParam,
    body: ResourceChange,
    answer: ResourceView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT', 'ERR_ACCESS_INVALID', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
  test: {
    method: 'POST',
    path: '/v1/resources/:name/test',
    about: 'Let the Proxies of this node that serve a resource try its backend',
    params: NameParam,
    query: Type.Object({ as: Type.Optional(AuthorityText) }),
    answer: ResourceTrial,
    errors: ['ERR_SECURITY_RESOURCE'],
  },
  remove: {
    method: 'DELETE',
    path: '/v1/resources/:name',
    about: 'Remove one of the resources',
    reason: true,
    params: NameParam,
    answer: Done,
    errors: ['ERR_SECURITY_NOT_IN_FORCE'],
  },
});
