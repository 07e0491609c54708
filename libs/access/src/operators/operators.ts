import { whyNoOperator } from '../identity/provider-accounts.ts';
import { change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { getRealm } from '../realm/realm.ts';
import { AccessError } from '../store/errors.ts';
import { missing } from '../store/missing.ts';
import type { Transaction } from '../store/store.ts';
import type { OperatorRow, OperatorTokenRow } from './rows.ts';

/** Where an operator stands: not come yet, in, without a credential that is good, or out for good. */
export type OperatorState = 'invited' | 'active' | 'expired' | 'ended';

/** An operator as others see them. */
export interface OperatorStanding {
  readonly operator: OperatorRow;
  readonly state: OperatorState;
  /** Name of who invited; empty for the others. */
  readonly invitedBy: string;
  /** When the newest of their tokens ends, epoch ms; 0 for none. */
  readonly tokenUntil: number;
  readonly lastUsedAt: number | null;
}

/** Invitations are followed back over so many operators. */
const MAX_LINEAGE = 32;

/** A page of operators in the order of their ids, also those that have ended; `after` is the last id of the page before. */
export async function listOperators(
  access: AccessContext,
  { after = '', limit }: { readonly after?: string | undefined; readonly limit: number },
): Promise<OperatorStanding[]> {
  return access.store.transaction(async (transaction) => {
    const { operators, operatorTokens } = transaction.tables;
    const rows = await operators.list({ above: ['id', after], limit });
    const ids = rows.map(({ id }) => id);
    const tokens = await operatorTokens.list({ among: ['operatorId', ids] });
    const inviters = rows.map(({ invitedBy }) => invitedBy).filter((id) => id !== '');
    const names = new Map((await operators.list({ among: ['id', inviters] })).map(({ id, name }) => [id, name]));
    return rows.map((operator) => {
      const own = tokens.filter(({ operatorId }) => operatorId === operator.id);
      return viewOf(operator, own, { now: transaction.now(), invitedBy: names.get(operator.invitedBy) ?? '' });
    });
  });
}

function viewOf(
  operator: OperatorRow,
  tokens: readonly OperatorTokenRow[],
  { now, invitedBy }: { now: number; invitedBy: string },
): OperatorStanding {
  const live = tokens.filter(({ expiresAt }) => expiresAt > now && operator.endsAt > now);
  const used = tokens.map(({ usedAt }) => usedAt ?? 0);
  const state = live.some(({ oneTime }) => !oneTime) ? 'active' : live.length > 0 ? 'invited' : 'expired';
  return {
    operator,
    state: operator.endedAt === null ? state : 'ended',
    invitedBy,
    tokenUntil: Math.max(0, ...live.map(({ expiresAt }) => expiresAt)),
    lastUsedAt: Math.max(0, ...used) || null,
  };
}

/** The operator of a name that has not ended. */
export async function findOperatorNamed({ tables }: Transaction, name: string): Promise<OperatorRow | undefined> {
  return tables.operators.find({ name, endedAt: null });
}

/**
 * Whether somebody can come in as an operator: with a credential that was used and is good, or by the groups of a
 * provider that is in use. A credential that nobody ever used may have been lost with its answer.
 */
export async function hasOperator(transaction: Transaction): Promise<boolean> {
  const { operators, operatorTokens, directories } = transaction.tables;
  const now = transaction.now();
  const live = await operatorTokens.list({ where: { oneTime: false }, above: ['expiresAt', now] });
  const used = live.filter(({ usedAt }) => usedAt !== null).map(({ operatorId }) => operatorId);
  const rows = await operators.list({ where: { endedAt: null }, among: ['id', [...new Set(used)]] });
  for (const row of rows) if ((await whyOut(transaction, row)) === undefined) return true;
  const providers = await directories.list({ where: { kind: 'oidc', stage: 'active' } });
  return providers.some((row) => row.kind === 'oidc' && (row.settings.operatorGroups ?? []).length > 0);
}

/**
 * Why an operator may do nothing now; undefined while they may. Who was invited ends with a user of a provider who stands
 * at the beginning of their invitations: that user could make nobody an operator any more either.
 */
export async function whyOut(transaction: Transaction, operator: OperatorRow): Promise<string | undefined> {
  if (operator.endedAt !== null) return 'the operator was ended';
  if (operator.endsAt <= transaction.now()) return "the operator's time is over";
  let row: OperatorRow | undefined = operator;
  for (let depth = 0; row && depth < MAX_LINEAGE; depth++) {
    const why = row.origin === 'provider' ? await whyNoOperator(transaction, row.place, row.userId ?? '') : undefined;
    if (why !== undefined) return why;
    if (row.invitedBy === '') return undefined;
    row = await transaction.tables.operators.find({ id: row.invitedBy });
  }
  return 'nobody stands behind the invitation';
}

/** Until when an operator may be one, who comes by this token: a provider vouches no longer than for its credential. */
export function endOf(operator: OperatorRow, token: Pick<OperatorTokenRow, 'expiresAt'>): number {
  return operator.origin === 'provider' ? Math.min(operator.endsAt, token.expiresAt) : operator.endsAt;
}

/** What ending an operator did: who is out, and whom they had invited who are still in. */
export interface EndedOperators {
  readonly ended: readonly string[];
  readonly invited: readonly string[];
}

/**
 * Ends an operator for good, and with `withInvited` everybody whom they invited, directly or not.
 * @throws AccessError ERR_ACCESS_NOT_FOUND for an unknown one, ERR_ACCESS_CONFLICT when nobody would be left
 */
export async function endOperator(
  access: AccessContext,
  name: string,
  { withInvited }: { readonly withInvited: boolean },
  by: Actor,
): Promise<EndedOperators> {
  return change(access, by, async (begun) => {
    const operator = await findOperatorNamed(begun, name);
    if (!operator) throw missing('operator', name);
    const invited = await descendantsOf(begun, [operator]);
    const gone = withInvited ? [operator, ...invited] : [operator];
    await endRows(begun, gone, { at: begun.at, reason: by.reason });
    if (!(await hasOperator(begun)))
      throw new AccessError('ERR_ACCESS_CONFLICT', 'nobody would be an operator any more: invite another one first');
    for (const row of gone) begun.audit('operator.end', row.name);
    const left = withInvited ? [] : invited.map((row) => row.name);
    return { ended: gone.map((row) => row.name), invited: left };
  });
}

/** Ends the operator that a user is, with everybody whom they invited, in the caller's transaction. */
export async function endOperatorsOfUser(
  transaction: Transaction,
  { userId, at, reason }: { readonly userId: string; readonly at: number; readonly reason: string },
): Promise<void> {
  const own = await transaction.tables.operators.list({ where: { userId, endedAt: null } });
  if (own.length === 0) return;
  await endRows(transaction, [...own, ...(await descendantsOf(transaction, own))], { at, reason });
}

/** Changes of who is an operator come one after the other. */
export async function lockOperators(transaction: Transaction): Promise<void> {
  await getRealm(transaction, 'update');
}

async function descendantsOf({ tables }: Transaction, roots: readonly OperatorRow[]): Promise<OperatorRow[]> {
  const found: OperatorRow[] = [];
  for (let parents = roots; parents.length > 0; ) {
    const ids = parents.map(({ id }) => id);
    const known = new Set([...roots, ...found].map(({ id }) => id));
    const next = await tables.operators.list({ where: { endedAt: null }, among: ['invitedBy', ids] });
    parents = next.filter(({ id }) => !known.has(id));
    found.push(...parents);
  }
  return found;
}

async function endRows(
  { tables }: Transaction,
  rows: readonly OperatorRow[],
  { at, reason }: { at: number; reason: string },
): Promise<void> {
  const ids = rows.map(({ id }) => id);
  if (ids.length === 0) return;
  await tables.operators.update({ where: { endedAt: null }, among: ['id', ids] }, { endedAt: at, endReason: reason });
  await tables.operatorTokens.remove({ among: ['operatorId', ids] });
}
