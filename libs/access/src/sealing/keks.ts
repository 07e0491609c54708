import { equalBytes } from '@sallyport/channel';
import { AccessError, type StoreError } from '../store/errors.ts';
import type { RealmStore, Transaction } from '../store/store.ts';
import type { Keyring } from './keyring.ts';

/**
 * Holds a node's key-encryption keys against what the realm knows of them, and notes new ones. Gives the ids that the
 * realm knows and this node lacks: what they wrap does not open here.
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

async function noteKeks({ tables }: Transaction, keyring: Keyring): Promise<readonly number[]> {
  const known = new Map((await tables.keks.list()).map(({ id, checkValue }) => [id, checkValue]));
  for (const id of keyring.ids) {
    const own = keyring.checkValue(id)!;
    const noted = known.get(id);
    if (!noted) await tables.keks.insert({ id, checkValue: own });
    else if (!equalBytes(noted, own))
      throw new AccessError('ERR_ACCESS_KEK', `key-encryption key ${id} is not the one that the realm knows`);
  }
  return [...known.keys()].filter((id) => !keyring.ids.includes(id));
}

/** The number for one more key-encryption key: above all that this node has and that the realm has ever noted. */
export async function nextKekId(store: RealmStore, keyring: Keyring): Promise<number> {
  const known = await store.transaction(({ tables }) => tables.keks.list());
  return 1 + Math.max(...keyring.ids, ...known.map(({ id }) => id));
}
