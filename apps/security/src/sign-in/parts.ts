import type { AccessContext, Bus, Lockout, PolicyCache } from '@sallyport/access';
import type { Log } from '@sallyport/telemetry';
import type { Connectors } from '../directories/connectors.ts';
import type { ReplacedSessions } from '../revocation/session-end.ts';
import type { RefusalRecord } from './refusals.ts';

/** What signing in uses. */
export interface SignInParts {
  readonly access: AccessContext;
  /** Rights and apps, read when they change. */
  readonly policies: PolicyCache;
  readonly connectors: Connectors;
  /** Failed passwords, one-time codes and activation codes. */
  readonly lockout: Lockout;
  readonly refusals: RefusalRecord;
  /** Tells the other nodes of entries of the revocation log. */
  readonly bus: Bus;
  readonly replaced: ReplacedSessions;
  readonly log: Log;
  readonly wallMs: () => number;
}
