import type { Actor } from '@sallyport/access';
import { parseReason, REASON_WORDS } from '@sallyport/security-api';

/** Who gives an order by a command of this host, and why, as it goes into the audit log. @throws Error when either is missing */
export function orderedBy(said: { readonly actor: string; readonly reason: string }): Actor {
  const reason = parseReason(said.reason);
  if (said.actor !== '' && reason !== undefined) return { actor: said.actor, reason };
  throw new Error(`who does this, and why? --actor and --reason go into the audit log, a reason is ${REASON_WORDS}`);
}
