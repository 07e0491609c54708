import type { UserRow } from '../people/rows.ts';
import type { Change } from '../realm/change.ts';
import { endUser } from '../revocation/revocation.ts';

/**
 * Their directory says that users are out: those who were in end for good, with a log entry, sessions, installations and
 * codes of each. Who was out already by an operator is so by the directory, too.
 */
export async function endUsers(change: Change, users: readonly UserRow[]): Promise<void> {
  for (const { id, name, enabled, outByDirectory } of users) {
    if (outByDirectory) continue;
    if (enabled) await change.enterOut({ subject: id });
    await endUser(change, { subject: id, at: change.at, reason: change.by.reason, by: 'directory' });
    change.audit('user.disable', name);
  }
}
