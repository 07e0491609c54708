import Type from 'typebox';
import { CLOSED, Time } from '../fields.ts';
import { operations } from './operation.ts';
import { CursorQuery } from './paging.ts';
import { Done, IdParam } from './params.ts';

/** An account of a provider that asks to be a user, and waits for an officer. */
const BindingView = Type.Object(
  {
    id: Type.String(),
    user: Type.String(),
    directory: Type.String(),
    subject: Type.String(),
    login: Type.String(),
    email: Type.String({ description: 'empty when the provider has verified none' }),
    createdAt: Time(),
  },
  { ...CLOSED, $id: 'Binding' },
);

/** Accounts of providers that wait for an officer to say whose they are. */
export const bindings = operations('bindings', {
  list: {
    method: 'GET',
    path: '/v1/bindings',
    about: 'Accounts that wait for an officer, a page of them',
    cursor: 'id',
    query: CursorQuery,
    answer: Type.Array(BindingView),
  },
  confirm: {
    method: 'POST',
    path: '/v1/bindings/:id/confirm',
    about: "Say that an account is its user's",
    reason: true,
    params: IdParam,
    answer: Done,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT'],
  },
  refuse: {
    method: 'POST',
    path: '/v1/bindings/:id/refuse',
    about: "Say that an account is not its user's",
    reason: true,
    params: IdParam,
    answer: Done,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT'],
  },
});
