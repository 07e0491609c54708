import { hostname } from 'node:os';
import {
  type AccessContext,
  AuditWatch,
  countRealm,
  type EpochFence,
  type JournalWriter,
  PolicyCache,
} from '@sallyport/access';
import { createMetrics, type Log } from '@sallyport/telemetry';
import type { Config } from './config.ts';
import { Connectors } from './directories/connectors.ts';
import { DirectorySyncs } from './directories/syncs.ts';
import { CountWatch } from './farm/count-watch.ts';
import { InForce } from './farm/in-force.ts';
import { type NodeSelf, SecurityNode } from './farm/node.ts';
import { ProxyLinks } from './farm/proxy-links.ts';
import type { RealmKeys } from './keys/keys.ts';
import { LiveKeys } from './keys/live-keys.ts';
import { Listeners } from './listeners.ts';
import type { RealmContext } from './realm-context.ts';
import { Refusals } from './sign-in/refusals.ts';
import type { SharedState } from './stores/shared-state.ts';

/** What the context of a realm is built from. */
export interface ContextParts {
  readonly config: Config;
  readonly access: AccessContext;
  readonly keys: RealmKeys;
  readonly log: Log;
  readonly shared: SharedState;
  readonly self: NodeSelf;
  readonly fence: EpochFence;
  readonly journal: JournalWriter | undefined;
}

/** For how long nodes give leases without a look at a journal that is a place of its own; a hold is longer by that. */
function authorityOf({ SALLYPORT_JOURNAL: place, SALLYPORT_JOURNAL_AUTHORITY_MS: ms }: Config): number {
  return place !== undefined && !place.startsWith('file:') ? ms : 0;
}

/** The name of this node. */
export function nodeIdOf({ SALLYPORT_NODE: name }: Config, proxyUrl: string): string {
  return name ?? `${hostname()}:${new URL(proxyUrl).port}`;
}

/** Where SCIM clients and OpenID providers reach this node. */
function directoryUrlOf(config: Config): string | undefined {
  const { SALLYPORT_DIRECTORY_LISTEN: listen, SALLYPORT_DIRECTORY_URL: url } = config;
  return url ?? (listen && `https://${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listen.port}`);
}

function monotonicMs(): number {
  return performance.now();
}

/** Builds the context. */
export function contextOf(parts: ContextParts): RealmContext {
  const { config, access, log, shared, self, fence, journal } = parts;
  const { bus } = shared;
  const wallMs = Date.now;
  const liveKeys = new LiveKeys(access, parts.keys, monotonicMs);
  const metrics = createMetrics();
  const listeners = new Listeners(log, metrics);
  const proxies = new ProxyLinks(monotonicMs);
  const degraded = (): string[] => [
    ...(bus.connected ? [] : [`${self.id}: Redis does not answer; pushes are polled`]),
    ...listeners.words(wallMs()).map((words) => `${self.id}: ${words}`),
    ...proxies.words(),
  ];
  const authorityMs = authorityOf(config);
  const clocks = { wallMs, monotonicMs };
  const node = new SecurityNode({ self, access, fence, journal, authorityMs, liveKeys, bus, log, degraded, ...clocks });
  const context: RealmContext = {
    access,
    fence,
    journal,
    get keys() {
      return liveKeys.current;
    },
    liveKeys,
    policies: new PolicyCache(),
    log,
    metrics,
    leaseMs: config.SALLYPORT_LEASE_MS,
    addressThrottle: shared.addressThrottle,
    lockout: shared.lockout,
    refusals: new Refusals({ access, log }),
    listeners,
    auditWatch: new AuditWatch(access),
    countWatch: new CountWatch(() => countRealm(access)),
    connectors: new Connectors(access),
    get syncs() {
      return syncs;
    },
    directoryUrl: directoryUrlOf(config),
    bus,
    presence: shared.presence,
    proxies,
    node,
    inForce: new InForce({ access, node, bus, journal, monotonicMs, log }),
    wallMs,
    monotonicMs,
  };
  const syncs = new DirectorySyncs(context);
  return context;
}
