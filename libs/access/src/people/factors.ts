import { change as changeRealm } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { PURPOSES } from '../sealing/keyring.ts';
import { AccessError } from '../store/errors.ts';
import { missing } from '../store/missing.ts';
import { type CredentialChange, endSignIns } from './credentials.ts';

/** Bytes of a TOTP secret (RFC 4226, section 4: at least 128 bits, 160 recommended). */
const SECRET_BYTES = 20;

/** A change of a second factor; `index` is the entry of the revocation log that ended sessions, 0 for none. */
export interface FactorChange {
  readonly index: number;
}

/** Gives a user a new second factor; the one before is void. The secret is shown once. */
export async function issueFactor(
  access: AccessContext,
  userName: string,
  how: CredentialChange,
  by: Actor,
): Promise<FactorChange & { readonly secret: Uint8Array }> {
  const secret = access.crypto.randomBytes(SECRET_BYTES);
  return changeRealm(access, by, async (change) => {
    const { users, factors, directories } = change.tables;
    const user = await users.find({ name: userName });
    if (!user) throw missing('user', userName);
    const directory = user.directory && (await directories.find({ name: user.directory }));
    if (directory && directory.kind !== 'ldap')
      throw new AccessError(
        'ERR_ACCESS_INVALID',
        `${userName} signs in at ${user.directory}: second factors are its matter`,
      );
    const wrapped = access.keyring.wrap(secret, PURPOSES.factor(access.store.realm, user.id));
    await factors.remove({ where: { userId: user.id } });
    await factors.insert({ userId: user.id, secret: wrapped, lastStep: 0, createdAt: change.at });
    await endSignIns(change, user, how);
    change.audit('factor.issue', userName);
    return { secret, index: change.index };
  });
}

/** Takes a user's second factor away. */
export async function removeFactor(
  access: AccessContext,
  userName: string,
  how: CredentialChange,
  by: Actor,
): Promise<FactorChange & { readonly removed: boolean }> {
  return changeRealm(access, by, async (change) => {
    const user = await change.tables.users.find({ name: userName });
    if (!user) throw missing('user', userName);
    const removed = (await change.tables.factors.remove({ where: { userId: user.id } })) > 0;
    if (!removed) change.unchanged();
    else {
      await endSignIns(change, user, how);
      change.audit('factor.remove', userName);
    }
    return { removed, index: change.index };
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
