import Type, { type Static } from 'typebox';
import { CLOSED, Names } from '../fields.ts';
import { operations } from './operation.ts';
import { CursorQuery } from './paging.ts';
import { NameParam } from './params.ts';

/** A place with Proxies, and which resources are nearest to it. */
const SiteInput = Type.Object(
  {
    origins: Type.Array(
      Type.String({
        pattern: '^wss?://[^/?#@]+$',
        description: 'an origin like wss://gw.example.com:443, without a path',
        maxLength: 255,
      }),
      { minItems: 1, maxItems: 16 },
    ),
    resources: Type.Optional(Names),
  },
  { ...CLOSED, $id: 'SiteInput' },
);

/** A site as it is. */
export const SiteView = Type.Object(
  { name: Type.String(), origins: Type.Array(Type.String()), resources: Type.Array(Type.String()) },
  { ...CLOSED, $id: 'Site' },
);
export type SiteView = Static<typeof SiteView>;

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
});
