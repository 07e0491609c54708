import Type, { type Static } from 'typebox';
import { CLOSED, Time } from '../fields.ts';
import { operations } from './operation.ts';
import { CursorQuery } from './paging.ts';
import { Done, NameParam } from './params.ts';

/** A group of users. */
export const GroupView = Type.Object(
  {
    name: Type.String(),
    count: Type.Integer(),
    members: Type.Array(Type.String(), { description: 'names of the first hundred' }),
    createdAt: Time(),
  },
  { ...CLOSED, $id: 'Group' },
);
export type GroupView = Static<typeof GroupView>;

/** Groups of users. */
export const groups = operations('groups', {
  list: {
    method: 'GET',
    path: '/v1/groups',
    about: 'Groups by name, a page of them',
    cursor: 'name',
    query: CursorQuery,
    answer: Type.Array(GroupView),
  },
  put: {
    method: 'PUT',
    path: '/v1/groups/:name',
    about: 'Create a group',
    reason: true,
    params: NameParam,
    answer: Done,
  },
});
