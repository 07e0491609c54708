import { encodeText } from '@sallyport/channel';
import type { DirectoryRow } from '../directory/rows.ts';
import { groupsOfAccount, makesOperator, whoSignedIn } from '../identity/provider-accounts.ts';
import type { UserRow } from '../people/rows.ts';
import { appendAudit } from '../realm/audit.ts';
import { change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { randomId } from '../realm/ids.ts';
import { isOurToken, makeToken } from '../realm/tokens.ts';
import { AccessError } from '../store/errors.ts';
import { NEVER } from '../store/shape.ts';
import type { Transaction } from '../store/store.ts';
import { endOf, findOperatorNamed, hasOperator, lockOperators, whyOut } from './operators.ts';
import type { OperatorRow, OperatorTokenRow } from './rows.ts';

const HOUR_MS = 3_600_000;
/** Life of an operator's credential and of a one-time token, ms. */
const CREDENTIAL_TTL_MS = 30 * 24 * HOUR_MS;
const ONE_TIME_TTL_MS = 24 * HOUR_MS;
/** Life of a break-glass token, ms: who asks for one sits at the machine. */
const BREAK_GLASS_TTL_MS = HOUR_MS;
/** Life of a provider's operator, ms: a working day where another directory tells of groups, else as long as claims count. */
const PUSHED_TTL_MS = 10 * HOUR_MS;
const CLAIMED_TTL_MS = HOUR_MS;
/** The use of a credential is noted this often, ms. */
const USE_NOTED_MS = HOUR_MS;
/** The longest name of an operator, characters. */
const NAME_LENGTH = 64;
/** The name of the first operator, who may choose another. */
const FIRST_NAME = 'owner';

/** A token as its holder sees it; the store has its hash only. */
export interface OperatorToken {
  readonly name: string;
  readonly token: string;
  readonly expiresAt: number;
}

/** An operator who has come with a credential that is good. */
export interface OperatorAtWork {
  readonly operator: OperatorRow;
  readonly credential: OperatorTokenRow;
}

type NewOperator = Pick<OperatorRow, 'name' | 'origin'> &
  Partial<Pick<OperatorRow, 'place' | 'invitedBy' | 'userId' | 'endsAt'>>;

function newOperator({ crypto }: AccessContext, createdAt: number, operator: NewOperator): OperatorRow {
  const nothing = { place: '', invitedBy: '', userId: null, endsAt: NEVER, endedAt: null, endReason: null };
  return { ...nothing, ...operator, id: randomId(crypto), createdAt };
}

/** Adds a token to an operator; it ends with the operator at the latest. */
async function issueToken(
  access: AccessContext,
  transaction: Transaction,
  operator: OperatorRow,
  of: { oneTime: boolean; ttlMs: number; requestId?: string | null; replaces?: string },
): Promise<OperatorToken> {
  const { oneTime, ttlMs, requestId = null, replaces = null } = of;
  const token = makeToken(access, oneTime ? 'sp1' : 'spo');
  const createdAt = transaction.now();
  const expiresAt = Math.min(operator.endsAt, createdAt + ttlMs);
  await transaction.tables.operatorTokens.insert({
    id: randomId(access.crypto),
    operatorId: operator.id,
    tokenHash: hashOf(access, token),
    oneTime,
    createdAt,
    expiresAt,
    usedAt: null,
    requestId,
    replaces,
  });
  return { name: operator.name, token, expiresAt };
}

function hashOf({ crypto }: AccessContext, token: string): Uint8Array {
  return crypto.sha256(encodeText(token));
}

/** Issues a node's one-time token for a realm into which no operator can come; undefined when one can. */
export async function firstOperatorToken(access: AccessContext, node: string): Promise<string | undefined> {
  return access.store.transaction(async (transaction) => {
    await lockOperators(transaction);
    if (await hasOperator(transaction)) return undefined;
    // A token that was printed and lost is worth nothing: the next start of that node prints another.
    await forgetUnredeemed(transaction, node);
    const operator = newOperator(access, transaction.now(), { name: FIRST_NAME, origin: 'bootstrap', place: node });
    await transaction.tables.operators.insert(operator);
    return (await issueToken(access, transaction, operator, { oneTime: true, ttlMs: ONE_TIME_TTL_MS })).token;
  });
}

/** Forgets first operators of a node that never came. */
async function forgetUnredeemed({ tables }: Transaction, place: string): Promise<void> {
  for (const { id } of await tables.operators.list({ where: { origin: 'bootstrap', place, endedAt: null } })) {
    const tokens = await tables.operatorTokens.list({ where: { operatorId: id } });
    if (tokens.some(({ oneTime, usedAt }) => !oneTime || usedAt !== null)) continue;
    await tables.operatorTokens.remove({ where: { operatorId: id } });
    await tables.operators.remove({ where: { id } });
  }
}

/**
 * Issues a one-time token on the machine itself, whoever is or is not an operator: the caller has proved that it holds the
 * key-encryption key and the database. On record before it is shown.
 */
export async function breakGlassToken(access: AccessContext, name: string, by: Actor): Promise<OperatorToken> {
  return change(access, by, async (begun) => {
    await checkNameFree(begun, name);
    const operator = newOperator(access, begun.at, { name, origin: 'bootstrap', place: 'break-glass' });
    await begun.tables.operators.insert(operator);
    const issued = await issueToken(access, begun, operator, { oneTime: true, ttlMs: BREAK_GLASS_TTL_MS });
    begun.audit('operator.break-glass', name);
    return issued;
  });
}

/** What a one-time token is exchanged with. */
export interface Redemption {
  readonly token: string;
  /** How the first operator wants to be called; who was invited has the name of the invitation. */
  readonly name?: string | undefined;
  /** The client's id: with the same one a lost answer is given again, until the credential is used. */
  readonly requestId?: string | undefined;
}

/**
 * Exchanges a one-time token for an operator's credential; undefined when it is not good.
 * @throws AccessError ERR_ACCESS_INVALID for another name than that of the invitation, which stays good
 */
export async function redeemOperatorToken(
  access: AccessContext,
  { token, name, requestId }: Redemption,
): Promise<OperatorToken | undefined> {
  if (!isOurToken(access, 'sp1', token)) return undefined;
  return access.store.transaction(async (transaction) => {
    const { operators, operatorTokens } = transaction.tables;
    const tokenHash = hashOf(access, token);
    // A stranger's guess takes no lock.
    if (!(await operatorTokens.find({ tokenHash }))) return undefined;
    await lockOperators(transaction);
    const offered = await operatorTokens.find({ tokenHash });
    if (!offered?.oneTime || offered.expiresAt <= transaction.now()) return undefined;
    const invited = await operators.find({ id: offered.operatorId });
    if (!invited || (await whyOut(transaction, invited)) !== undefined) return undefined;
    if (offered.usedAt !== null && !(await isRepeated(transaction, offered, requestId))) return undefined;
    const operator = await namedOperator(transaction, invited, { name, first: offered.usedAt === null });
    if (!operator) return undefined;
    const usedAt = offered.usedAt ?? transaction.now();
    await operatorTokens.update({ where: { id: offered.id } }, { usedAt, requestId: requestId ?? null });
    await operatorTokens.remove({ where: { operatorId: operator.id, oneTime: false } });
    const credential = { oneTime: false, ttlMs: CREDENTIAL_TTL_MS };
    const issued = await issueToken(access, transaction, operator, credential);
    const event = { actor: operator.name, reason: 'redeemed a one-time token', action: 'operator.create' };
    await auditOperator(access, transaction, { ...event, subject: operator.name });
    return issued;
  });
}

/** A repetition with the client's own id, of an answer that was lost: nobody has used the credential. */
async function isRepeated(
  { tables }: Transaction,
  offered: OperatorTokenRow,
  requestId: string | undefined,
): Promise<boolean> {
  if (requestId === undefined || offered.requestId !== requestId) return false;
  const made = await tables.operatorTokens.list({ where: { operatorId: offered.operatorId, oneTime: false } });
  return made.every(({ usedAt }) => usedAt === null);
}

/** The operator as they will be called. Of the tokens of a new farm the first one that is redeemed ends the others. */
async function namedOperator(
  transaction: Transaction,
  invited: OperatorRow,
  { name, first }: { name: string | undefined; first: boolean },
): Promise<OperatorRow | undefined> {
  const atStart = invited.origin === 'bootstrap' && invited.place !== 'break-glass';
  if (!atStart) {
    if (name === undefined || name === invited.name) return invited;
    throw new AccessError('ERR_ACCESS_INVALID', `the invitation is for ${invited.name}`);
  }
  if (!first) return invited;
  if (await hasOperator(transaction)) return undefined;
  const { operators } = transaction.tables;
  const wanted = name ?? invited.name;
  await forgetOthers(transaction, { keep: invited.id, name: wanted });
  await operators.update({ where: { id: invited.id } }, { name: wanted });
  return { ...invited, name: wanted };
}

/** First operators of other nodes and of a former time, and whoever has the name without being able to come in. */
async function forgetOthers(transaction: Transaction, { keep, name }: { keep: string; name: string }): Promise<void> {
  const { operators, operatorTokens } = transaction.tables;
  const at = transaction.now();
  const rows = await operators.list({ where: { endedAt: null } });
  const others = rows.filter((row) => row.id !== keep && (row.origin === 'bootstrap' || row.name === name));
  for (const { id } of others) {
    await operatorTokens.remove({ where: { operatorId: id } });
    await operators.update({ where: { id } }, { endedAt: at, endReason: 'another first operator came' });
  }
}

/** The operator of a credential; undefined when it is not good. Notes its use, to the hour. */
export async function findOperator(access: AccessContext, token: string): Promise<OperatorAtWork | undefined> {
  if (!isOurToken(access, 'spo', token)) return undefined;
  return access.store.transaction(async (transaction) => {
    const { operators, operatorTokens } = transaction.tables;
    const credential = await operatorTokens.find({ tokenHash: hashOf(access, token) });
    const now = transaction.now();
    if (!credential || credential.oneTime || credential.expiresAt <= now) return undefined;
    const operator = await operators.find({ id: credential.operatorId });
    if (!operator || (await whyOut(transaction, operator)) !== undefined) return undefined;
    if (credential.usedAt === null || now - credential.usedAt >= USE_NOTED_MS) {
      await operatorTokens.update({ where: { id: credential.id } }, { usedAt: now });
      if (credential.replaces !== null) await operatorTokens.remove({ where: { id: credential.replaces } });
    }
    return { operator, credential };
  });
}

/**
 * A new credential in the place of the one that is in use, which ends with the first use of the new one.
 * @throws AccessError ERR_ACCESS_INVALID for an operator of a provider, who signs in again
 */
export async function renewOperator(
  access: AccessContext,
  { operator, credential }: OperatorAtWork,
): Promise<OperatorToken> {
  if (operator.origin === 'provider')
    throw new AccessError('ERR_ACCESS_INVALID', `you are an operator by ${operator.place}: sign in there again`);
  const by = { actor: operator.name, reason: 'renewed a credential' };
  return change(access, by, async (begun) => {
    await checkStillIn(begun, { operator, credential });
    const { operatorTokens } = begun.tables;
    // Of answers that were lost only the last one counts.
    await operatorTokens.remove({ where: { replaces: credential.id, usedAt: null } });
    const ttl = { oneTime: false, ttlMs: CREDENTIAL_TTL_MS, replaces: credential.id };
    const issued = await issueToken(access, begun, operator, ttl);
    begun.audit('operator.renew', operator.name);
    return issued;
  });
}

/**
 * Issues a one-time token for another operator, under a name that the redeemer cannot change. They are an operator no
 * longer than who invites.
 * @throws AccessError ERR_ACCESS_CONFLICT when an operator has the name, or who invites was ended meanwhile
 */
export async function inviteOperator(
  access: AccessContext,
  name: string,
  { operator, credential }: OperatorAtWork,
  by: Actor,
): Promise<OperatorToken> {
  return change(access, by, async (begun) => {
    await checkStillIn(begun, { operator, credential });
    await checkNameFree(begun, name);
    const endsAt = endOf(operator, credential);
    const invited = newOperator(access, begun.at, { name, origin: 'invite', invitedBy: operator.id, endsAt });
    await begun.tables.operators.insert(invited);
    const issued = await issueToken(access, begun, invited, { oneTime: true, ttlMs: ONE_TIME_TTL_MS });
    begun.audit('operator.invite', name);
    return issued;
  });
}

/** Under the lock: whoever was ended since they were let in leaves nothing behind that outlives them. */
async function checkStillIn(transaction: Transaction, { operator, credential }: OperatorAtWork): Promise<void> {
  const { operators, operatorTokens } = transaction.tables;
  const now = await operators.find({ id: operator.id });
  const out = now ? await whyOut(transaction, now) : 'the operator was ended';
  const held = await operatorTokens.find({ id: credential.id });
  if (out !== undefined || !held)
    throw new AccessError('ERR_ACCESS_CONFLICT', out ?? 'this credential was replaced meanwhile');
}

/** A name names one operator; one whose invitation ran out unused gives it back. */
async function checkNameFree(transaction: Transaction, name: string): Promise<void> {
  const { operators, operatorTokens } = transaction.tables;
  const holder = await findOperatorNamed(transaction, name);
  if (!holder) return;
  const tokens = await operatorTokens.list({ where: { operatorId: holder.id } });
  const came = tokens.some(({ oneTime, usedAt }) => !oneTime || usedAt !== null);
  const waits = tokens.some(({ expiresAt }) => expiresAt > transaction.now());
  if (came || waits)
    throw new AccessError('ERR_ACCESS_CONFLICT', `there is an operator ${name}: end that one, or take another name`);
  const at = transaction.now();
  await operatorTokens.remove({ where: { operatorId: holder.id } });
  await operators.update({ where: { id: holder.id } }, { endedAt: at, endReason: 'did not come in time' });
}

/** A sign-in at a provider by somebody who wants to be an operator. */
export interface OperatorSignIn {
  readonly provider: string;
  readonly subject: string;
  /** Groups by subject, when the provider told of them. */
  readonly claimed: readonly string[] | undefined;
}

/** A credential, or why there is none: for the record, and what the one who asked may be told. */
export type Admission =
  | { readonly admitted: OperatorToken }
  | { readonly admitted: undefined; readonly why: string; readonly hint: string | undefined };

const NO_ACCOUNT =
  'you are in the group of operators, but your account belongs to no user of this gateway yet: enrol a device with an activation code first';

/**
 * A credential for who signed in at a provider, when its groups make operators: those that the directory has of the
 * account now. Looked at again with each use.
 */
export async function admitOperator(access: AccessContext, signIn: OperatorSignIn): Promise<Admission> {
  return access.store.transaction(async (transaction) => {
    await lockOperators(transaction);
    const provider = await transaction.tables.directories.find({ name: signIn.provider });
    const who = await whoSignedIn(transaction, provider, signIn.subject);
    if (who.kind === 'refused') return { admitted: undefined, why: who.why, hint: undefined };
    const groups = who.account ? await groupsOfAccount(transaction, who.account) : (signIn.claimed ?? []);
    if (!makesOperator(provider!, groups))
      return { admitted: undefined, why: 'in no group of operators', hint: undefined };
    if (who.kind === 'nobody') return { admitted: undefined, why: who.why, hint: NO_ACCOUNT };
    const operator = await operatorOf(access, transaction, provider!, who.user);
    const pushed = who.account.directory !== provider!.name;
    const ttlMs = pushed ? PUSHED_TTL_MS : CLAIMED_TTL_MS;
    const admitted = await issueToken(access, transaction, operator, { oneTime: false, ttlMs });
    const event = { actor: operator.name, reason: `signed in at ${signIn.provider}`, action: 'operator.login' };
    await auditOperator(access, transaction, { ...event, subject: operator.name });
    return { admitted };
  });
}

/** The operator that a user is by a provider; made at the first time, under a name that no other operator has. */
async function operatorOf(
  access: AccessContext,
  transaction: Transaction,
  provider: DirectoryRow,
  user: UserRow,
): Promise<OperatorRow> {
  const { operators, operatorTokens } = transaction.tables;
  const known = await operators.find({ userId: user.id, place: provider.name, endedAt: null });
  if (known) {
    await operatorTokens.remove({ where: { operatorId: known.id }, below: ['expiresAt', transaction.now()] });
    return known;
  }
  const name = await freeName(transaction, user, provider);
  const made = { name, origin: 'provider', place: provider.name, userId: user.id } as const;
  const operator = newOperator(access, transaction.now(), made);
  await operators.insert(operator);
  return operator;
}

/** A name that no operator has, and by which the admin API can name them. */
async function freeName(transaction: Transaction, user: UserRow, provider: DirectoryRow): Promise<string> {
  for (const name of [user.name, `${user.name}@${provider.name}`])
    if (name.length <= NAME_LENGTH && !(await findOperatorNamed(transaction, name))) return name;
  return `${user.name.slice(0, NAME_LENGTH - 9)}-${user.id.slice(0, 8)}`;
}

async function auditOperator(
  access: AccessContext,
  transaction: Transaction,
  event: Actor & { readonly action: string; readonly subject: string },
): Promise<void> {
  await appendAudit(transaction, access.crypto, { ...event, outcome: 'done', at: transaction.now() });
}
