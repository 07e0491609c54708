import type { AccessContext } from './context.ts';
import { getRealm } from './realm.ts';

/** How many there are of what grows, and when that was counted, epoch ms. */
export interface RealmCounts {
  readonly liveSessions: number;
  readonly installations: number;
  readonly users: number;
  readonly countedAt: number;
}

/** Counts users, installations that are not revoked and live sessions of a realm, reading them all. */
export function countRealm({ store }: AccessContext): Promise<RealmCounts> {
  return store.transaction(async (transaction) => {
    const { notBefore } = await getRealm(transaction);
    const { sessions, installations, users } = transaction.tables;
    const countedAt = transaction.now();
    const unended = { where: { endedAt: null }, above: ['expiresAt', countedAt] } as const;
    // Whatever revokes everything before a moment, or everything, leaves its sessions as they are and sets this time.
    const tooOld = await sessions.count({ ...unended, below: ['createdAt', notBefore] });
    return {
      liveSessions: (await sessions.count(unended)) - tooOld,
      installations: (await installations.count()) - (await installations.count({ where: { status: 'revoked' } })),
      users: await users.count(),
      countedAt,
    };
  });
}

/** Whether any installation or session ever had a version of an app (`id@version`). */
export function isAppKnown({ store }: AccessContext, app: string): Promise<boolean> {
  return store.transaction(async ({ tables }) => {
    const having = { where: { app } } as const;
    return (await tables.installations.count(having)) + (await tables.sessions.count(having)) > 0;
  });
}
