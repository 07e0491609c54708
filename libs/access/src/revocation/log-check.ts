import type { CryptoProvider } from '@sallyport/channel';
import { follows, LOG_START, type LogPosition } from '@sallyport/lease';
import { verifyAudit } from '../realm/audit.ts';
import type { AccessContext } from '../realm/context.ts';
import { getRealm } from '../realm/realm.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';

/**
 * Looks through a database of which somebody says that it is whole: both logs must fit from their first entry to their head.
 * What is missing from other tables, nothing shows.
 * @throws AccessError ERR_ACCESS_INVALID for a revocation log that does not fit, ERR_ACCESS_AUDIT_BROKEN for an audit log
 */
export async function checkLogs({ store, crypto }: AccessContext): Promise<void> {
  await store.transaction((transaction) => verifyRevocations(transaction, crypto));
  await store.transaction((transaction) => verifyAudit(transaction, crypto));
}

async function verifyRevocations(transaction: Transaction, crypto: CryptoProvider): Promise<void> {
  const { head, headHash } = await getRealm(transaction);
  let at: LogPosition = LOG_START;
  for (;;) {
    const rows = await transaction.tables.revocations.list({ above: ['index', at.index], limit: 1_000 });
    for (const row of rows) {
      if (!follows(crypto, at, row)) throw broken(at.index + 1);
      at = row;
    }
    if (rows.length === 0) break;
  }
  if (at.index !== head || at.hash !== headHash) throw broken(head);
}

function broken(index: number): AccessError {
  return new AccessError(
    'ERR_ACCESS_INVALID',
    `the revocation log does not fit at entry ${index}: the database is damaged`,
  );
}
