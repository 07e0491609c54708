import { bindIdentity, findIdentity } from '../identity/identities.ts';
import { accountsOf, whoSignedIn } from '../identity/provider-accounts.ts';
import type { UserRow } from '../people/rows.ts';
import { namesOf } from '../people/users.ts';
import { appendAudit } from '../realm/audit.ts';
import { type Change, change as changeRealm } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { randomId } from '../realm/ids.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';
import type { BindingRow } from './rows.ts';

/** What a provider calls an account. */
export interface AccountClaims {
  readonly directory: string;
  readonly subject: string;
  readonly login: string;
  /** Only an address that the provider has verified. */
  readonly email: string | undefined;
}

/**
 * Whether the account that signed in at a provider is a user's: `own` it is, `free` it may become, when a code of the user was
 * shown; it `waits` for an officer to say so, or is `refused`, with the reason for the record.
 */
export type AccountVerdict =
  | { readonly kind: 'own' | 'free' | 'waits' }
  | { readonly kind: 'refused'; readonly why: string };

/** Requests that wait for one user; more push out the oldest. */
const MAX_WAITING = 5;
const NOT_THE_USERS: AccountVerdict = {
  kind: 'refused',
  why: 'the account at the provider is not the one of the user',
};

/**
 * Looks whose the account of a sign-in is, by its id alone. One that is nobody's may become the user's when its claims name
 * them, which with an activation code of the user decides; the code alone is no proof: whoever saw it first would take the user's
 * place with an account of their own. Without a code, as when an enrolled device signs in, it always waits for an officer.
 */
export function settleAccount(
  access: AccessContext,
  user: UserRow,
  claims: AccountClaims,
  { withCode }: { readonly withCode: boolean },
): Promise<AccountVerdict> {
  return access.store.transaction(async (transaction) => {
    const provider = await transaction.tables.directories.find({ name: claims.directory });
    const who = await whoSignedIn(transaction, provider, claims.subject);
    if (who.kind === 'refused') return who;
    if (who.kind === 'user') return who.user.id === user.id ? { kind: 'own' } : NOT_THE_USERS;
    const bindsHere = provider !== undefined && accountsOf(provider) === provider.name;
    const isFree = bindsHere && !who.account && user.directory === provider.name;
    if (!isFree || (await findIdentity(transaction, provider.name, user.id))) return NOT_THE_USERS;
    return claimAccount(access, transaction, { user, claims, withCode });
  });
}

async function claimAccount(
  access: AccessContext,
  transaction: Transaction,
  { user, claims, withCode }: { user: UserRow; claims: AccountClaims; withCode: boolean },
): Promise<AccountVerdict> {
  const { bindings } = transaction.tables;
  const { directory, subject } = claims;
  const known = await bindings.list({ where: { userId: user.id, directory } });
  const [expected] = known.filter(({ state }) => state === 'expected');
  if (withCode && namesUser(claims, expected?.login ?? user.name)) return { kind: 'free' };
  const [before] = known.filter((row) => row.subject === subject);
  if (before?.state === 'refused')
    return { kind: 'refused', why: 'an officer said that the account at the provider is not the one of the user' };
  if (!before) await noteWaiting(access, transaction, user, claims, known);
  return { kind: 'waits' };
}

function namesUser({ subject, login, email }: AccountClaims, name: string): boolean {
  return [subject, login, email].some((claim) => claim !== undefined && claim.toLowerCase() === name);
}

async function noteWaiting(
  access: AccessContext,
  transaction: Transaction,
  user: UserRow,
  { directory, subject, login, email = '' }: AccountClaims,
  known: readonly BindingRow[],
): Promise<void> {
  const { bindings } = transaction.tables;
  const waiting = known.filter(({ state }) => state === 'waits').sort((a, b) => a.createdAt - b.createdAt);
  for (const { id } of waiting.slice(0, Math.max(0, waiting.length + 1 - MAX_WAITING)))
    await bindings.remove({ where: { id } });
  const at = transaction.now();
  const row = { id: randomId(access.crypto), directory, userId: user.id, subject, login, email };
  await bindings.insert({ ...row, state: 'waits', createdAt: at });
  const event = { actor: user.name, reason: 'no claim of the account names the user', action: 'identity.ask' };
  const named = { subject: `${user.name} at ${directory}`, outcome: 'refused', at } as const;
  await appendAudit(transaction, access.crypto, { ...event, ...named });
}

/** An account that waits for an officer, with its user's name. */
export interface NamedBinding {
  readonly binding: BindingRow;
  readonly user: string;
}

/** A page of the accounts that wait for an officer; `after` is the last id of the page before. */
export async function listBindings(
  access: AccessContext,
  { after = '', limit }: { readonly after?: string | undefined; readonly limit: number },
): Promise<NamedBinding[]> {
  return access.store.transaction(async (transaction) => {
    const page = { where: { state: 'waits' }, above: ['id', after], limit } as const;
    const rows = await transaction.tables.bindings.list(page);
    const names = await namesOf(
      transaction,
      rows.map(({ userId }) => userId),
    );
    return rows.map((binding) => ({ binding, user: names.get(binding.userId) ?? binding.userId }));
  });
}

/**
 * An officer says that an account is its user's: it is bound, and the user's next sign-in goes on.
 * @throws AccessError ERR_ACCESS_NOT_FOUND, ERR_ACCESS_CONFLICT when account or user have another one by now
 */
export async function confirmBinding(access: AccessContext, id: string, by: Actor): Promise<void> {
  await changeRealm(access, by, async (change) => {
    const { binding, user } = await waitingBinding(change, id);
    const { directory, subject, login } = binding;
    const bound = await bindIdentity(change, { directory, subject, login, user });
    if (bound === 'taken')
      throw new AccessError('ERR_ACCESS_CONFLICT', 'the account or the user is bound otherwise already');
    await change.tables.bindings.remove({ where: { userId: user.id } });
    change.audit('identity.bind', `${user.name} at ${directory}`);
  });
}

/** An officer says that an account is not its user's: it is not asked for again. @throws AccessError ERR_ACCESS_NOT_FOUND */
export async function refuseBinding(access: AccessContext, id: string, by: Actor): Promise<void> {
  await changeRealm(access, by, async (change) => {
    const { binding, user } = await waitingBinding(change, id);
    await change.tables.bindings.update({ where: { id } }, { state: 'refused' });
    change.audit('identity.refuse', `${user.name} at ${binding.directory}`);
  });
}

async function waitingBinding({ tables }: Change, id: string): Promise<{ binding: BindingRow; user: UserRow }> {
  const binding = await tables.bindings.find({ id });
  const user = binding && (await tables.users.find({ id: binding.userId }));
  if (!binding || !user || binding.state !== 'waits')
    throw new AccessError('ERR_ACCESS_NOT_FOUND', 'no account waits under this id');
  return { binding, user };
}
