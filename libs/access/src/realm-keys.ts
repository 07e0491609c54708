import type { AccessContext } from './context.ts';
import { kekOf, PURPOSES } from './keyring.ts';
import { bumpMapVersion } from './realm.ts';
import { resealRows } from './sealed-store.ts';
import type { Json, KeyPurpose, KeyRow } from './tables.ts';

/** A key of the realm with its secret unwrapped. */
export interface RealmKey {
  readonly id: string;
  readonly purpose: KeyPurpose;
  readonly publicPart: Json;
  readonly secret: Uint8Array;
  readonly createdAt: number;
  readonly expiresAt: number;
}

/** Stores a key, wrapped. Of two nodes that make one at the same time the first wins; read again after a conflict. */
export async function storeRealmKey(access: AccessContext, key: RealmKey): Promise<void> {
  const secret = access.keyring.wrap(key.secret, PURPOSES.key(access.store.realm, key.id));
  await access.store.transaction(async (transaction) => {
    if (key.purpose === 'handshake') await bumpMapVersion(transaction);
    await transaction.tables.keys.insert({ ...key, secret });
  });
}

/** All keys of a purpose that have not expired, newest first. */
export async function loadRealmKeys(access: AccessContext, purpose: KeyPurpose): Promise<RealmKey[]> {
  const { rows, now } = await access.store.transaction(async (transaction) => ({
    rows: await transaction.tables.keys.list({ where: { purpose } }),
    now: transaction.now(),
  }));
  return rows
    .filter(({ expiresAt }) => expiresAt > now)
    .sort((a, b) => b.createdAt - a.createdAt)
    .map((row) => unwrapKey(access, row));
}

function unwrapKey(access: AccessContext, row: KeyRow): RealmKey {
  return { ...row, secret: access.keyring.unwrap(row.secret, PURPOSES.key(access.store.realm, row.id)) };
}

/**
 * Wraps every stored secret anew that an older key-encryption key holds, and seals all rows by the current one; gives how
 * many secrets there were. Safe to run again.
 */
export async function rewrapRealm(access: AccessContext): Promise<number> {
  const { realm } = access.store;
  return access.store.transaction(async (transaction) => {
    const { tables } = transaction;
    let rewrapped = 0;
    const renew = (envelope: Uint8Array, purpose: string): Uint8Array => {
      if (kekOf(envelope) === access.keyring.current) return envelope;
      rewrapped += 1;
      return access.keyring.wrap(access.keyring.unwrap(envelope, purpose), purpose);
    };
    for (const { id, secret } of await tables.keys.list()) {
      await tables.keys.update({ where: { id } }, { secret: renew(secret, PURPOSES.key(realm, id)) });
    }
    for (const { id } of await tables.installations.list()) {
      const row = (await tables.installations.find({ id }, 'update'))!;
      const renewed = (wrapped: Uint8Array | null): Uint8Array | null =>
        wrapped && renew(wrapped, PURPOSES.sharedKey(realm, id));
      const change = {
        currentKey: renewed(row.currentKey),
        nextKey: renewed(row.nextKey),
        previousKey: renewed(row.previousKey),
      };
      await tables.installations.update({ where: { id } }, change);
    }
    for (const { id, secret, delegated } of await tables.sessions.list({ where: { endedAt: null } })) {
      const change = {
        secret: secret && renew(secret, PURPOSES.session(realm, id)),
        delegated: delegated && renew(delegated, PURPOSES.delegated(realm, id)),
      };
      await tables.sessions.update({ where: { id } }, change);
    }
    for (const { id, codeKey } of await tables.codes.list()) {
      const change = { codeKey: codeKey && renew(codeKey, PURPOSES.code(realm, id)) };
      await tables.codes.update({ where: { id } }, change);
    }
    for (const { name, secret } of await tables.directories.list()) {
      const renewed = secret && renew(secret, PURPOSES.directory(realm, name));
      await tables.directories.update({ where: { name } }, { secret: renewed });
    }
    for (const { userId, secret } of await tables.factors.list()) {
      await tables.factors.update({ where: { userId } }, { secret: renew(secret, PURPOSES.factor(realm, userId)) });
    }
    await resealRows(transaction);
    return rewrapped;
  });
}
