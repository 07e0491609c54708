import type { Selection, Table } from './store.ts';

/** Rows of one query: it has a time limit, and its answer is held in memory twice. */
const PAGE = 5_000;

/** Which page of a list is wanted: so many of what comes after the last name, or id, of the page before. */
export interface ListPage {
  readonly after: string;
  readonly limit: number;
}

/**
 * All selected rows, page by page. `key` is the last column of the table's key; the ones before it are fixed by the
 * selection.
 */
export async function listAll<Row>(
  table: Table<Row>,
  selection: Omit<Selection<Row>, 'above'>,
  key: keyof Row & string,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (let after = ''; ; ) {
    const page = await table.list({ ...selection, above: [key, after], limit: PAGE });
    rows.push(...page);
    if (page.length < PAGE) return rows;
    after = String(page.at(-1)![key]);
  }
}

/** Cuts a list into parts that a query may name. */
export function* partsOf<T>(list: readonly T[], size: number = PAGE): Generator<readonly T[]> {
  for (let at = 0; at < list.length; at += size) yield list.slice(at, at + size);
}
