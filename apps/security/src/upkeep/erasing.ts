import { type AccessContext, eraseSecrets } from '@sallyport/access';
import type { Log } from '@sallyport/telemetry';

/** Secrets of what is over are looked for this often, ms. */
const PERIOD_MS = 60_000;

/** Goes on erasing what is over; gives the function that stops. A database that does not answer is only waited for. */
export function startErasing({ access, log }: { readonly access: AccessContext; readonly log: Log }): () => void {
  const timer = setInterval(() => {
    eraseSecrets(access).catch((error: unknown) =>
      log.warn({ err: error }, 'secrets of what is over could not be erased yet'),
    );
  }, PERIOD_MS);
  return () => clearInterval(timer);
}
