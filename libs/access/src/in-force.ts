import { type Bus, nextMessage } from './bus.ts';
import type { AccessContext } from './context.ts';
import type { LeaseWatch, WaitingProxy } from './lease-watch.ts';

/** How often the leases are read while a revocation waits, ms, when no recorded beat wakes the waiter. */
const POLL_MS = 100;

/** How long a revocation took to be in force everywhere, or for whom it still waits. */
export interface InForce {
  readonly waitedMs: number;
  readonly waitingFor: readonly WaitingProxy[];
}

/** What waiting needs of the node that does it. */
export interface WaitingNode {
  readonly access: AccessContext;
  readonly leases: LeaseWatch;
  readonly bus: Bus;
  readonly monotonicMs: () => number;
  /** Hears that the leases could not be read; the wait goes on. */
  readonly trouble: (error: unknown) => void;
  /** Waits for a recorded beat or so many ms; for a simulation. */
  readonly nextBeat?: (ms: number) => Promise<void>;
}

/**
 * Waits until an entry is in force: every Proxy that may hold a lease has applied it, or its lease has run out. To call
 * right after the entry was committed. Gives up after `maxMs` and then says for whom it waits and how long at most.
 * A database that does not answer is waited for: what was committed stays committed.
 */
export async function untilInForce(node: WaitingNode, index: number, maxMs: number): Promise<InForce> {
  const committedAt = node.monotonicMs();
  const nextBeat = node.nextBeat ?? ((ms: number) => nextMessage(node.bus, 'applied', ms));
  let waitingFor: readonly WaitingProxy[] | undefined;
  node.bus.publish('entries');
  for (;;) {
    waitingFor = (await stillWaiting(node, index, committedAt)) ?? waitingFor;
    const waitedMs = Math.round(node.monotonicMs() - committedAt);
    if (waitingFor?.length === 0) return { waitedMs, waitingFor };
    if (waitedMs >= maxMs) return { waitedMs, waitingFor: waitingFor ?? [UNREADABLE] };
    await nextBeat(Math.min(POLL_MS, maxMs - waitedMs));
  }
}

/** Nobody knows for whom: the leases could not be read even once. */
const UNREADABLE: WaitingProxy = { proxy: '(unknown: the database does not answer)', applied: 0, remainingMs: 0 };

async function stillWaiting(
  { access, leases, trouble }: WaitingNode,
  index: number,
  committedAt: number,
): Promise<WaitingProxy[] | undefined> {
  try {
    const rows = await access.store.transaction(({ tables }) => tables.leases.list());
    return leases.waiting(rows, index, committedAt);
  } catch (error) {
    trouble(error);
    return undefined;
  }
}
