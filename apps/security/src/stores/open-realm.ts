import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AccessContext,
  adoptApps,
  adoptSiteLists,
  checkKeks,
  EpochFence,
  ensureRealm,
  type ForgedRow,
  fencedStore,
  hasRealm,
  KekNode,
  type LifeGuard,
  type LiveKeyring,
  type RealmStore,
  raiseLongestLease,
  readRealm,
  sealedStore,
  sealRealm,
} from '@sallyport/access';
import { serverCrypto } from '@sallyport/channel/sodium';
import type { SqlStore } from '@sallyport/store-sql';
import type { Log } from '@sallyport/telemetry';
import type { Config } from '../config.ts';
import { beginKeks, keyFileOf, noteSealed, openKeks } from '../keys/kek.ts';
import { createPasswordHasher } from '../keys/passwords.ts';
import { guardLife, lifeFileOf } from './life.ts';

/** The rules of the realm on its store, and what holds this process to one life of it. */
export interface OpenRealm {
  readonly access: AccessContext;
  readonly fence: EpochFence;
  readonly life: LifeGuard;
  readonly epoch: string;
  /** This node's part in turns of the key-encryption key. */
  readonly kekNode: KekNode;
}

/** What a realm is opened from. */
export interface RealmSource {
  readonly config: Config;
  readonly server: SqlStore;
  readonly log: Log;
  /** Name of this node. */
  readonly node: string;
}

/**
 * Opens the rules of the realm on its store, and makes the realm when there is none.
 * @throws Error when the database is older than what this node has seen of it, or another one
 */
export async function openRealm(source: RealmSource): Promise<OpenRealm> {
  const { config, server, log } = source;
  const bare = server.in(config.SALLYPORT_REALM);
  const fence = new EpochFence();
  const report = (row: ForgedRow): void =>
    log.error({ row }, 'a row of the database was not written by a Security server with the keys of this realm');
  const { keyring, kekNode } = await openKeyring(source, { store: bare, fence, report });
  const store = fencedStore(sealedStore(bare, keyring, report), fence);
  const access: AccessContext = { store, crypto: serverCrypto(), keyring, passwords: createPasswordHasher() };
  await ensureRealm(access, config.SALLYPORT_LEASE_MS);
  await raiseLongestLease(store, config.SALLYPORT_LEASE_MS);
  const placed = await adoptSiteLists(access);
  if (placed > 0) log.info({ resources: placed }, 'resources name their sites now, no longer sites their resources');
  const { epoch } = await readRealm(store);
  fence.pin(epoch);
  const life = guardLife({ file: lifeFileOf(config), server, access, fence, log });
  const refusal = await life.check();
  if (refusal !== undefined) throw new Error(refusal);
  const adopted = await adoptApps(access);
  if (adopted.length > 0) log.warn({ apps: adopted }, 'apps of devices from before are registered, for everybody');
  return { access, fence, life, epoch, kekNode };
}

/** What the key file is held against. */
interface KeyringParts {
  readonly store: RealmStore;
  readonly fence: EpochFence;
  readonly report: (row: ForgedRow) => void;
}

/** Opens the key file, held against what the realm knows of its keys. */
async function openKeyring(
  { config, server, log, node }: RealmSource,
  { store, fence, report }: KeyringParts,
): Promise<{ readonly keyring: LiveKeyring; readonly kekNode: KekNode }> {
  const crypto = serverCrypto();
  const kekFile = keyFileOf(config);
  beginKeks(kekFile, config.SALLYPORT_KEK_FILE);
  const { keyring, shelf, sealed } = openKeks(crypto, kekFile, await hasRealm(store));
  const missing = await checkKeks(store, keyring);
  if (missing.length > 0) log.warn({ missing }, 'the realm knows key-encryption keys that kek.json here lacks');
  const pause = (): Promise<unknown> => sleep(PAUSE_MS);
  const othersEnded = (): Promise<void> => server.othersEnded();
  const kekNode = new KekNode({ node, store, crypto, shelf, keyring, fence, report, pause, othersEnded });
  await enter(kekNode, log);
  if (!sealed) {
    const rows = await sealRealm(store, keyring);
    if (rows > 0) log.info({ rows }, 'rows of an earlier version are sealed');
    noteSealed(kekFile);
  }
  return { keyring, kekNode };
}

/** Between two batches of rows that are wrapped anew, ms. */
const PAUSE_MS = 5;
/** A node that comes in the middle of a turn waits so long for the key, looking this often, ms. */
const KEY_WAIT_MS = 60_000;
const KEY_LOOK_MS = 250;

/** @throws Error for a node that lacks the key of the realm, and is not handed it */
async function enter(kekNode: KekNode, log: Log): Promise<void> {
  const until = performance.now() + KEY_WAIT_MS;
  for (;;) {
    await kekNode.enter();
    const { missing } = kekNode;
    if (missing === undefined) return;
    if (!missing.comes || performance.now() > until) throw new Error(missing.words);
    log.info({ missing: missing.words }, 'waiting for a key-encryption key');
    await sleep(KEY_LOOK_MS);
  }
}
