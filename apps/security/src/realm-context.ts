import type { AccessContext, PolicyCache, Throttle } from '@sallyport/access';
import type { Log, Metrics } from '@sallyport/telemetry';
import type { RealmKeys } from './keys.ts';
import type { PushBus } from './push-bus.ts';

/** What every part of the Security server shares. Built once in main.ts. */
export interface RealmContext {
  readonly access: AccessContext;
  /** The keys of this moment: they are renewed while the server runs, so read them anew for each request. */
  readonly keys: RealmKeys;
  readonly policies: PolicyCache;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly leaseMs: number;
  /** Handshakes by client address. */
  readonly addressThrottle: Throttle;
  /** Failed logins and codes by user and address. */
  readonly failureThrottle: Throttle;
  /** Tells this node's control connections of new entries of the log. */
  readonly pushes: PushBus;
}
