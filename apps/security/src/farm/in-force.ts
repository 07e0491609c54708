import { type InForce, type Patience, untilHeadInForce, untilInForce, type WaitingNode } from '@sallyport/access';
import type { RealmContext } from '../realm-context.ts';

/**
 * How long a change that a directory caused waits to be in force: leases end by themselves, the longest that may be set after
 * five minutes. A database that does not answer is waited for less long.
 */
const PATIENCE: Patience = { maxMs: 310_000, unreadableMs: 20_000 };

/** What was changed is committed, but may not be in force: no directory hears "done" meanwhile. */
export class NotInForceError extends Error {
  readonly statusCode = 503;
  readonly code = 'ERR_SECURITY_NOT_IN_FORCE';

  constructor({ waitingFor }: InForce) {
    super(`committed, but not in force everywhere yet: waits for ${waitingFor.map(({ proxy }) => proxy).join(', ')}`);
    this.name = 'NotInForceError';
  }
}

/** This node as it waits for a revocation to be in force. */
export function waitingNode({ access, node, bus, journal, monotonicMs, log }: RealmContext): WaitingNode {
  const trouble = (error: unknown): void =>
    log.warn({ err: error }, 'leases or journal do not answer while a revocation waits');
  return { access, leases: node.leases, hold: node.hold, bus, journal, monotonicMs, trouble };
}

/**
 * Waits until every Proxy has applied an entry of the log: who is out is out. Entry 0 stands for a change that found its work
 * done: then for everything so far, because the try that did it may not have waited.
 * @throws NotInForceError when that cannot be said; the caller repeats its request then
 */
export async function whenInForce(context: RealmContext, index: number, patience = PATIENCE): Promise<void> {
  const node = waitingNode(context);
  const force = index === 0 ? untilHeadInForce(node, patience) : untilInForce(node, { index }, patience);
  const answer = await force;
  if (answer.waitingFor.length > 0) throw new NotInForceError(answer);
}
