import type { InForce } from '@sallyport/access';
import type { RevocationView } from '@sallyport/security-api';
import type { RealmContext } from '../realm-context.ts';

/** How long an answer waits for a revocation to be in force, ms. */
export const WAIT_LIMIT_MS = 60_000;

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
