import Type, { type Static } from 'typebox';

/** An error as an answer tells it (RFC 9457): `code` is for programs, `title` for people. */
export const ProblemView = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String(),
    detail: Type.Optional(Type.String()),
  },
  { $id: 'Problem' },
);
export type ProblemView = Static<typeof ProblemView>;
