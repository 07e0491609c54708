import type { Transaction } from '../store/store.ts';
import { auditStart } from './audit.ts';
import type { AccessContext } from './context.ts';
import type { AuditRow } from './rows.ts';

/** Which audit events: all that is given must fit. Times in epoch ms, both included. */
export interface AuditFilter {
  readonly actor?: string | undefined;
  readonly action?: string | undefined;
  readonly subject?: string | undefined;
  readonly outcome?: string | undefined;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

/** A page of events: newest first those before an event, or oldest first those after one. */
export interface AuditPage {
  readonly before?: number | undefined;
  readonly after?: number | undefined;
  readonly limit: number;
}

/** Events come by their transactions' begin; one that took longer stands behind younger ones by no more than this, ms. */
const DISORDER_MS = 60_000;

/** A page of the audit log. */
export async function searchAudit(access: AccessContext, page: AuditPage, filter: AuditFilter): Promise<AuditRow[]> {
  return access.store.transaction(async (transaction) => {
    const { actor, action, subject, outcome, since, until } = filter;
    const fields = { actor, action, subject, outcome };
    const where = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
    const range = await rangeOf(transaction, filter);
    const newestFirst = page.after === undefined;
    let [above, below] = [Math.max(range.above, page.after ?? 0), Math.min(range.below, page.before ?? range.below)];
    const found: AuditRow[] = [];
    while (found.length < page.limit) {
      const bounds = { above: ['seq', above], below: ['seq', below] } as const;
      const rows = await transaction.tables.audit.list({ where, ...bounds, newestFirst, limit: page.limit });
      found.push(...rows.filter(({ at }) => at >= (since ?? 0) && at <= (until ?? Number.MAX_SAFE_INTEGER)));
      if (rows.length < page.limit) break;
      if (newestFirst) below = rows.at(-1)!.seq;
      else above = rows.at(-1)!.seq;
    }
    return found.slice(0, page.limit);
  });
}

/** The events that times can mean, by their numbers, both excluded; found by halves, so without reading the log. */
async function rangeOf(
  transaction: Transaction,
  { since, until }: AuditFilter,
): Promise<{ above: number; below: number }> {
  const head = await transaction.tables.auditHeads.find({ id: 'head' });
  const [first, last] = [(await auditStart(transaction)).seq, head?.seq ?? 0];
  const above = since === undefined ? first : await lastBefore(transaction, { first, last, at: since - DISORDER_MS });
  if (until === undefined) return { above, below: last + 1 };
  return { above, below: (await lastBefore(transaction, { first, last, at: until + DISORDER_MS })) + 1 };
}

/** The last event that is older than a time, as far as numbers follow time. */
async function lastBefore(
  { tables }: Transaction,
  { first, last, at }: { first: number; last: number; at: number },
): Promise<number> {
  let [low, high] = [first, last];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const row = await tables.audit.find({ seq: middle });
    if (row && row.at < at) low = middle;
    else high = middle - 1;
  }
  return low;
}
