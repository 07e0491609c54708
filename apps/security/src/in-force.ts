import { type WaitingProxy, waitingFor } from '@sallyport/access';
import type { RealmContext } from './realm-context.ts';

/** How often the leases are read while a revocation waits, ms, when no beat of this node wakes the waiter. */
const POLL_MS = 100;

/** How long a revocation took to be in force everywhere, or for whom it still waits. */
export interface InForce {
  readonly waitedMs: number;
  readonly waitingFor: readonly WaitingProxy[];
}

/**
 * Waits until an entry is in force: every Proxy with a live lease has applied it, or its lease has run out. Gives up
 * after `maxMs` and then says for whom it waits and until when.
 */
export async function untilInForce(context: RealmContext, index: number, maxMs: number): Promise<InForce> {
  const start = performance.now();
  context.pushes.wake();
  for (;;) {
    const waiting = await waitingFor(context.access, index);
    const waitedMs = Math.round(performance.now() - start);
    if (waiting.length === 0 || waitedMs >= maxMs) return { waitedMs, waitingFor: waiting };
    await context.pushes.nextLease(Math.min(POLL_MS, maxMs - waitedMs));
  }
}
