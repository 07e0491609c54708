import Type, { type Static } from 'typebox';
import { CLOSED, Name, Names, Time } from '../fields.ts';
import { Text } from '../text.ts';
import { operations } from './operation.ts';
import { CursorQuery, Switch } from './paging.ts';
import { Done, NameParam } from './params.ts';
import { RevocationView } from './revocations.ts';

/** A user as an operator writes it; what is not named stays. */
const UserInput = Type.Object(
  {
    displayName: Type.Optional(Text({ maxLength: 128 })),
    password: Type.Optional(Type.String({ minLength: 8, maxLength: 256 })),
    groups: Type.Optional(Names),
    keepSessions: Type.Optional(
      Type.Boolean({ description: 'whether sessions go on after a new password; they end otherwise' }),
    ),
    directory: Type.Optional(
      Name(
        'of a new user of an OpenID provider that does not push its users, whose first sign-in with a code binds the account',
      ),
    ),
    account: Type.Optional(
      Text({
        minLength: 1,
        maxLength: 256,
        about: 'what their account there is called: login, verified mail address or id; absent: like the user',
      }),
    ),
  },
  { ...CLOSED, $id: 'UserInput' },
);

/** Another name for a user. */
const UserRename = Type.Object({ name: Name() }, { ...CLOSED, $id: 'UserRename' });

/** A user of the realm. */
export const User = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    displayName: Type.String(),
    enabled: Type.Boolean(),
    directory: Type.String({ description: 'where the user comes from and signs in; empty for a local one' }),
    groups: Type.Array(Type.String()),
    createdAt: Time(),
  },
  { ...CLOSED, $id: 'User' },
);
export type User = Static<typeof User>;

/** Why a user may, or may not, reach each resource. */
export const RightsView = Type.Object(
  {
    user: Type.String(),
    enabled: Type.Boolean(),
    directory: Type.String(),
    groups: Type.Array(Type.Object({ group: Type.String(), by: Type.String() }, CLOSED)),
    resources: Type.Array(
      Type.Object(
        {
          resource: Type.String(),
          allowed: Type.Boolean(),
          words: Type.String(),
          policies: Type.Array(
            Type.Object({ policy: Type.String(), groups: Type.Array(Type.String()), only: Type.String() }, CLOSED),
          ),
          sites: Type.Array(
            Type.Object(
              {
                site: Type.String(),
                serves: Type.Boolean(),
                policies: Type.Array(Type.String(), { description: 'that open it there' }),
                liveProxies: Type.Array(Type.String()),
                words: Type.String({ description: 'why not' }),
              },
              CLOSED,
            ),
            { description: 'sites that have it, the preferred ones first' },
          ),
        },
        CLOSED,
      ),
    ),
    doubts: Type.Array(Type.String(), { description: 'why devices may not reach all of it, in words' }),
  },
  { ...CLOSED, $id: 'Rights' },
);
export type RightsView = Static<typeof RightsView>;

/** A new second factor; its secret is shown once. */
export const FactorView = Type.Object(
  { user: Type.String(), uri: Type.String(), secret: Type.String() },
  { ...CLOSED, $id: 'Factor' },
);
export type FactorView = Static<typeof FactorView>;

/** Users. */
export const users = operations('users', {
  list: {
    method: 'GET',
    path: '/v1/users',
    about: 'Users in the order of their ids, a page of them',
    cursor: 'id',
    query: CursorQuery,
    answer: Type.Array(User),
  },
  get: {
    method: 'GET',
    path: '/v1/users/:name',
    about: 'A user',
    params: NameParam,
    answer: User,
    errors: ['ERR_ACCESS_NOT_FOUND'],
  },
  put: {
    method: 'PUT',
    path: '/v1/users/:name',
    about: 'Create or change a user',
    reason: true,
    params: NameParam,
    body: UserInput,
    answer: User,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT', 'ERR_ACCESS_INVALID', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
  disable: {
    method: 'POST',
    path: '/v1/users/:name/disable',
    about: 'Disable a user and end everything of theirs',
    reason: true,
    repeatable: true,
    params: NameParam,
    answer: RevocationView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT', 'ERR_ACCESS_LOST'],
  },
  enable: {
    method: 'POST',
    path: '/v1/users/:name/enable',
    about: 'Let a disabled user in again; nothing of before revives',
    reason: true,
    params: NameParam,
    answer: Done,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT'],
  },
  remove: {
    method: 'DELETE',
    path: '/v1/users/:name',
    about: 'Remove a user with everything of theirs; the name is free again',
    reason: true,
    repeatable: true,
    params: NameParam,
    answer: RevocationView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT', 'ERR_ACCESS_LOST'],
  },
  rename: {
    method: 'POST',
    path: '/v1/users/:name/rename',
    about: 'Give a user another name',
    reason: true,
    params: NameParam,
    body: UserRename,
    answer: User,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT', 'ERR_ACCESS_INVALID', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
  rights: {
    method: 'GET',
    path: '/v1/users/:name/rights',
    about: 'Why a user may, or may not, reach each resource',
    params: NameParam,
    answer: RightsView,
    errors: ['ERR_ACCESS_NOT_FOUND'],
  },
});

const FactorQuery = Type.Object({
  keepSessions: Type.Optional(Switch('whether sessions go on after the change; they end otherwise')),
});

/** Second factors of users. */
export const factors = operations('factors', {
  issue: {
    method: 'POST',
    path: '/v1/users/:name/second-factor',
    about: 'Give a user a new second factor; it is shown once, sessions end',
    reason: true,
    params: NameParam,
    query: FactorQuery,
    answer: FactorView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
  remove: {
    method: 'DELETE',
    path: '/v1/users/:name/second-factor',
    about: "Take a user's second factor away; sessions end",
    reason: true,
    params: NameParam,
    query: FactorQuery,
    answer: Done,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
});
