import type { IdentityRow } from '../directory/rows.ts';
import type { UserRow } from '../people/rows.ts';
import { appendAudit } from '../realm/audit.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { NEVER } from '../store/shape.ts';
import type { Transaction } from '../store/store.ts';

/** The account by which a user of a directory signs in. */
export async function findIdentity(
  { tables }: Transaction,
  directory: string,
  userId: string,
): Promise<IdentityRow | undefined> {
  return tables.identities.find({ directory, userId });
}

/** An account at a provider that is nobody's yet. */
export interface FreeAccount {
  readonly directory: string;
  readonly subject: string;
  readonly login: string;
}

/**
 * Binds an account to the user whose activation code was just used at it, if nobody has it and the user has none in this
 * directory. The account's claims name the user, or an officer said so (`by`): the code alone is no proof.
 */
export async function bindIdentity(
  access: AccessContext,
  transaction: Transaction,
  binding: FreeAccount & { readonly user: UserRow; readonly by?: Actor },
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
