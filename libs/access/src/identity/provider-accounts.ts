import type { DirectoryRow, IdentityRow } from '../directory/rows.ts';
import type { UserRow } from '../people/rows.ts';
import type { Transaction } from '../store/store.ts';

/** Whose account signed in at a provider: a user's, nobody's yet, or one that may not come in. */
export type SignedIn =
  | { readonly kind: 'user'; readonly user: UserRow; readonly account: IdentityRow }
  | { readonly kind: 'nobody'; readonly account: IdentityRow | undefined; readonly why: string }
  | { readonly kind: 'refused'; readonly why: string };

/** The directory whose accounts sign in at a provider: its own, or the one that pushes them. */
export function accountsOf(provider: DirectoryRow): string {
  return (provider.kind === 'oidc' && provider.settings.accounts) || provider.name;
}

/** By which columns the account of a subject at a provider is known, for whoever asks: sign-in, operators, logout. */
export function accountAt(
  provider: DirectoryRow,
  subject: string,
): Pick<IdentityRow, 'directory'> & Partial<Pick<IdentityRow, 'subject' | 'externalId'>> {
  const directory = accountsOf(provider);
  return directory === provider.name ? { directory, subject } : { directory, externalId: subject };
}

/**
 * Who a sign-in at a provider is, for devices and operators alike: the provider is in use, the account is known by its
 * subject alone and good, and the directory that has it is the one that says whether its user may be in.
 */
export async function whoSignedIn(
  { tables, now }: Transaction,
  provider: DirectoryRow | undefined,
  subject: string,
): Promise<SignedIn> {
  if (provider?.kind !== 'oidc' || provider.stage !== 'active')
    return { kind: 'refused', why: 'there is no such provider' };
  const where = accountAt(provider, subject);
  const { directory } = where;
  const [account, second] = await tables.identities.list({ where, limit: 2 });
  if (second) return { kind: 'refused', why: `${directory} has several accounts with this id` };
  const user =
    account === undefined || account.userId === '' ? undefined : await tables.users.find({ id: account.userId });
  if (!account || !user) return { kind: 'nobody', account, why: 'no user has this account' };
  const why = outOf(account, user, { directory, now: now() });
  return why === undefined ? { kind: 'user', user, account } : { kind: 'refused', why };
}

function outOf(account: IdentityRow, user: UserRow, at: { directory: string; now: number }): string | undefined {
  if (user.directory !== at.directory) return 'the account at the provider is not the one of the user';
  if (!account.active || account.expiresAt <= at.now) return 'the account is not active';
  return user.enabled ? undefined : 'the user is disabled';
}

/** Groups of an account, by subject, as its directory has them now. */
export async function groupsOfAccount(
  { tables }: Transaction,
  { directory, subject }: Pick<IdentityRow, 'directory' | 'subject'>,
): Promise<readonly string[]> {
  const joined = await tables.accountGroups.list({ where: { directory, subject } });
  return joined.map(({ groupSubject }) => groupSubject);
}

/** Whether groups make an operator by a provider. Without such groups nobody is one. */
export function makesOperator(provider: DirectoryRow, groups: readonly string[]): boolean {
  const { operatorGroups = [] } = provider.kind === 'oidc' ? provider.settings : {};
  return groups.some((group) => operatorGroups.includes(group));
}

/** Why a user is no operator by a provider now; undefined while they are one. Looked at with each use of a credential. */
export async function whyNoOperator(
  transaction: Transaction,
  providerName: string,
  userId: string,
): Promise<string | undefined> {
  const provider = await transaction.tables.directories.find({ name: providerName });
  if (provider?.kind !== 'oidc' || provider.stage !== 'active') return 'the provider is not in use';
  const directory = accountsOf(provider);
  const account = await transaction.tables.identities.find({ directory, userId });
  const user = account && (await transaction.tables.users.find({ id: userId }));
  if (!account || !user) return 'no user has this account';
  const out = outOf(account, user, { directory, now: transaction.now() });
  if (out !== undefined) return out;
  return makesOperator(provider, await groupsOfAccount(transaction, account)) ? undefined : 'in no group of operators';
}
