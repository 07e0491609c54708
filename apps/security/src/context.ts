import { hostname } from 'node:os';
import { type AccessContext, AuditWatch, type EpochFence, type JournalWriter, PolicyCache } from '@sallyport/access';
import { createMetrics, type Log } from '@sallyport/telemetry';
import type { Config } from './config.ts';
import { Connectors } from './directories/connectors.ts';
import { DirectorySyncs } from './directories/syncs.ts';
import { CountWatch, countRealm } from './farm/count-watch.ts';
import { SecurityNode } from './farm/node.ts';
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
  readonly node: SecurityNode;
  readonly fence: EpochFence;
  readonly journal: JournalWriter | undefined;
}

/** For how long nodes give leases without a look at a journal that is a place of its own; a hold is longer by that. */
function authorityOf({ SALLYPORT_JOURNAL: place, SALLYPORT_JOURNAL_AUTHORITY_MS: ms }: Config): number {
  return place !== undefined && !place.startsWith('file:') ? ms : 0;
}

/** Names this node and says where it is reached. */
export function nodeOf(
  config: Config,
  self: { proxyUrl: string; adminUrl: string; version: string; journal: string },
): SecurityNode {
  const id = nodeIdOf(config, self.proxyUrl);
  return new SecurityNode({ id, ...self, startedAt: Date.now() }, monotonicMs, authorityOf(config));
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
  const { config, access, log, shared, node, fence, journal } = parts;
  const liveKeys = new LiveKeys(access, parts.keys, monotonicMs);
  const metrics = createMetrics();
  const listeners = new Listeners(log, metrics);
  const proxies = new ProxyLinks(monotonicMs);
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
    bus: shared.bus,
    presence: shared.presence,
    proxies,
    node,
    wallMs: Date.now,
    monotonicMs,
    degraded: () => [
      ...(shared.bus.connected ? [] : [`${node.id}: Redis does not answer; pushes are polled`]),
      ...listeners.words(Date.now()).map((words) => `${node.id}: ${words}`),
      ...proxies.words(),
    ],
  };
  const syncs = new DirectorySyncs(context);
  return context;
}
