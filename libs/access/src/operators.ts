import { encodeText, formatBase64Url } from '@sallyport/channel';
import { appendAudit } from './audit.ts';
import type { AccessContext } from './context.ts';
import { randomId } from './ids.ts';
import type { OperatorRow } from './tables.ts';

/** Life of an operator's credential and of a one-time token, in ms. */
const CREDENTIAL_TTL_MS = 30 * 86_400_000;
const ONE_TIME_TTL_MS = 86_400_000;
/** Life of the credential of an operator who signed in at a directory: a working day. */
const DIRECTORY_TTL_MS = 10 * 3_600_000;

/** A token as its holder sees it; the store has its hash only. */
export interface OperatorToken {
  readonly name: string;
  readonly token: string;
  readonly expiresAt: number;
}

function newToken(
  access: AccessContext,
  { name, oneTime, createdAt, userId }: Omit<OperatorRow, 'id' | 'tokenHash' | 'expiresAt'>,
): { token: string; row: OperatorRow } {
  const token = `${oneTime ? 'sp1' : 'spo'}_${formatBase64Url(access.crypto.randomBytes(32))}`;
  const ttlMs = userId !== null ? DIRECTORY_TTL_MS : CREDENTIAL_TTL_MS;
  const expiresAt = createdAt + (oneTime ? ONE_TIME_TTL_MS : ttlMs);
  const tokenHash = access.crypto.sha256(encodeText(token));
  return { token, row: { id: randomId(access.crypto), name, tokenHash, oneTime, createdAt, expiresAt, userId } };
}

/** Issues a node's one-time token for a realm without operators; undefined when there is an operator already. */
export async function firstOperatorToken(access: AccessContext, node: string): Promise<string | undefined> {
  return access.store.transaction(async (transaction) => {
    const { operators } = transaction.tables;
    if ((await operators.count({ where: { oneTime: false } })) > 0) return undefined;
    // A token that was printed and lost is worth nothing: the next start of that node prints another.
    await operators.remove({ where: { name: `first ${node}`, oneTime: true } });
    const { token, row } = newToken(access, {
      name: `first ${node}`,
      oneTime: true,
      createdAt: transaction.now(),
      userId: null,
    });
    await operators.insert(row);
    return token;
  });
}

/** Exchanges a one-time token for an operator's credential; undefined when it is not good. */
export async function redeemOperatorToken(
  access: AccessContext,
  token: string,
  name: string,
): Promise<OperatorToken | undefined> {
  return access.store.transaction(async (transaction) => {
    const { operators } = transaction.tables;
    const offered = await operators.find({ tokenHash: access.crypto.sha256(encodeText(token)) }, 'update');
    if (!offered?.oneTime || offered.expiresAt <= transaction.now()) return undefined;
    await operators.remove({ where: { id: offered.id } });
    // Every node of a new farm printed one; the first that is redeemed ends them all.
    if (offered.name.startsWith('first '))
      for (const { id, name: other } of await operators.list({ where: { oneTime: true } }))
        if (other.startsWith('first ')) await operators.remove({ where: { id } });
    const made = newToken(access, { name, oneTime: false, createdAt: transaction.now(), userId: null });
    await operators.insert(made.row);
    const event = {
      actor: name,
      reason: 'redeemed a one-time token',
      action: 'operator.create',
      subject: name,
    } as const;
    await appendAudit(transaction, access.crypto, { ...event, outcome: 'done', at: transaction.now() });
    return { name, token: made.token, expiresAt: made.row.expiresAt };
  });
}

/** The operator of a credential; undefined when it is not good. */
export async function findOperator(access: AccessContext, token: string): Promise<OperatorRow | undefined> {
  const tokenHash = access.crypto.sha256(encodeText(token));
  return access.store.transaction(async (transaction) => {
    const row = await transaction.tables.operators.find({ tokenHash });
    return row && !row.oneTime && row.expiresAt > transaction.now() ? row : undefined;
  });
}

/** A credential for a user whom a directory vouched for as an operator. It ends with the user. */
export async function admitOperator(access: AccessContext, userId: string): Promise<OperatorToken | undefined> {
  return access.store.transaction(async (transaction) => {
    const user = await transaction.tables.users.find({ id: userId }, 'share');
    if (!user?.enabled) return undefined;
    const { name } = user;
    const made = newToken(access, { name, oneTime: false, createdAt: transaction.now(), userId });
    await transaction.tables.operators.insert(made.row);
    const event = { actor: name, reason: `signed in at ${user.directory}`, action: 'operator.login', subject: name };
    await appendAudit(transaction, access.crypto, { ...event, outcome: 'done', at: transaction.now() });
    return { name, token: made.token, expiresAt: made.row.expiresAt };
  });
}

/** Issues a one-time token for another operator. */
export async function inviteOperator(access: AccessContext, name: string, by: string): Promise<OperatorToken> {
  return access.store.transaction(async (transaction) => {
    const { token, row } = newToken(access, { name, oneTime: true, createdAt: transaction.now(), userId: null });
    await transaction.tables.operators.insert(row);
    const event = { actor: by, reason: '', action: 'operator.invite', subject: name } as const;
    await appendAudit(transaction, access.crypto, { ...event, outcome: 'done', at: transaction.now() });
    return { name, token, expiresAt: row.expiresAt };
  });
}
