import type { Transaction } from './store.ts';
import type { RevocationRow, SessionRow } from './tables.ts';

/** What of a session the log is asked about. */
export type LoggedSession = Pick<SessionRow, 'id' | 'installationId' | 'userId' | 'createdAt'>;

/**
 * Ids of the sessions that the revocation log has ended, whatever their rows say: a row that somebody has brought back as it
 * once was fits its MAC, but nobody takes an entry out of the chained log unnoticed. An entry about a user counts for the
 * sessions from before it.
 */
export async function endedByLog(
  transaction: Transaction,
  sessions: readonly LoggedSession[],
): Promise<ReadonlySet<string>> {
  const ids = new Set(sessions.flatMap(({ id, installationId }) => [id, installationId]));
  const entries = await transaction.tables.revocations.list({ among: ['subject', [...ids]] });
  const over = new Set(entries.map(({ kind, subject }) => `${kind} ${subject}`));
  const userAt = await lastUserEnds(transaction, [...new Set(sessions.map(({ userId }) => userId))]);
  const ended = sessions.filter(
    ({ id, installationId, userId, createdAt }) =>
      over.has(`session ${id}`) ||
      over.has(`installation ${installationId}`) ||
      createdAt <= (userAt.get(userId) ?? Number.NEGATIVE_INFINITY),
  );
  return new Set(ended.map(({ id }) => id));
}

/** When the log last ended all sessions of users, by user id, in the store's time. */
export async function lastUserEnds(
  { tables }: Transaction,
  userIds: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const entries = await tables.revocations.list({ where: { kind: 'user' }, among: ['subject', userIds] });
  const last = new Map<string, number>();
  for (const { subject, at } of entries) last.set(subject, Math.max(at, last.get(subject) ?? at));
  return last;
}

/** True when the log says that an installation is revoked, whatever its row says. */
export async function isRevokedByLog({ tables }: Transaction, installationId: string): Promise<boolean> {
  const where: Partial<RevocationRow> = { kind: 'installation', subject: installationId };
  return (await tables.revocations.find(where)) !== undefined;
}
