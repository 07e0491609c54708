import { eraseSecrets } from '@sallyport/access';
import type { RealmContext } from '../realm-context.ts';

/** Secrets of what is over are looked for this often, ms. */
const PERIOD_MS = 60_000;

/** Goes on erasing what is over; gives the function that stops. A database that does not answer is only waited for. */
export function startErasing(context: RealmContext): () => void {
  const timer = setInterval(() => {
    eraseSecrets(context.access).catch((error: unknown) =>
      context.log.warn({ err: error }, 'secrets of what is over could not be erased yet'),
    );
  }, PERIOD_MS);
  return () => clearInterval(timer);
}
