import type { UserRow } from '../people/rows.ts';
import { appendAudit } from '../realm/audit.ts';
import { type Change, change as changeRealm } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { randomId } from '../realm/ids.ts';
import { AccessError } from '../store/errors.ts';
import { namesOf } from '../store/pages.ts';
import type { Transaction } from '../store/store.ts';
import { bindIdentity } from './identities.ts';
import type { BindingRow } from './rows.ts';

/** What a provider calls an account. */
export interface AccountClaims {
  readonly directory: string;
  readonly subject: string;
  readonly login: string;
  /** Only an address that the provider has verified. */
  readonly email: string | undefined;
}

/** Whether an account may be bound to a user at once: `named` by its claims, `waits` for an officer, or was `refused`. */
export type BindingState = 'named' | 'waits' | 'refused';

/** Requests that wait for one user; more push out the oldest. */
const MAX_WAITING = 5;

/**
 * Looks whether the claims of an account that is nobody's name a user who has none, and notes for an officer when they
 * do not. With an activation code of the user the claims decide; the code alone is no proof: whoever saw it first would take the
 * user's place with an account of their own. Without one, as when an enrolled device signs in, it always waits.
 */
export async function claimBinding(
  access: AccessContext,
  user: UserRow,
  claims: AccountClaims,
  { withCode = true }: { readonly withCode?: boolean } = {},
): Promise<BindingState> {
  return access.store.transaction(async (transaction) => {
    const { bindings } = transaction.tables;
    const { directory, subject } = claims;
    const known = await bindings.list({ where: { userId: user.id, directory } });
    const [expected] = known.filter(({ state }) => state === 'expected');
    if (withCode && namesUser(claims, expected?.login ?? user.name)) return 'named';
    const [before] = known.filter((row) => row.subject === subject);
    if (before) return before.state === 'refused' ? 'refused' : 'waits';
    await noteWaiting(access, transaction, user, claims, known);
    return 'waits';
  });
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
    const bound = await bindIdentity(access, change, { directory, subject, login, user, by });
    if (!bound) throw new AccessError('ERR_ACCESS_CONFLICT', 'the account or the user is bound otherwise already');
    await change.tables.bindings.remove({ where: { userId: user.id } });
    change.unchanged();
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
