import type { Patience, Waited } from '@sallyport/access';
import type { ProxyRevocationView, RevocationView } from '@sallyport/security-api';
import { whenInForce } from '../farm/in-force.ts';
import type { RealmContext } from '../realm-context.ts';

/** How long an answer waits for a revocation to be in force: then it says for whom. */
export const WAIT_LIMIT: Patience = { maxMs: 60_000 };

/** The answer to a revocation: in force, or for whom it waits and until when. */
export function revocationView(
  { wallMs }: RealmContext,
  entry: Pick<RevocationView, 'index' | 'kind' | 'subject' | 'reason'>,
  { waitedMs, waitingFor }: Waited,
): RevocationView {
  const at = wallMs();
  return { ...entry, at, ...forceView(at, { waitedMs, waitingFor }) };
}

/** For whom something waits, and until when at the latest. */
export function forceView(at: number, { waitedMs, waitingFor }: Waited): Omit<ProxyRevocationView, 'done'> {
  const waiting = waitingFor.map((proxy) => ({ ...proxy, untilAt: at + proxy.remainingMs }));
  return { inForce: waiting.length === 0, waitedMs, waitingFor: waiting };
}

/**
 * Waits until a change of rights is in force, with everything before it: who has asked may rely on it from then on.
 * @throws NotInForceError when that takes longer than an answer waits
 */
export function whenChanged(context: RealmContext): Promise<void> {
  return whenInForce(context, 0, WAIT_LIMIT);
}
