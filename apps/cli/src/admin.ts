import { AdminClient, type AdminError, type Tried } from '@sallyport/security-client/admin';
import type { OperatorProfile } from './profile.ts';
import { warn } from './terminal.ts';

/** How long a failover of the database is waited for, ms. */
const PATIENCE_MS = 30_000;
const RETRY_MS = 500;
/** How long a node may take to take a connection where there are others, ms: one that stands still never does. */
const CONNECT_MS = 5_000;

/**
 * The admin API as the operator of a profile asks it. While the database fails over a call is made again, and where a node does not
 * answer another one is asked, unless it might then be done twice.
 */
export function adminOf({
  url,
  others = [],
  ca,
  token,
}: Pick<OperatorProfile, 'url' | 'others' | 'ca' | 'token'>): AdminClient {
  let told = false;
  const again = (error: AdminError, { method }: { readonly method: string }, { ms, unanswered }: Tried) => {
    if (error.code === 'ERR_ADMIN_UNREACHABLE') {
      // A balancer that answers in place of a node may have handed on what was asked.
      if (unanswered > others.length || (method === 'POST' && !error.unsent)) return undefined;
      warn`${error.message}; asking another node …\n`;
      return 0;
    }
    if (error.status !== 503 || method === 'POST' || ms >= PATIENCE_MS) return undefined;
    if (!told) warn`the database does not answer; trying again …\n`;
    told = true;
    return RETRY_MS;
  };
  const connect = others.length === 0 ? {} : { connectMs: CONNECT_MS };
  return new AdminClient({ urls: [url, ...others], ca, token, again, ...connect });
}
