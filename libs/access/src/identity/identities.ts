import type { IdentityRow } from '../directory/rows.ts';
import type { UserRow } from '../people/rows.ts';
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

/** What came of binding an account: it is bound now, it was so before, or account or user are bound otherwise. */
export type BindOutcome = 'bound' | 'known' | 'taken';

/**
 * Binds an account to a user, if nobody has it and the user has none in this directory. That the account is the user's is the
 * caller's to know, and to audit: the account's claims name the user, or an officer said so. An activation code alone is no proof.
 */
export async function bindIdentity(
  transaction: Transaction,
  { directory, subject, login, user }: FreeAccount & { readonly user: UserRow },
): Promise<BindOutcome> {
  const { identities } = transaction.tables;
  const there =
    (await identities.find({ directory, subject })) ?? (await identities.find({ directory, userId: user.id }));
  if (there) return there.subject === subject && there.userId === user.id ? 'known' : 'taken';
  const now = transaction.now();
  const none = { externalId: '', dn: '', onlyName: null, version: '', attributes: {} };
  const times = { expiresAt: NEVER, createdAt: now, changedAt: now };
  const names = { directory, subject, userId: user.id, login: login.toLowerCase() };
  await identities.insert({ ...names, active: true, ...none, ...times });
  return 'bound';
}
