import type { AccessContext } from '@sallyport/access';
import type { Log } from '@sallyport/telemetry';
import { LEAF_TTL_MS } from '../keys/certificates.ts';
import { openRealmKeys } from '../keys/keys.ts';
import type { LiveKeys } from '../keys/live-keys.ts';
import type { NodeListeners } from '../listeners.ts';

/** Keys and own certificates are renewed this often, and when that failed sooner, ms. */
const PERIOD_MS = LEAF_TTL_MS / 4;
const AGAIN_MS = 600_000;

/** What is renewed, and how. */
export interface RenewalParts {
  readonly access: AccessContext;
  readonly liveKeys: LiveKeys;
  readonly listeners: Pick<NodeListeners, 'renew'>;
  /** Host names and addresses in the certificates of the listeners. */
  readonly names: readonly string[];
  readonly log: Log;
}

/**
 * Reads the realm's keys again, which makes a new handshake key when the newest gets old, and renews the certificates of
 * the listeners. Both well before the old ones end. Gives the function that stops.
 */
export function startRenewal({ access, liveKeys, listeners, names, log }: RenewalParts): () => void {
  let timer: NodeJS.Timeout;
  const renew = async (): Promise<void> => {
    let next = PERIOD_MS;
    try {
      const keys = await openRealmKeys(access);
      liveKeys.use(keys);
      listeners.renew(await keys.ca.issueServer(names, Date.now()), [keys.ca.certificate]);
    } catch (error) {
      next = AGAIN_MS;
      log.error({ err: error }, 'keys and server certificate could not be renewed');
    }
    timer = setTimeout(() => void renew(), next);
  };
  timer = setTimeout(() => void renew(), PERIOD_MS);
  return () => clearTimeout(timer);
}
