import { equalBytes } from '@sallyport/channel';
import { AccessError, type StoreError } from '../store/errors.ts';
import { anyTable, type RealmStore, type Transaction } from '../store/store.ts';
import type { AnyRow } from '../store/tables.ts';
import { type Keyring, kekOf } from './keyring.ts';
import type { KekRow } from './rows.ts';

/**
 * Holds a node's key-encryption keys against what the realm knows of them, and notes new ones. Gives the ids that the
 * realm uses and this node lacks: what they wrap does not open here.
 * @throws AccessError ERR_ACCESS_KEK when a key has the id of another one: the file is of another realm, or two nodes made
 * a key of one number.
 */
export async function checkKeks(store: RealmStore, keyring: Keyring): Promise<readonly number[]> {
  try {
    return await store.transaction((transaction) => noteKeks(transaction, keyring));
  } catch (error) {
    // Two nodes that start together note the same key: the second one reads what the first wrote.
    if ((error as StoreError).code !== 'ERR_STORE_CONFLICT') throw error;
    return store.transaction((transaction) => noteKeks(transaction, keyring));
  }
}

async function noteKeks({ tables, now }: Transaction, keyring: Keyring): Promise<readonly number[]> {
  const rows = await tables.keks.list();
  const known = new Map(rows.map(({ id, checkValue }) => [id, checkValue]));
  for (const id of keyring.ids) {
    const own = keyring.checkValue(id)!;
    const noted = known.get(id);
    if (!noted) await tables.keks.insert(newKek(id, own, now()));
    else if (!equalBytes(noted, own))
      throw new AccessError('ERR_ACCESS_KEK', `key-encryption key ${id} is not the one that the realm knows`);
  }
  return rows.filter(({ id, retiredAt }) => retiredAt === null && !keyring.ids.includes(id)).map(({ id }) => id);
}

/** The row of a key that the realm did not know. */
export function newKek(id: number, checkValue: Uint8Array, createdAt: number): KekRow {
  return { id, checkValue, createdAt, retiredAt: null, forgotten: null };
}

/** The number for one more key-encryption key: above all that this node has and that the realm has ever noted. */
export async function nextKekId({ tables }: Transaction, keyring: Keyring): Promise<number> {
  const known = await tables.keks.list();
  return 1 + Math.max(...keyring.ids, ...keyring.retired, ...known.map(({ id }) => id));
}

/** Number of the key by which the row of a realm is sealed, in a bare store; undefined for one that is not there, or not sealed. */
export async function kekOfRealm(store: RealmStore): Promise<number | undefined> {
  const row: AnyRow | undefined = await store.transaction(({ tables }) =>
    anyTable(tables, 'realms').find({ id: 'realm' }),
  );
  const rowMac = row?.['rowMac'];
  return rowMac instanceof Uint8Array && rowMac.length > 4 ? kekOf(rowMac) : undefined;
}
