import Type, { type Static } from 'typebox';
import { CLOSED, Name, OptionalTime, Time } from '../fields.ts';
import { operations } from './operation.ts';
import { CursorQuery } from './paging.ts';
import { Done, NameParam } from './params.ts';
import { Waiting } from './revocations.ts';

/** A Proxy that was revoked: over when none of its processes may hold a lease any more. */
export const ProxyRevocationView = Type.Object(
  { done: Type.Boolean(), inForce: Type.Boolean(), waitedMs: Type.Integer(), waitingFor: Type.Array(Waiting) },
  { ...CLOSED, $id: 'ProxyRevocation' },
);
export type ProxyRevocationView = Static<typeof ProxyRevocationView>;

/** A Proxy with its leases. */
export const ProxyView = Type.Object(
  {
    name: Type.String(),
    site: Type.String(),
    joinedAt: Time(),
    revokedAt: OptionalTime(),
    applied: Type.Integer(),
    leaseUntil: Time(),
    live: Type.Boolean(),
    channels: Type.Integer(),
    node: Type.String({ description: 'the Security node it beats at' }),
    instances: Type.Array(
      Type.Object(
        {
          instance: Type.String(),
          applied: Type.Integer(),
          leaseUntil: Time(),
          channels: Type.Integer(),
          node: Type.String(),
        },
        CLOSED,
      ),
      { description: 'its processes that may hold a lease' },
    ),
  },
  { ...CLOSED, $id: 'Proxy' },
);
export type ProxyView = Static<typeof ProxyView>;

/** For which Proxy a join token is. */
const JoinTokenInput = Type.Object(
  {
    name: Name(),
    site: Name(),
    ttlMs: Type.Optional(Type.Integer({ minimum: 10_000, maximum: 86_400_000 })),
    replace: Type.Optional(
      Type.Boolean({
        description: 'takes the place of the Proxy that has this name; its certificate is worth nothing then',
      }),
    ),
    moveSite: Type.Optional(Type.Boolean({ description: 'the Proxy of this name was at another site' })),
  },
  { ...CLOSED, $id: 'JoinTokenInput' },
);

/** A join token; it is shown once. */
const JoinTokenView = Type.Object({ token: Type.String(), expiresAt: Time() }, { ...CLOSED, $id: 'JoinToken' });

/** Where a Proxy goes. */
const ProxyMove = Type.Object({ site: Name() }, { ...CLOSED, $id: 'ProxyMove' });

/** Proxies. */
export const proxies = operations('proxies', {
  list: {
    method: 'GET',
    path: '/v1/proxies',
    about: 'Proxies by name with their leases, a page of them',
    cursor: 'name',
    query: CursorQuery,
    answer: Type.Array(ProxyView),
  },
  invite: {
    method: 'POST',
    path: '/v1/join-tokens',
    about: 'Issue a join token for a new Proxy',
    reason: true,
    body: JoinTokenInput,
    answer: JoinTokenView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT'],
  },
  move: {
    method: 'POST',
    path: '/v1/proxies/:name/move',
    about: 'Give a Proxy another site; its channels end, and it begins anew there',
    reason: true,
    params: NameParam,
    body: ProxyMove,
    answer: Done,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
  revoke: {
    method: 'POST',
    path: '/v1/proxies/:name/revoke',
    about: "Take a Proxy's right to serve; answers when none of its processes has a lease any more",
    reason: true,
    params: NameParam,
    answer: ProxyRevocationView,
  },
});
