import type { InForce, WaitingNode } from '@sallyport/access';
import type { RevocationView } from '@sallyport/security-api';
import type { RealmContext } from '../realm-context.ts';

/** How long an answer waits for a revocation to be in force, ms. */
export const WAIT_LIMIT_MS = 60_000;

/** This node as it waits for a revocation to be in force. */
export function waitingNode({ access, node, bus, monotonicMs, log }: RealmContext): WaitingNode {
  const trouble = (error: unknown): void =>
    log.warn({ err: error }, 'the leases could not be read while a revocation waits');
  return { access, leases: node.leases, bus, monotonicMs, trouble };
}

/** The answer to a revocation: in force, or for whom it waits and until when. */
export function revocationView(
  { wallMs }: RealmContext,
  entry: Pick<RevocationView, 'index' | 'kind' | 'subject' | 'reason'>,
  { waitedMs, waitingFor }: InForce,
): RevocationView {
  const at = wallMs();
  const waiting = waitingFor.map((proxy) => ({ ...proxy, untilAt: at + proxy.remainingMs }));
  return { ...entry, at, inForce: waiting.length === 0, waitedMs, waitingFor: waiting };
}
