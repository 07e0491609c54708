import Type, { type Static } from 'typebox';
import { CLOSED } from '../fields.ts';

/** How many rows a page has at most. */
export const MAX_PAGE = 5_000;

/** How many rows, or events, are asked for. */
export const PageLimit = Type.String({
  pattern: '^([1-9][0-9]{0,2}|[1-4][0-9]{3}|5000)$',
  description: 'a number from 1 to 5000',
});

/** Which page of a list: after what its last row was known by, and how many rows at most. */
export const CursorQuery = Type.Object(
  {
    after: Type.Optional(
      Type.String({
        pattern: '^[\\x20-\\x7e]{0,128}$',
        description: 'where the page before ended, up to 128 characters',
      }),
    ),
    limit: Type.Optional(PageLimit),
  },
  CLOSED,
);
export type CursorQuery = Static<typeof CursorQuery>;

/** The same for lists whose rows are known by what a directory, or a host, is called. */
export const SubjectQuery = Type.Object(
  {
    after: Type.Optional(
      Type.String({
        pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]{0,1024}$',
        description: 'where the page before ended, up to 1024 characters on one line',
      }),
    ),
    limit: Type.Optional(PageLimit),
  },
  CLOSED,
);
export type SubjectQuery = Static<typeof SubjectQuery>;

/** A switch in a query. */
export function Switch(about: string) {
  return Type.Union([Type.Literal('true'), Type.Literal('false')], { description: about });
}
