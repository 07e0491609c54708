import Type, { type Static } from 'typebox';
import { CLOSED, OptionalTime, Time } from '../fields.ts';
import { operations } from './operation.ts';
import { CursorQuery } from './paging.ts';
import { Done, NameParam } from './params.ts';

/** A lease that a site may have, ms: what waits for leases waits for five minutes at most. */
const SiteLease = Type.Integer({ minimum: 2_000, maximum: 300_000, description: 'ms, from 2 s to 5 min' });

/** Where a Proxy is. */
export const Origin = Type.String({
  pattern: '^wss?://[^/?#@]+$',
  description: 'an origin like wss://gw.example.com:443, without a path',
  maxLength: 255,
});

/** A place with Proxies. */
const SiteInput = Type.Object(
  {
    origins: Type.Array(Origin, { minItems: 1, maxItems: 16 }),
    leaseMs: Type.Optional(
      Type.Union([SiteLease, Type.Null()], {
        description:
          'how long its Proxies may serve after a beat, ms; null for as long as the nodes say; else it stays',
      }),
    ),
  },
  { ...CLOSED, $id: 'SiteInput' },
);

/** A Proxy of a site, as its last beats say. */
const SiteProxyView = Type.Object(
  {
    name: Type.String(),
    live: Type.Boolean(),
    channels: Type.Integer(),
    requests: Type.Integer({ description: 'since its process began' }),
    bytes: Type.Integer({ description: 'of content, both ways, since its process began' }),
    rttMs: Type.Union([Type.Integer(), Type.Null()], { description: 'how long an answer of Security took it last' }),
    leaseUntil: Time(),
    node: Type.String(),
  },
  CLOSED,
);

const SITE = {
  name: Type.String(),
  origins: Type.Array(Type.String()),
  leaseMs: Type.Integer({ description: 'how long its Proxies may serve after a beat' }),
  ownLease: Type.Boolean({ description: 'whether that was said for this site, and not for the nodes' }),
  revocationMs: Type.Integer({ description: 'a revocation is in force there after so long at most' }),
  drainedAt: OptionalTime('since when it is being emptied'),
  liveProxies: Type.Integer(),
  channels: Type.Integer(),
  requests: Type.Integer(),
  bytes: Type.Integer(),
} as const;

/** A site as it is. */
export const SiteView = Type.Object(SITE, { ...CLOSED, $id: 'Site' });
export type SiteView = Static<typeof SiteView>;

/** All about a site. */
export const SiteDetails = Type.Object(
  {
    ...SITE,
    proxies: Type.Array(SiteProxyView),
    resources: Type.Array(Type.String(), { description: 'that name it' }),
    everySite: Type.Array(Type.String(), { description: 'resources that are at every site' }),
  },
  { ...CLOSED, $id: 'SiteDetails' },
);
export type SiteDetails = Static<typeof SiteDetails>;

/** Sites. */
export const sites = operations('sites', {
  list: {
    method: 'GET',
    path: '/v1/sites',
    about: 'Sites in the order of their names, a page of them',
    cursor: 'name',
    query: CursorQuery,
    answer: Type.Array(SiteView),
  },
  get: {
    method: 'GET',
    path: '/v1/sites/:name',
    about: 'One site with its Proxies and resources',
    params: NameParam,
    answer: SiteDetails,
    errors: ['ERR_ACCESS_NOT_FOUND'],
  },
  put: {
    method: 'PUT',
    path: '/v1/sites/:name',
    about: 'Create or replace a site',
    reason: true,
    params: NameParam,
    body: SiteInput,
    answer: SiteView,
    errors: ['ERR_ACCESS_INVALID', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
  drain: {
    method: 'POST',
    path: '/v1/sites/:name/drain',
    about: 'Empty a site: its Proxies take no new channels, and devices move on',
    reason: true,
    params: NameParam,
    answer: SiteView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
  open: {
    method: 'POST',
    path: '/v1/sites/:name/open',
    about: 'Open a site again that was emptied',
    reason: true,
    params: NameParam,
    answer: SiteView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
  remove: {
    method: 'DELETE',
    path: '/v1/sites/:name',
    about: 'Remove a site that nothing names any more',
    reason: true,
    params: NameParam,
    answer: Done,
    errors: ['ERR_ACCESS_CONFLICT', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
});
