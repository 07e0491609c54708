import type { ListPage } from '@sallyport/access';
import type { CursorQuery } from '@sallyport/security-api/admin';

/** Rows of a page, unless asked otherwise. */
const DEFAULT_LIMIT = 1_000;

/** The page that a query asks for. */
export function pageOf({ after, limit }: CursorQuery): ListPage {
  return { after: after ?? '', limit: Number(limit ?? DEFAULT_LIMIT) };
}
