import type { CryptoProvider } from '@sallyport/channel';
import { createKeyring, type Keyring, type RealmStore } from '../../src/index.ts';
import { KEPT_TABLES, renewBatch } from '../../src/keys/renewing.ts';

/** A key of 32 equal bytes. */
export function kekOfBytes(fill: number): Uint8Array {
  return new Uint8Array(32).fill(fill);
}

/** A keyring of such keys by their ids, which are what they are filled with. */
export function keyringOf(crypto: CryptoProvider, ids: readonly number[], current: number): Keyring {
  return createKeyring(crypto, new Map(ids.map((id) => [id, kekOfBytes(id)])), current);
}

/** Wraps and seals all rows of a bare store anew; gives how many were changed, and what was left alone. */
export async function renewAll(store: RealmStore, keyring: Keyring): Promise<{ renewed: number; left: string[] }> {
  const left: string[] = [];
  let renewed = 0;
  for (const name of KEPT_TABLES) {
    let after: number | string | undefined;
    do {
      const report = ({ table, key }: { table: string; key: string }) => void left.push(`${table} ${key}`);
      const batch = await renewBatch({ store, keyring, report }, name, after);
      [renewed, after] = [renewed + batch.renewed, batch.next];
    } while (after !== undefined);
  }
  return { renewed, left };
}
