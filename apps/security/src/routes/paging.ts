import Type, { type Static } from 'typebox';

/** Which page of a list: after what its last row was known by, and how many rows at most. */
export const CursorQuery = Type.Object(
  {
    after: Type.Optional(
      Type.String({
        pattern: '^[\\x20-\\x7e]{0,128}$',
        description: 'where the page before ended, up to 128 characters',
      }),
    ),
    limit: Type.Optional(
      Type.String({ pattern: '^([1-9][0-9]{0,2}|[1-4][0-9]{3}|5000)$', description: 'a number from 1 to 5000' }),
    ),
  },
  { additionalProperties: false },
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
    limit: CursorQuery.properties.limit,
  },
  { additionalProperties: false },
);
export type SubjectQuery = Static<typeof SubjectQuery>;

/** Rows of a page, unless asked otherwise. */
const DEFAULT_LIMIT = 1_000;

/** Which page of a list is asked for. */
export interface ListPage {
  readonly after: string;
  readonly limit: number;
}

/** The page that a query asks for. */
export function pageOf({ after, limit }: CursorQuery): ListPage {
  return { after: after ?? '', limit: Number(limit ?? DEFAULT_LIMIT) };
}
