import { appendAudit } from './audit.ts';
import type { AccessContext, Actor } from './context.ts';
import { AccessError } from './errors.ts';
import { PURPOSES } from './keyring.ts';

/** Bytes of a TOTP secret (RFC 4226, section 4: at least 128 bits, 160 recommended). */
const SECRET_BYTES = 20;

/** Gives a user a new second factor; the one before is void. The secret is shown once. */
export async function issueFactor(access: AccessContext, userName: string, by: Actor): Promise<Uint8Array> {
  const secret = access.crypto.randomBytes(SECRET_BYTES);
  await access.store.transaction(async (transaction) => {
    const { users, factors } = transaction.tables;
    const user = await users.find({ name: userName });
    if (!user) throw new AccessError('ERR_ACCESS_NOT_FOUND', `no user ${userName}`);
    const directory = user.directory && (await transaction.tables.directories.find({ name: user.directory }));
    if (directory && directory.kind !== 'ldap')
      throw new AccessError(
        'ERR_ACCESS_INVALID',
        `${userName} signs in at ${user.directory}: second factors are its matter`,
      );
    const createdAt = transaction.now();
    const wrapped = access.keyring.wrap(secret, PURPOSES.factor(access.store.realm, user.id));
    await factors.remove({ where: { userId: user.id } });
    await factors.insert({ userId: user.id, secret: wrapped, lastStep: 0, createdAt });
    const event = { action: 'factor.issue', subject: userName, outcome: 'done', at: createdAt } as const;
    await appendAudit(transaction, access.crypto, { ...by, ...event });
  });
  return secret;
}

/** Takes a user's second factor away; false when there was none. */
export async function removeFactor(access: AccessContext, userName: string, by: Actor): Promise<boolean> {
  return access.store.transaction(async (transaction) => {
    const user = await transaction.tables.users.find({ name: userName });
    if (!user) throw new AccessError('ERR_ACCESS_NOT_FOUND', `no user ${userName}`);
    const removed = await transaction.tables.factors.remove({ where: { userId: user.id } });
    const event = { action: 'factor.remove', subject: userName, outcome: 'done', at: transaction.now() } as const;
    await appendAudit(transaction, access.crypto, { ...by, ...event });
    return removed > 0;
  });
}

/**
 * Checks a one-time code under the row's lock. `stepOf` gives the time step that the code belongs to, undefined when it is
 * wrong; a step that was used, or an older one, is not accepted again (RFC 6238, section 5.2).
 */
export async function useFactor(
  access: AccessContext,
  userId: string,
  stepOf: (secret: Uint8Array) => number | undefined,
): Promise<boolean> {
  return access.store.transaction(async ({ tables }) => {
    const row = await tables.factors.find({ userId }, 'update');
    const step = row && stepOf(access.keyring.unwrap(row.secret, PURPOSES.factor(access.store.realm, userId)));
    if (!row || step === undefined || step <= row.lastStep) return false;
    await tables.factors.update({ where: { userId } }, { lastStep: step });
    return true;
  });
}
