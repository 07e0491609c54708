import type { CryptoProvider } from '@sallyport/channel';
import { entryHash, type LogPosition } from '@sallyport/lease';
import { getRealm } from '../realm/realm.ts';
import type { Transaction } from '../store/store.ts';

/** Entries that are read in one go. */
const CHECKED_AT_ONCE = 1_000;

/**
 * Checks the whole revocation log against the head of the realm; gives what does not fit, in words, and undefined when all does.
 * For a realm that nobody writes to.
 */
export async function faultOfLog(
  transaction: Transaction,
  crypto: Pick<CryptoProvider, 'sha256'>,
): Promise<string | undefined> {
  const { head, headHash } = await getRealm(transaction);
  let last: LogPosition = { index: 0, hash: '' };
  for (;;) {
    const page = { above: ['index', last.index], limit: CHECKED_AT_ONCE } as const;
    const rows = await transaction.tables.revocations.list(page);
    for (const row of rows) {
      if (row.index !== last.index + 1 || row.hash !== entryHash(crypto, last.hash, row))
        return `entry ${last.index + 1} of the revocation log is missing or was changed`;
      last = { index: row.index, hash: row.hash };
    }
    if (rows.length < CHECKED_AT_ONCE) break;
  }
  if (last.index === head && last.hash === headHash) return undefined;
  return `the revocation log ends at entry ${last.index}, its head is ${head} or has another hash`;
}
