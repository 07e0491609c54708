import type {
  AccessContext,
  AuditWatch,
  Bus,
  EpochFence,
  JournalWriter,
  Lockout,
  PolicyCache,
  Presence,
} from '@sallyport/access';
import type { Log, Metrics } from '@sallyport/telemetry';
import type { Connectors } from './directories/connectors.ts';
import type { DirectorySyncs } from './directories/syncs.ts';
import type { CountWatch } from './farm/count-watch.ts';
import type { InForce } from './farm/in-force.ts';
import type { SecurityNode } from './farm/node.ts';
import type { ProxyLinks } from './farm/proxy-links.ts';
import type { RealmKeys } from './keys/keys.ts';
import type { LiveKeys } from './keys/live-keys.ts';
import type { NodeListeners } from './listeners.ts';
import type { RefusalRecord } from './sign-in/refusals.ts';
import type { AddressThrottle } from './stores/address-throttle.ts';

/**
 * Everything that a Security server is made of, in one bag, which is on its way out: a part names what it uses in an interface of
 * its own (`ControlParts`, `NodeParts`), of which this is one for now. Keys of the moment are `liveKeys.current`.
 */
export interface RealmContext {
  readonly access: AccessContext;
  /** Holds this process to one life of its database. */
  readonly fence: EpochFence;
  /** Keeps revocations outside of the database; undefined where there is no journal. */
  readonly journal: JournalWriter | undefined;
  /** The keys of this moment: they are renewed while the server runs, so read them anew for each request. */
  readonly keys: RealmKeys;
  /** The same while the farm changes them. */
  readonly liveKeys: LiveKeys;
  readonly policies: PolicyCache;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly leaseMs: number;
  /** Handshakes by client address. */
  readonly addressThrottle: AddressThrottle;
  /** Failed logins and codes by user and address. */
  readonly lockout: Lockout;
  /** RefusalRecord of strangers, on their way to the audit log. */
  readonly refusals: RefusalRecord;
  /** Checks the audit log as it grows. */
  readonly auditWatch: AuditWatch;
  readonly countWatch: CountWatch;
  /** The listeners of this node and their certificates. */
  readonly listeners: NodeListeners;
  /** What speaks to the directories. */
  readonly connectors: Connectors;
  readonly syncs: DirectorySyncs;
  /** Where SCIM clients and OpenID providers reach this node; undefined when they do not. */
  readonly directoryUrl: string | undefined;
  /** Tells all nodes of new entries of the log and of recorded beats. */
  readonly bus: Bus;
  /** Where sessions were last seen. */
  readonly presence: Presence;
  /** Proxies that are connected to this node. */
  readonly proxies: ProxyLinks;
  /** This node among the others. */
  readonly node: SecurityNode;
  /** Where changes wait until they are in force. */
  readonly inForce: InForce;
  /** This node's wall clock, epoch ms: for people and certificates. Decisions go by the store's clock. */
  readonly wallMs: () => number;
  /** This node's monotonic clock, ms: deadlines and leases go by it. */
  readonly monotonicMs: () => number;
}
