import { type AccessContext, sealedStore } from '@sallyport/access';
import { serverCrypto } from '@sallyport/channel/sodium';
import type { SqlStore } from '@sallyport/store-sql';
import type { Config } from '../config.ts';
import { beginKeks, keyFileOf, openKeks, openKeksOfRestored } from '../keys/kek.ts';
import { createPasswordHasher } from '../keys/passwords.ts';

/** The rules of the realm on its store, without any fence: for commands that work on a closed database, or on a restored one. */
export async function openBareAccess(
  config: Config,
  server: SqlStore,
  { restored }: { readonly restored: boolean },
): Promise<AccessContext> {
  const crypto = serverCrypto();
  const [file, bare] = [keyFileOf(config), server.in(config.SALLYPORT_REALM)];
  beginKeks(file, config.SALLYPORT_KEK_FILE);
  const { keyring } = restored ? await openKeksOfRestored(crypto, file, bare) : openKeks(crypto, file, true);
  const store = sealedStore(bare, keyring, ({ table, key }) =>
    process.stderr.write(`not written by a Security server: ${table} ${key}\n`),
  );
  return { store, crypto, keyring, passwords: createPasswordHasher() };
}
