import type { AccessContext } from '../realm/context.ts';
import { getRealm } from '../realm/realm.ts';
import type { SessionRow } from '../session/rows.ts';
import type { Selection } from '../store/store.ts';

/** A clock that stepped ahead and comes back ends nothing within this, ms. */
const CLOCK_GRACE_MS = 3_600_000;
/** Sessions that one transaction ends at most: none may hold many rows for long. */
const BATCH = 500;

/**
 * Ends sessions that are over by themselves, and removes codes that have expired: their secrets would open recorded
 * traffic to whoever gets an old backup, its key-encryption key and a quantum computer. Gives how many rows it cleaned;
 * runs at most one batch of each kind, and is safe to run on several nodes.
 */
export async function eraseSecrets(access: AccessContext): Promise<number> {
  return access.store.transaction(async (transaction) => {
    const { sessions, codes } = transaction.tables;
    const before = transaction.now() - CLOCK_GRACE_MS;
    const { notBefore, generation } = await getRealm(transaction);
    const end = async (over: Selection<SessionRow>, endReason: string): Promise<number> => {
      const rows = await sessions.list({ ...over, where: { endedAt: null }, limit: BATCH });
      const ids = rows.map(({ id }) => id);
      const change = { endedAt: transaction.now(), endReason, secret: null, delegated: null };
      return sessions.update({ where: { endedAt: null }, among: ['id', ids] }, change);
    };
    const expired = await end({ below: ['expiresAt', before] }, 'expired');
    const revoked = await end({ below: ['createdAt', notBefore] }, 'revoked before');
    const everything = await end({ below: ['generation', generation] }, 'everything was revoked');
    return expired + revoked + everything + (await codes.remove({ below: ['expiresAt', before] }));
  });
}
