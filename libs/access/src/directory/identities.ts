import { appendAudit } from '../audit.ts';
import { type Change, change } from '../change.ts';
import type { AccessContext, Actor } from '../context.ts';
import { AccessError } from '../errors.ts';
import { randomId } from '../ids.ts';
import type { Transaction } from '../store.ts';
import { type IdentityRow, NEVER, type UserRow } from '../tables.ts';
import { newUser } from '../users.ts';
import { getDirectory } from './directories.ts';

/** The account by which a user of a directory signs in. */
export async function findIdentity(
  { tables }: Transaction,
  directory: string,
  userId: string,
): Promise<IdentityRow | undefined> {
  return tables.identities.find({ directory, userId });
}

/**
 * Binds an account to the user whose activation code was just used at it, if nobody has it and the user has none in this
 * directory. The account's claims name the user, or an officer said so (`by`): the code alone is no proof.
 */
export async function bindIdentity(
  access: AccessContext,
  transaction: Transaction,
  binding: {
    readonly directory: string;
    readonly subject: string;
    readonly login: string;
    readonly user: UserRow;
    readonly by?: Actor;
  },
): Promise<boolean> {
  const { directory, subject, login, user } = binding;
  const { identities } = transaction.tables;
  const taken =
    (await identities.find({ directory, subject })) ?? (await identities.find({ directory, userId: user.id }));
  if (taken) return taken.subject === subject && taken.userId === user.id;
  const now = transaction.now();
  const none = { externalId: '', dn: '', onlyName: null, version: '', attributes: {} };
  const times = { expiresAt: NEVER, createdAt: now, changedAt: now };
  await identities.insert({
    directory,
    subject,
    userId: user.id,
    login: login.toLowerCase(),
    active: true,
    ...none,
    ...times,
  });
  const { by = { actor: user.name, reason: 'first sign-in with an activation code' } } = binding;
  await appendAudit(transaction, access.crypto, {
    ...by,
    action: 'identity.bind',
    subject: `${user.name} at ${directory}`,
    outcome: 'done',
    at: now,
  });
  return true;
}

/** Creates a user of a directory that does not push its users: the first sign-in with a code binds the account. */
export async function addDirectoryUser(
  access: AccessContext,
  name: string,
  {
    directory,
    displayName,
    account,
  }: { readonly directory: string; readonly displayName: string; readonly account?: string | undefined },
  by: Actor,
): Promise<UserRow> {
  return change(access, by, async (begun) => {
    const { users } = begun.tables;
    const { kind } = await getDirectory(begun, directory);
    if (kind !== 'oidc')
      throw new AccessError('ERR_ACCESS_INVALID', `${directory} brings its users itself (${kind}): add them there`);
    if (await users.find({ name })) throw new AccessError('ERR_ACCESS_CONFLICT', `there is a user ${name} already`);
    const user = newUser(access, { name, displayName, directory, createdAt: begun.at });
    await users.insert(user);
    if (account !== undefined) await expectAccount(begun, user, account);
    begun.audit('user.create', name);
    return user;
  });
}

/** Says what the account of a user is called at their provider: login, verified mail address or id. */
async function expectAccount(change: Change, user: UserRow, account: string): Promise<void> {
  const { bindings } = change.tables;
  await bindings.remove({ where: { userId: user.id, state: 'expected' } });
  const nothing = { subject: '', email: '', createdAt: change.at };
  const row = { ...nothing, id: randomId(change.access.crypto), directory: user.directory, userId: user.id };
  await bindings.insert({ ...row, login: account.trim().toLowerCase(), state: 'expected' });
}
