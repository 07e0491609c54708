import { untilInForce, type WaitingNode } from '@sallyport/access';
import type { RealmContext } from './realm-context.ts';

/**
 * How long a change that a directory caused waits to be in force before it is acknowledged, ms: longer than the lease of a
 * Proxy that is cut off.
 */
const FORCE_MS = 20_000;

/** This node as it waits for a revocation to be in force. */
export function waitingNode({ access, node, bus, monotonicMs, log }: RealmContext): WaitingNode {
  const trouble = (error: unknown): void =>
    log.warn({ err: error }, 'the leases could not be read while a revocation waits');
  return { access, leases: node.leases, hold: node.hold, bus, monotonicMs, trouble };
}

/** Waits until every Proxy has applied an entry of the log: who is out is out. Entry 0 stands for none. */
export async function whenInForce(context: RealmContext, index: number): Promise<void> {
  if (index === 0) return;
  context.bus.publish('entries');
  await untilInForce(waitingNode(context), { index }, FORCE_MS);
}
