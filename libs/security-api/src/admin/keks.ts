import Type, { type Static } from 'typebox';
import { CLOSED, Time } from '../fields.ts';
import { operations } from './operation.ts';
import { Done } from './params.ts';

/** A key-encryption key, as the realm knows it: never the key itself. */
const KekEntry = Type.Object(
  {
    id: Type.Integer(),
    state: Type.Union([
      Type.Literal('current'),
      Type.Literal('coming'),
      Type.Literal('in use'),
      Type.Literal('retired'),
      Type.Literal('forgotten'),
    ]),
    createdAt: Type.Optional(Time('when the realm first heard of it')),
    retiredAt: Type.Optional(Time('since when nothing is wrapped with it')),
  },
  { ...CLOSED, $id: 'Kek' },
);

/** The turn from one key-encryption key to the next. */
const KekTurn = Type.Object(
  {
    kek: Type.Integer({ description: 'the new key; 0 while nobody has drawn it' }),
    state: Type.Union([Type.Literal('spreading'), Type.Literal('wrapping'), Type.Literal('done')], {
      description: 'nodes get it, everything is wrapped with it, nothing uses an older one',
    }),
    actor: Type.String(),
    reason: Type.String(),
    startedAt: Time(),
    changedAt: Time('when key or state changed last'),
    without: Type.Array(Type.String(), { description: 'nodes that it does not wait for while they are silent' }),
    renewed: Type.Integer({ description: 'rows that were wrapped or sealed anew so far' }),
    forged: Type.Integer({ description: 'rows that no key vouches for: they were left alone and open nowhere' }),
    waitingFor: Type.Array(Type.Object({ node: Type.String(), why: Type.String() }, CLOSED)),
  },
  { ...CLOSED, $id: 'KekTurn' },
);

/** Key-encryption keys of the realm, and who has them. */
export const KekStatus = Type.Object(
  {
    keks: Type.Array(KekEntry),
    turn: Type.Optional(KekTurn),
    nodes: Type.Array(
      Type.Object(
        {
          id: Type.String(),
          awake: Type.Boolean(),
          current: Type.Integer({ description: 'the key that it wraps with; 0 for one that does not say' }),
          keks: Type.Array(Type.Integer(), { description: 'keys in its file that it uses' }),
        },
        CLOSED,
      ),
    ),
  },
  { ...CLOSED, $id: 'KekStatus' },
);
export type KekStatus = Static<typeof KekStatus>;

/** How a turn begins, or goes on. */
const TurnOrder = Type.Object(
  {
    without: Type.Optional(
      Type.Array(Type.String({ maxLength: 255 }), {
        maxItems: 64,
        description: 'silent nodes that it does not wait for',
      }),
    ),
  },
  { ...CLOSED, $id: 'KekTurnOrder' },
);

/** Key-encryption keys. */
export const keks = operations('keks', {
  show: {
    method: 'GET',
    path: '/v1/keks',
    about: 'Key-encryption keys by number, their turn, and which node has which',
    answer: KekStatus,
  },
  rotate: {
    method: 'POST',
    path: '/v1/keks/rotate',
    about:
      'Turn the key-encryption key while all nodes run; while that is under way, name nodes that it does not wait for',
    reason: true,
    body: TurnOrder,
    answer: KekStatus,
    errors: ['ERR_ACCESS_INVALID'],
  },
  forget: {
    method: 'DELETE',
    path: '/v1/keks/:kek',
    about: 'Take a retired key out of the files of all nodes: older backups then open no more',
    reason: true,
    params: Type.Object(
      { kek: Type.String({ pattern: '^[1-9][0-9]{0,8}$', description: 'the number of a key' }) },
      CLOSED,
    ),
    answer: Done,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT'],
  },
});
