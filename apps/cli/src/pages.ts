import type { AdminClient } from './admin-client.ts';

/** Rows of one page: the most that the server gives. */
const PAGE = 5_000;

/** All rows of a list, page by page; `cursorOf` is what the server goes on after. */
export async function allPages<Row>(admin: AdminClient, path: string, cursorOf: (row: Row) => string): Promise<Row[]> {
  const rows: Row[] = [];
  const joint = path.includes('?') ? '&' : '?';
  for (let after = ''; ; after = cursorOf(rows.at(-1)!)) {
    const page = await admin.call<Row[]>('GET', `${path}${joint}limit=${PAGE}&after=${encodeURIComponent(after)}`);
    rows.push(...page);
    if (page.length < PAGE) return rows;
  }
}
