import { appendAudit } from '../audit.ts';
import type { AccessContext, Actor } from '../context.ts';
import { randomId } from '../ids.ts';
import { getRealm } from '../realm.ts';
import { appendRevocation, endUser } from '../revocation.ts';
import type { Transaction } from '../store.ts';
import type { UserRow } from '../tables.ts';

/**
 * Ends users for good: log entry, sessions, installations and codes of each, in the caller's transaction.
 * Gives the index of the last entry, 0 for nobody.
 */
export async function endUsers(
  access: AccessContext,
  transaction: Transaction,
  users: readonly UserRow[],
  by: Actor,
): Promise<number> {
  const at = transaction.now();
  let index = 0;
  for (const { id, name } of users) {
    const revocation = { requestId: randomId(access.crypto), kind: 'user', subject: id } as const;
    index = (await appendRevocation(transaction, revocation, { ...by, at })).index;
    await endUser(transaction, { subject: id, at, reason: by.reason, by: 'directory' });
    const event = { action: 'user.disable', subject: name, outcome: 'done', at } as const;
    await appendAudit(transaction, access.crypto, { actor: by.actor, reason: by.reason, ...event });
  }
  return index;
}

/** More users than this, and all channels read their rights again rather than one entry each. */
const MANY_USERS = 100;

/**
 * Lets the open channels of users read their rights again. Users without a live session have none, and cannot get one
 * meanwhile: the realm's row is locked. Gives the index of the last entry, 0 for none.
 */
export async function tellRights(
  access: AccessContext,
  transaction: Transaction,
  userIds: readonly string[],
  by: Actor,
): Promise<number> {
  if (userIds.length === 0) return 0;
  await getRealm(transaction, 'update');
  const where = { endedAt: null };
  const live = await transaction.tables.sessions.list({ where, among: ['userId', [...new Set(userIds)]] });
  const concerned = [...new Set(live.map(({ userId }) => userId))];
  const subjects = concerned.length > MANY_USERS ? ['*'] : concerned;
  let index = 0;
  for (const subject of subjects) {
    const revocation = { requestId: randomId(access.crypto), kind: 'rights', subject } as const;
    const entry = { actor: by.actor, reason: by.reason, at: transaction.now() };
    index = (await appendRevocation(transaction, revocation, entry)).index;
  }
  return index;
}
