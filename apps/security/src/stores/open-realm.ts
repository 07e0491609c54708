import {
  type AccessContext,
  checkKeks,
  EpochFence,
  ensureRealm,
  fencedStore,
  hasRealm,
  type Keyring,
  nextKekId,
  type RealmStore,
  raiseLongestLease,
  readRealm,
  rewrapRealm,
  sealedStore,
  sealRealm,
} from '@sallyport/access';
import { serverCrypto } from '@sallyport/channel/sodium';
import type { SqlStore } from '@sallyport/store-sql';
import type { Log } from '@sallyport/telemetry';
import type { Config } from '../config.ts';
import { addKek, keyFileOf, noteSealed, openKeks } from '../keys/kek.ts';
import { createPasswordHasher } from '../keys/passwords.ts';
import { LifeGuard, lifeFileOf } from './life.ts';

/** The rules of the realm on its store, and what holds this process to one life of it. */
export interface OpenRealm {
  readonly access: AccessContext;
  readonly fence: EpochFence;
  readonly life: LifeGuard;
  readonly epoch: string;
}

/** What a realm is opened from. */
export interface RealmSource {
  readonly config: Config;
  readonly server: SqlStore;
  readonly log: Log;
  /** There is to be a new key-encryption key, and all secrets are wrapped anew with it. */
  readonly rotateKek: boolean;
}

/**
 * Opens the rules of the realm on its store, and makes the realm when there is none.
 * @throws Error when the database is older than what this node has seen of it, or another one
 */
export async function openRealm(source: RealmSource): Promise<OpenRealm> {
  const { config, server, log, rotateKek } = source;
  const bare = server.in(config.SALLYPORT_REALM);
  const keyring = await openKeyring(source, bare);
  const fence = new EpochFence();
  const sealed = sealedStore(bare, keyring, (row) =>
    log.error({ row }, 'a row of the database was not written by a Security server with the keys of this realm'),
  );
  const store = fencedStore(sealed, fence);
  const access: AccessContext = { store, crypto: serverCrypto(), keyring, passwords: createPasswordHasher() };
  await ensureRealm(access, config.SALLYPORT_LEASE_MS);
  await raiseLongestLease(store, config.SALLYPORT_LEASE_MS);
  const { epoch } = await readRealm(store);
  fence.pin(epoch);
  const life = new LifeGuard({ file: lifeFileOf(config), server, store, fence, log });
  const refusal = await life.check();
  if (refusal !== undefined) throw new Error(refusal);
  if (rotateKek)
    log.info({ rewrapped: await rewrapRealm(access), kek: keyring.current }, 'all secrets are wrapped anew');
  return { access, fence, life, epoch };
}

/** Opens the key file, held against what the realm knows of its keys. */
async function openKeyring({ config, log, rotateKek }: RealmSource, store: RealmStore): Promise<Keyring> {
  const crypto = serverCrypto();
  const kekFile = keyFileOf(config);
  const { keyring, sealed } = openKeks(crypto, kekFile, await hasRealm(store));
  const missing = await checkKeks(store, keyring);
  if (missing.length > 0) log.warn({ missing }, 'the realm knows key-encryption keys that kek.json here lacks');
  if (!sealed) {
    const rows = await sealRealm(store, keyring);
    if (rows > 0) log.info({ rows }, 'rows of an earlier version are sealed');
    noteSealed(kekFile);
  }
  if (!rotateKek) return keyring;
  const id = await nextKekId(store, keyring);
  return addKek(crypto, kekFile, { id, note: (rotated) => checkKeks(store, rotated) });
}
