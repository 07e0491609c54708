import Type from 'typebox';
import { CLOSED, OptionalText, OptionalTime, Time } from '../fields.ts';
import { operations } from './operation.ts';
import { CursorQuery, Switch } from './paging.ts';

/** A session. */
const SessionView = Type.Object(
  {
    id: Type.String(),
    user: Type.String(),
    installation: Type.String(),
    app: Type.String(),
    createdAt: Time(),
    expiresAt: Time(),
    endedAt: OptionalTime(),
    endReason: OptionalText(),
    lastChannel: Type.Integer({
      description: 'number of the last channel that was authorised; not how many there are',
    }),
    seenAt: OptionalTime('when it was last seen, epoch ms; null when nobody remembers'),
    proxy: OptionalText('where it was last seen; null when nobody remembers'),
  },
  { ...CLOSED, $id: 'Session' },
);

/** Sessions. */
export const sessions = operations('sessions', {
  list: {
    method: 'GET',
    path: '/v1/sessions',
    about: 'Live sessions, or all, in the order of their ids, a page of them',
    cursor: 'id',
    query: Type.Object({ ...CursorQuery.properties, all: Type.Optional(Switch('also those that have ended')) }),
    answer: Type.Array(SessionView),
  },
});
