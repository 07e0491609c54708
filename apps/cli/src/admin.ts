import { AdminClient, type AdminError } from '@sallyport/security-client/admin';
import type { OperatorProfile } from './profile.ts';
import { warn } from './terminal.ts';

/** How long a failover of the database is waited for, ms. */
const PATIENCE_MS = 30_000;
const RETRY_MS = 500;

/**
 * The admin API as the operator of a profile asks it. While the database fails over a call is made again, unless it might then be
 * done twice.
 */
export function adminOf({ url, ca, token }: Pick<OperatorProfile, 'url' | 'ca' | 'token'>): AdminClient {
  let told = false;
  const again = ({ status }: AdminError, { method }: { readonly method: string }, sinceMs: number) => {
    if (status !== 503 || method === 'POST' || sinceMs >= PATIENCE_MS) return undefined;
    if (!told) warn`the database does not answer; trying again …\n`;
    told = true;
    return RETRY_MS;
  };
  return new AdminClient({ urls: [url], ca, token, again });
}
