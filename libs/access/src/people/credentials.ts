import type { Change } from '../realm/change.ts';
import { ended } from '../revocation/revocation.ts';
import type { UserRow } from './rows.ts';

/** What becomes of a user's sessions when their password or second factor changes. */
export interface CredentialChange {
  /** True when they go on, as an operator may say of a change that follows from no loss. */
  readonly keepSessions?: boolean | undefined;
}

/**
 * Ends what was opened by credentials that are no more, in the change's transaction: sessions, and proofs of an enrolment
 * that have opened none yet. Installations stay. It enters the log also when nobody is signed in: a backup has the credentials
 * of before, and a restore must know that they were replaced.
 */
export async function endSignIns(
  change: Change,
  user: Pick<UserRow, 'id'>,
  { keepSessions = false }: CredentialChange,
): Promise<void> {
  const { sessions, installations } = change.tables;
  await installations.update({ where: { userId: user.id } }, { resumeId: null });
  if (keepSessions) return;
  await change.enter({ kind: 'credentials', subject: user.id });
  const live = { where: { userId: user.id, endedAt: null } };
  await sessions.update(live, ended({ at: change.at, reason: change.by.reason }));
}
