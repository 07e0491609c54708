import { encodeText, equalBytes } from '@sallyport/channel';
import { appendAudit } from './audit.ts';
import type { AccessContext, Actor } from './context.ts';
import { AccessError } from './errors.ts';
import { formatTypable, normalizeTypable } from './ids.ts';
import { getRealm, settingsOf } from './realm.ts';
import type { Transaction } from './store.ts';
import type { CodeRow, UserRow } from './tables.ts';

/** Wrong tries after which a code is dead. */
const CODE_TRIES = 5;
const ID_LENGTH = 8;
const SECRET_LENGTH = 16;

/** A new activation code: `id-secret`. The secret part is nowhere else. */
export interface IssuedCode {
  readonly id: string;
  readonly code: string;
  readonly expiresAt: number;
}

/** Issues a single-use code with which one user may enrol one installation (80 bits of secret). */
export async function issueCode(
  access: AccessContext,
  userName: string,
  ttlMs: number | undefined,
  by: Actor,
): Promise<IssuedCode> {
  const id = formatTypable(access.crypto.randomBytes(ID_LENGTH), ID_LENGTH);
  const secret = formatTypable(access.crypto.randomBytes(SECRET_LENGTH), SECRET_LENGTH);
  return access.store.transaction(async (transaction) => {
    const user = await transaction.tables.users.find({ name: userName });
    if (!user?.enabled) throw new AccessError('ERR_ACCESS_NOT_FOUND', `no enabled user ${userName}`);
    const at = transaction.now();
    const expiresAt = at + (ttlMs ?? settingsOf(await getRealm(transaction)).codeTtlMs);
    await transaction.tables.codes.insert({
      id,
      userId: user.id,
      secretHash: access.crypto.sha256(encodeText(secret)),
      expiresAt,
      triesLeft: CODE_TRIES,
      usedAt: null,
      installationId: null,
      createdAt: at,
    });
    await appendAudit(transaction, access.crypto, {
      ...by,
      action: 'code.issue',
      subject: userName,
      outcome: 'done',
      at,
    });
    return { id, code: `${id}-${secret}`, expiresAt };
  });
}

/** The two parts of a code as typed. */
export function parseCode(code: string): { readonly id: string; readonly secret: string } | undefined {
  const [id, secret, ...rest] = normalizeTypable(code).split('-');
  return id && secret && rest.length === 0 ? { id, secret } : undefined;
}

/** The user a code was issued for, whether or not the code is still good, and whether its secret part is right. */
export interface CodeHolder {
  readonly user: UserRow;
  readonly secretFits: boolean;
}

/** The holder of a code, by its public part. */
export async function findCodeHolder(access: AccessContext, code: string): Promise<CodeHolder | undefined> {
  const parts = parseCode(code);
  if (!parts) return undefined;
  return access.store.transaction(async ({ tables }) => {
    const row = await tables.codes.find({ id: parts.id });
    const user = row && (await tables.users.find({ id: row.userId }));
    if (!row || !user) return undefined;
    const secretFits = equalBytes(access.crypto.sha256(encodeText(parts.secret)), row.secretHash);
    return { user, secretFits: secretFits && row.triesLeft > 0 };
  });
}

/**
 * Locks a code and says whether it is good. A wrong secret or `credentialsFit` false costs a try, in the caller's
 * transaction, which must commit either way. A used code is good again only for the caller to check against its
 * pending installation.
 */
export async function tryCode(
  access: AccessContext,
  transaction: Transaction,
  attempt: { readonly code: string; readonly credentialsFit: boolean },
): Promise<CodeRow | undefined> {
  const parts = parseCode(attempt.code);
  const row = parts && (await transaction.tables.codes.find({ id: parts.id }, 'update'));
  if (!row || row.triesLeft === 0 || row.expiresAt <= transaction.now()) return undefined;
  const fits = equalBytes(access.crypto.sha256(encodeText(parts.secret)), row.secretHash);
  if (fits && attempt.credentialsFit) return row;
  await transaction.tables.codes.update({ where: { id: row.id } }, { triesLeft: row.triesLeft - 1 });
  return undefined;
}
