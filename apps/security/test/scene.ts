import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type AccessContext,
  AuditWatch,
  countRealm,
  createKeyring,
  EpochFence,
  ensureRealm,
  firstOperatorToken,
  type JournalWriter,
  KekNode,
  type KekSet,
  LiveKeyring,
  memoryBus,
  memoryLockout,
  memoryPresence,
  memoryThrottle,
  PolicyCache,
  redeemOperatorToken,
} from '@sallyport/access';
import { MemoryStore } from '@sallyport/access/store';
import { softwareAttestation } from '@sallyport/attestation';
import { nodeCrypto } from '@sallyport/channel/node';
import { createLog, createMetrics, type Log } from '@sallyport/telemetry';
import { registerSample } from '../../../libs/access/test/sample-app.ts';
import type { AdminServiceParts, DirectoryServiceParts, ProxyServiceParts } from '../src/app.ts';
import { Connectors } from '../src/directories/connectors.ts';
import { DirectorySyncs } from '../src/directories/syncs.ts';
import { CountWatch } from '../src/farm/count-watch.ts';
import { KeyTurns } from '../src/farm/key-turns.ts';
import { SecurityNode } from '../src/farm/node.ts';
import { ProxyLinks } from '../src/farm/proxy-links.ts';
import { openRealmKeys, type RealmKeys } from '../src/keys/keys.ts';
import { LiveKeys } from '../src/keys/live-keys.ts';
import { createPasswordHasher } from '../src/keys/passwords.ts';
import { NodeListeners } from '../src/listeners.ts';
import { InForce } from '../src/revocation/in-force.ts';
import { ReplacedSessions } from '../src/revocation/session-end.ts';
import { Handshakes } from '../src/sign-in/handshakes.ts';
import type { SignInParts } from '../src/sign-in/parts.ts';
import { RefusalRecord } from '../src/sign-in/refusals.ts';
import { createSignIn } from '../src/sign-in/sign-in.ts';
import { siteMapSigner } from '../src/sign-in/site-map.ts';
import { addressThrottle } from '../src/stores/address-throttle.ts';
import { PackageStore } from '../src/updates/package-store.ts';

const URL = 'https://localhost';
const NODE = { id: 'n1', proxyUrl: URL, adminUrl: URL, version: '0', startedAt: 0, journal: '' };

/** What the admin service says of a database that is in memory. */
export const DATABASE: AdminServiceParts['database'] = {
  description: 'memory',
  version: async () => '0',
  external: false,
  servers: async () => [],
  askedStandbys: async () => 0,
  archive: async () => undefined,
};

/** What two nodes of one farm have in common. */
export interface SharedScene {
  readonly access: AccessContext;
  readonly clock: { now: number };
}

/** What a scene has of its own. */
export interface OwnScene {
  /** Of a further node of another's farm: `n2`. */
  readonly id?: string;
  /** Another way in which time passes than by the clock alone. */
  readonly monotonicMs?: (clock: { now: number }) => number;
  readonly journal?: JournalWriter;
  /** When its process was started. */
  readonly startedAt?: number;
}

const FIRST_KEKS: KekSet = { current: 1, keys: new Map([[1, new Uint8Array(32).fill(1)]]), retired: new Map() };

/** Turns of the key-encryption key, with a file in memory. */
function keyTurnsOf(access: AccessContext, node: SecurityNode, log: Log): KeyTurns {
  const { store, crypto } = access;
  const keyring = access.keyring instanceof LiveKeyring ? access.keyring : new LiveKeyring(access.keyring);
  let set = FIRST_KEKS;
  const shelf = {
    read: () => structuredClone(set),
    change: (edit: (before: KekSet) => KekSet) => {
      set = edit(structuredClone(set));
      return set;
    },
  };
  const parts = { store, crypto, keyring, shelf, fence: new EpochFence(), report: () => undefined, settleMs: 0 };
  return new KeyTurns({ access, kekNode: new KekNode({ node: node.id, ...parts }), node, log });
}

/** All parts of a Security server, as its `main.ts` builds them. */
export type SceneParts = Omit<ProxyServiceParts, 'handshakes' | 'siteMap'> &
  DirectoryServiceParts &
  SignInParts &
  Omit<AdminServiceParts, 'version' | 'database' | 'shared'> & {
    readonly node: SecurityNode;
    readonly journal: JournalWriter | undefined;
    readonly listeners: NodeListeners;
    /** The keys of this moment. */
    readonly keys: RealmKeys;
  };

