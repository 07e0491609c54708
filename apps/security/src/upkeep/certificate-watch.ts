import type { AccessContext } from '@sallyport/access';
import type { Log, Metrics } from '@sallyport/telemetry';
import { certificatesOfRealm, certificateWords } from '../farm/certificates.ts';

/** The registry is looked at this often, ms. */
const LOOK_MS = 60_000;

/** What the watch looks at, and whom it tells. */
export interface CertificateWatchParts {
  readonly access: AccessContext;
  readonly metrics: Pick<Metrics, 'gauge'>;
  readonly log: Log;
}

/** Looks whether a certificate of the realm ends: a metric, and a line in the log when there is something new. Gives the function that stops it. */
export function startCertificateWatch({ access, metrics, log }: CertificateWatchParts): () => void {
  let firstEnd = Number.NaN;
  let said = '';
  const words = 'when the first certificate of the registry ends, our own CA and those of backends among them, epoch s';
  metrics.gauge('sallyport_certificates_first_end_seconds', words, () => firstEnd / 1_000);
  const look = async (): Promise<void> => {
    const now = Date.now();
    const all = await certificatesOfRealm(access, now);
    firstEnd = Math.min(...all.map(({ endsAt }) => endsAt));
    const troubles = all.filter(({ warnsAt, trouble }) => warnsAt <= now || trouble !== null).map(({ id }) => id);
    if (troubles.join() !== said && troubles.length > 0)
      log.warn({ certificates: troubles }, certificateWords(all, now).join('; ') || 'certificates of listeners end');
    said = troubles.join();
  };
  // A database that does not answer says nothing of certificates; others tell of it.
  const watch = (): void => void look().catch(() => undefined);
  watch();
  const timer = setInterval(watch, LOOK_MS);
  return () => clearInterval(timer);
}
