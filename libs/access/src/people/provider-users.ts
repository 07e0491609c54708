import type { Change } from '../realm/change.ts';
import { randomId } from '../realm/ids.ts';
import { AccessError } from '../store/errors.ts';
import { missing } from '../store/missing.ts';
import type { UserRow } from './rows.ts';

/**
 * Makes sure that a user can be added to a directory: one that does not push its users, so that the first sign-in with a
 * code binds the account.
 * @throws AccessError ERR_ACCESS_NOT_FOUND, ERR_ACCESS_INVALID, and ERR_ACCESS_CONFLICT when the user is there
 */
export async function checkProvider(
  { tables }: Change,
  of: { readonly name: string; readonly before: UserRow | undefined; readonly directory: string },
): Promise<void> {
  const { name, before, directory } = of;
  const row = await tables.directories.find({ name: directory });
  if (!row) throw missing('directory', directory);
  if (row.kind !== 'oidc')
    throw new AccessError('ERR_ACCESS_INVALID', `${directory} brings its users itself (${row.kind}): add them there`);
  if (before) throw new AccessError('ERR_ACCESS_CONFLICT', `there is a user ${name} already`);
}

/** Says what the account of a user is called at their provider: login, verified mail address or id. */
export async function expectAccount(change: Change, user: UserRow, account: string): Promise<void> {
  const { bindings } = change.tables;
  await bindings.remove({ where: { userId: user.id, state: 'expected' } });
  const nothing = { subject: '', email: '', createdAt: change.at };
  const row = { ...nothing, id: randomId(change.access.crypto), directory: user.directory, userId: user.id };
  await bindings.insert({ ...row, login: account.trim().toLowerCase(), state: 'expected' });
}
