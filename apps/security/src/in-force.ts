import { nextMessage, type WaitingProxy } from '@sallyport/access';
import type { RealmContext } from './realm-context.ts';

/** How often the leases are read while a revocation waits, ms, when no recorded beat wakes the waiter. */
const POLL_MS = 100;

/** How long a revocation took to be in force everywhere, or for whom it still waits. */
export interface InForce {
  readonly waitedMs: number;
  readonly waitingFor: readonly WaitingProxy[];
}

/**
 * Waits until an entry is in force: every Proxy that may hold a lease has applied it, or its lease has run out. To call
 * right after the entry was committed. Gives up after `maxMs` and then says for whom it waits and how long at most.
 * A database that does not answer is waited for: what was committed stays committed.
 */
export async function untilInForce(context: RealmContext, index: number, maxMs: number): Promise<InForce> {
  const committedAt = context.monotonicMs();
  context.bus.publish('entries');
  for (;;) {
    const waitingFor = await stillWaiting(context, index, committedAt);
    const waitedMs = Math.round(context.monotonicMs() - committedAt);
    if (waitingFor?.length === 0) return { waitedMs, waitingFor };
    if (waitedMs >= maxMs) return { waitedMs, waitingFor: waitingFor ?? [] };
    await nextMessage(context.bus, 'applied', Math.min(POLL_MS, maxMs - waitedMs));
  }
}

async function stillWaiting(
  { access, node, log }: RealmContext,
  index: number,
  committedAt: number,
): Promise<WaitingProxy[] | undefined> {
  try {
    const leases = await access.store.transaction(({ tables }) => tables.leases.list());
    return node.leases.waiting(leases, index, committedAt);
  } catch (error) {
    log.warn({ err: error }, 'the leases could not be read while a revocation waits');
    return undefined;
  }
}
