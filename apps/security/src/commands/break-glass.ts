import { breakGlassToken, checkKeks, loadRealmKeys, sealedStore } from '@sallyport/access';
import { serverCrypto } from '@sallyport/channel/sodium';
import { parseReason, REASON_WORDS } from '@sallyport/security-api';
import { readSettings, text } from '@sallyport/settings';
import { SqlStore } from '@sallyport/store-sql';
import { SETTINGS } from '../config.ts';
import { keyFileOf, openKeks } from '../keys/kek.ts';
import { createPasswordHasher } from '../keys/passwords.ts';
import { reachDatabase } from '../stores/database.ts';
import { endWithSallyport } from './end-command.ts';

const NAME = /^[a-z0-9]([a-z0-9._@-]{0,62}[a-z0-9])?$/;

/**
 * `sallyport operator break-glass`: a one-time operator token from whoever has the key file and the database of a Security
 * host, on record with a reason. It works beside a Security server that runs, and without one.
 */
async function breakGlass(): Promise<void> {
  const config = readSettings({
    ...SETTINGS,
    SALLYPORT_NAME: text('name of the operator'),
    SALLYPORT_REASON: text('why, for the audit log'),
  });
  const { SALLYPORT_NAME: name } = config;
  const reason = parseReason(config.SALLYPORT_REASON);
  if (!NAME.test(name)) throw new Error('the name has other characters than a-z, 0-9 and ._@-');
  if (reason === undefined) throw new Error(`a reason is needed: ${REASON_WORDS}`);
  const database = await reachDatabase(config);
  const store = new SqlStore(database.address, { poolSize: 2, replicated: database.external });
  try {
    const crypto = serverCrypto();
    const { keyring, sealed } = openKeks(crypto, keyFileOf(config), true);
    if (!sealed) throw new Error('the realm was not opened by this version yet: start Security first');
    const bare = store.in(config.SALLYPORT_REALM);
    await checkKeks(bare, keyring);
    const realm = sealedStore(bare, keyring, ({ table }) => process.stderr.write(`a row of ${table} is forged\n`));
    const access = { store: realm, crypto, keyring, passwords: createPasswordHasher() };
    // Opens every key of the realm: who has another key file is told so here, and gets nothing.
    if ((await loadRealmKeys(access, 'ca')).length === 0)
      throw new Error('the realm has no keys yet: start Security first');
    const { token } = await breakGlassToken(access, name, { actor: 'break-glass', reason });
    process.stdout.write(`one-time token for operator ${name}, good for an hour:\n${token}\n`);
  } finally {
    await store.close();
    await database.close();
  }
}

endWithSallyport();
await breakGlass().catch((error: unknown) => {
  process.stderr.write(`the glass holds: ${(error as Error).message}\n`);
  process.exitCode = 1;
});
