import type { UserRow } from '../people/rows.ts';

/** Who says that a user is out: each for themselves. */
export type OutBy = Pick<UserRow, 'outByOperator' | 'outByDirectory'>;

/** The columns of a user that follow from what operator and directory say: in is whom nobody says to be out. */
export function standing({ outByOperator, outByDirectory }: OutBy): OutBy & Pick<UserRow, 'enabled'> {
  return { outByOperator, outByDirectory, enabled: !outByOperator && !outByDirectory };
}
