import Type, { type Static } from 'typebox';
import { CLOSED, Time } from '../fields.ts';
import { RevocationKind } from '../grant.ts';
import { Text } from '../text.ts';
import { operations } from './operation.ts';
import { Switch } from './paging.ts';
import { IdParam } from './params.ts';

/** What an operator revokes by this call. A Proxy has one of its own, which waits until nothing of it serves. */
const RevocableKind = Type.Union([
  Type.Literal('session'),
  Type.Literal('installation'),
  Type.Literal('user'),
  Type.Literal('app'),
  Type.Literal('before'),
  Type.Literal('lift'),
  Type.Literal('rights'),
]);

/** What is revoked, and why. */
const RevocationInput = Type.Object(
  {
    kind: RevocableKind,
    subject: Text({ minLength: 1, maxLength: 256 }),
    reason: Text({ minLength: 3, maxLength: 500, about: 'why; goes into the audit log' }),
  },
  { ...CLOSED, $id: 'RevocationInput' },
);

/** For whom a revocation waits. */
export const Waiting = Type.Object(
  {
    proxy: Type.String(),
    instance: Type.String({ description: 'which of its processes' }),
    applied: Type.Integer(),
    untilAt: Time(),
    remainingMs: Type.Integer(),
  },
  CLOSED,
);
export type Waiting = Static<typeof Waiting>;

/** What was revoked: in force, or for whom it waits. */
export const RevocationView = Type.Object(
  {
    index: Type.Integer(),
    kind: RevocationKind,
    subject: Type.String(),
    reason: Type.String(),
    at: Time(),
    inForce: Type.Boolean(),
    waitedMs: Type.Integer(),
    waitingFor: Type.Array(Waiting),
    doubt: Type.Optional(Type.String({ description: 'perhaps not what was meant, in words' })),
  },
  { ...CLOSED, $id: 'Revocation' },
);
export type RevocationView = Static<typeof RevocationView>;

/** An entry of the revocation log as an operator reads it. */
const RevocationRowView = Type.Object(
  {
    index: Type.Integer(),
    kind: RevocationKind,
    subject: Type.String(),
    reason: Type.String(),
    actor: Type.String(),
    at: Time(),
    lifted: Type.Boolean({ description: 'of an app: it was lifted since' }),
  },
  { ...CLOSED, $id: 'RevocationRow' },
);

/** Revocations. */
export const revocations = operations('revocations', {
  put: {
    method: 'PUT',
    path: '/v1/revocations/:id',
    about: 'Revoke; answers when it is in force, or for whom it waits',
    params: IdParam,
    body: RevocationInput,
    answer: RevocationView,
    errors: [
      'ERR_SECURITY_REASON',
      'ERR_ACCESS_NOT_FOUND',
      'ERR_ACCESS_CONFLICT',
      'ERR_ACCESS_INVALID',
      'ERR_ACCESS_LOST',
    ],
  },
  list: {
    method: 'GET',
    path: '/v1/revocations',
    about: 'Newest revocations',
    query: Type.Object({
      limit: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,2}$', description: 'a number from 1 to 999' })),
      before: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,14}$', description: 'a number from 1' })),
      all: Type.Optional(Switch('also changes of rights, which end nothing')),
    }),
    answer: Type.Array(RevocationRowView),
  },
});
