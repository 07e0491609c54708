import type { Waited } from '@sallyport/access';
import type { ProxyRevocationView, RevocationView } from '@sallyport/security-api';

/** The answer to a revocation at a moment (epoch ms): in force, or for whom it waits and until when. */
export function revocationView(
  at: number,
  entry: Pick<RevocationView, 'index' | 'kind' | 'subject' | 'reason'>,
  waited: Waited,
): RevocationView {
  return { ...entry, at, ...forceView(at, waited) };
}

/** For whom something waits, and until when at the latest. */
export function forceView(at: number, { waitedMs, waitingFor }: Waited): Omit<ProxyRevocationView, 'done'> {
  const waiting = waitingFor.map((proxy) => ({ ...proxy, untilAt: at + proxy.remainingMs }));
  return { inForce: waiting.length === 0, waitedMs, waitingFor: waiting };
}