/** A Security server's inside on a store in memory, with a clock that the test moves; a further node of another's farm. */
export async function scene(
  shared?: SharedScene,
  own: OwnScene = {},
): Promise<{
  context: SceneParts;
  clock: { now: number };
  token: string;
  lines: string[];
}> {
  const { id = 'n1', journal } = own;
  const clock = shared?.clock ?? { now: Date.now() };
  const lines: string[] = [];
  const crypto = nodeCrypto();
  const now = (): number => clock.now;
  const monotonicMs = (): number => own.monotonicMs?.(clock) ?? clock.now;
  const access: AccessContext = shared?.access ?? {
    store: new MemoryStore(now).in('main'),
    crypto,
    keyring: new LiveKeyring(createKeyring(crypto, FIRST_KEKS.keys, 1)),
    passwords: createPasswordHasher(),
  };
  if (await ensureRealm(access)) await registerSample(access.store, 'a');
  const oneTime = await firstOperatorToken(access, id);
  const redeemed = oneTime && (await redeemOperatorToken(access, { token: oneTime, name: 'olga' }));
  const token = redeemed ? redeemed.token : '';
  const log = createLog('security', 'info', { write: (line) => void lines.push(line) });
  const liveKeys = new LiveKeys(access, await openRealmKeys(access), {
    monotonicMs: now,
    times: {
      leadMs: { ca: 0, root: 0, assertion: 3_600_000 },
      overlapMs: { ca: 172_860_000, root: 86_400_000, assertion: 3_600_000 },
    },
  });
  const metrics = createMetrics();
  const bus = memoryBus();
  const node = new SecurityNode({
    ...{
      self: { ...NODE, id, startedAt: own.startedAt ?? 0 },
      access,
      fence: new EpochFence(),
      journal,
      liveKeys,
      knownKeys: () => liveKeys.current.lastingIds,
      bus,
      log,
    },
    ...{ authorityMs: 0, degraded: () => [], wallMs: now, monotonicMs },
  });
  const inForce = new InForce({ access, node, bus, journal, monotonicMs, log });
  const connectors = new Connectors(access);
  const keyTurns = keyTurnsOf(access, node, log);
  const context: SceneParts = {
    access,
    journal,
    copies: { views: [] },
    backup: { places: [], everyMs: 300_000, keep: 'all 1d', doubts: [], external: false },
    get keys() {
      return liveKeys.current;
    },
    liveKeys,
    keyTurns,
    life: { hear: async () => undefined, isSettled: async () => true, witnessFor: () => undefined },
    policies: new PolicyCache(),
    packages: new PackageStore(join(tmpdir(), 'sallyport-no-packages')),
    log,
    metrics,
    leaseMs: 15_000,
    certificateLifeMs: 172_800_000,
    renewOwn: async () => undefined,
    addressThrottle: addressThrottle({
      host: memoryThrottle({ burst: 5, perMinute: 60, now }),
      site: memoryThrottle({ burst: 50, perMinute: 600, now }),
    }),
    lockout: memoryLockout({ now }),
    refusals: new RefusalRecord({ access, log }),
    serviceAccounts: undefined,
    listeners: new NodeListeners(log, metrics),
    auditWatch: new AuditWatch(access),
    countWatch: new CountWatch(() => countRealm(access)),
    connectors,
    syncs: new DirectorySyncs({ access, connectors, node, bus, log, inForce, wallMs: now, monotonicMs }),
    directoryUrl: undefined,
    bus,
    replaced: new ReplacedSessions({ access, bus, log }),
    presence: memoryPresence(),
    attestation: softwareAttestation(),
    proxies: new ProxyLinks(now),
    node,
    inForce,
    wallMs: now,
    monotonicMs,
  };
  return { context, clock, token, lines };
}

/** The handshakes of a node of a scene. */
export function handshakesOf(context: SceneParts, maxInFlight?: number): Handshakes {
  const parts = { ...context, signIn: createSignIn(context), siteMap: siteMapSigner(context) };
  return new Handshakes(parts, maxInFlight);
}
