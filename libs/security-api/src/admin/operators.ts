import Type, { type Static } from 'typebox';
import { CLOSED, formed, Line, Name, OptionalText, OptionalTime, Time } from '../fields.ts';
import { operations } from './operation.ts';
import { CursorQuery, Switch } from './paging.ts';
import { IdPattern, IdWords, NameParam } from './params.ts';

/** A one-time token that is exchanged for a credential. */
const OperatorLogin = Type.Object(
  {
    token: Type.String({ maxLength: 256 }),
    name: Type.Optional(
      Name(
        'how the first operator is called; who was invited has the name of the invitation, and another one is refused',
      ),
    ),
    request: Type.Optional(
      Type.String({
        pattern: IdPattern,
        ...formed(IdWords, "the client's own id: repeated with it, a lost answer is given again"),
      }),
    ),
  },
  { ...CLOSED, $id: 'OperatorLogin' },
);

/** A credential, or a one-time token for one; it is shown once. */
export const OperatorCredential = Type.Object(
  { name: Type.String(), token: Type.String(), expiresAt: Time() },
  { ...CLOSED, $id: 'OperatorCredential' },
);
export type OperatorCredential = Static<typeof OperatorCredential>;

/** An operator. */
export const OperatorView = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    state: Type.Union([
      Type.Literal('invited'),
      Type.Literal('active'),
      Type.Literal('expired'),
      Type.Literal('ended'),
    ]),
    origin: Type.Union([Type.Literal('bootstrap'), Type.Literal('invite'), Type.Literal('provider')]),
    place: Type.String({
      description: 'the node that printed the first token, or the provider; empty for the invited',
    }),
    invitedBy: Type.String({ description: 'name of the operator who invited; empty for the others' }),
    createdAt: Time(),
    tokenUntil: Time('when the newest token ends; 0 for none that is good'),
    lastUsedAt: OptionalTime(),
    endsAt: OptionalTime('when the operator ends, whatever is renewed, epoch ms; null for never'),
    endedAt: OptionalTime(),
    endReason: OptionalText(),
  },
  { ...CLOSED, $id: 'Operator' },
);
export type OperatorView = Static<typeof OperatorView>;

/** Who is no operator any more. */
const OperatorEnded = Type.Object(
  {
    ended: Type.Array(Type.String()),
    invited: Type.Array(Type.String(), { description: 'whom they invited, and who still are operators' }),
  },
  { ...CLOSED, $id: 'OperatorEnded' },
);

/** What an operator's command needs to sign in at a provider (RFC 7636, RFC 8252). */
const OperatorProvider = Type.Object(
  {
    issuer: Type.String(),
    authorizationEndpoint: Type.String(),
    clientId: Type.String(),
    scope: Type.String(),
    acr: Type.Optional(Type.Array(Type.String())),
  },
  { ...CLOSED, $id: 'OperatorProvider' },
);

/** What a provider gave an operator's command. */
export const OperatorOidcLogin = Type.Object(
  {
    directory: Line(),
    code: Type.String({ minLength: 1, maxLength: 4_096 }),
    verifier: Type.String({
      pattern: '^[A-Za-z0-9._~-]{43,128}$',
      description: 'a PKCE verifier of 43 to 128 characters',
    }),
    redirect: Type.String({ pattern: '^http://127\\.0\\.0\\.1:[0-9]{1,5}/$', description: 'http://127.0.0.1:<port>/' }),
    issuer: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 512,
        description: 'the issuer as the provider put it into its answer (RFC 9207); absent when it put none',
      }),
    ),
  },
  { ...CLOSED, $id: 'OperatorOidcLogin' },
);
export type OperatorOidcLogin = Static<typeof OperatorOidcLogin>;

/** Operators and their credentials. */
export const operators = operations('operators', {
  login: {
    method: 'POST',
    path: '/v1/operators/login',
    about: 'Exchange a one-time token for a credential',
    open: true,
    body: OperatorLogin,
    answer: OperatorCredential,
    errors: ['ERR_SECURITY_TOKEN'],
  },
  list: {
    method: 'GET',
    path: '/v1/operators',
    about: 'Operators, those that have ended too, a page of them',
    cursor: 'id',
    query: CursorQuery,
    answer: Type.Array(OperatorView),
  },
  invite: {
    method: 'POST',
    path: '/v1/operators/:name/invite',
    about: 'Issue a one-time token for another operator',
    reason: true,
    params: NameParam,
    answer: OperatorCredential,
    errors: ['ERR_ACCESS_CONFLICT', 'ERR_ACCESS_INVALID'],
  },
  end: {
    method: 'POST',
    path: '/v1/operators/:name/end',
    about: 'End an operator for good, and with them those they invited',
    reason: true,
    params: NameParam,
    query: Type.Object({
      withInvited: Type.Optional(Switch('whether those whom the operator invited end, too')),
    }),
    answer: OperatorEnded,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT'],
  },
  renew: {
    method: 'POST',
    path: '/v1/operators/renew',
    about: 'A new credential in the place of the one in use',
    answer: OperatorCredential,
    errors: ['ERR_ACCESS_CONFLICT'],
  },
  provider: {
    method: 'GET',
    path: '/v1/operators/providers/:name',
    about: 'Where operators sign in at a provider',
    open: true,
    params: NameParam,
    answer: OperatorProvider,
    errors: ['ERR_HTTP_NOT_FOUND', 'ERR_DIRECTORY_UNREACHABLE'],
  },
  oidc: {
    method: 'POST',
    path: '/v1/operators/oidc',
    about: 'Exchange a code of a provider for a credential',
    open: true,
    body: OperatorOidcLogin,
    answer: OperatorCredential,
    errors: [
      'ERR_HTTP_NOT_FOUND',
      'ERR_SECURITY_OPERATOR',
      'ERR_SECURITY_SLOW',
      'ERR_DIRECTORY_REFUSED',
      'ERR_DIRECTORY_ANSWER',
      'ERR_DIRECTORY_CREDENTIALS',
      'ERR_DIRECTORY_UNREACHABLE',
      'ERR_ACCESS_BUSY',
    ],
  },
});
