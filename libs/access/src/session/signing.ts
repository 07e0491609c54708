import type { RealmSettings } from '@sallyport/security-api';
import type { DirectoryRow, IdentityRow } from '../directory/rows.ts';
import { findIdentity } from '../identity/identities.ts';
import type { UserRow } from '../people/rows.ts';
import type { AccessContext } from '../realm/context.ts';
import { getRealm, settingsOf } from '../realm/realm.ts';
import type { Transaction } from '../store/store.ts';
import type { InstallationRow } from './rows.ts';

/** Where a user signs in. */
export interface SigningPlace {
  /** Undefined for a local user. */
  readonly directory: DirectoryRow | undefined;
  /** The user's account there. */
  readonly identity: IdentityRow | undefined;
}

/** A device that signs in, with everything that a login goes by. */
export interface SigningDevice {
  readonly installation: InstallationRow;
  /** Undefined when the user is gone. */
  readonly user: UserRow | undefined;
  readonly place: SigningPlace;
  readonly settings: RealmSettings;
  /** When the user's second factor was made; null when there is none. */
  readonly factorAt: number | null;
}

/** The device of a static key, in one transaction; undefined for an unknown or revoked one. */
export function findSigningDevice(access: AccessContext, deviceStatic: Uint8Array): Promise<SigningDevice | undefined> {
  return access.store.transaction(async (transaction) => {
    const { installations, users, factors } = transaction.tables;
    const [realm, installation] = await Promise.all([getRealm(transaction), installations.find({ deviceStatic })]);
    if (!installation || installation.status === 'revoked') return undefined;
    const { userId } = installation;
    const [user, factor] = await Promise.all([users.find({ id: userId }), factors.find({ userId })]);
    const place = await placeOf(transaction, user);
    return { installation, user, place, settings: settingsOf(realm), factorAt: factor?.createdAt ?? null };
  });
}

/** Where a user who enrols signs in, and the settings of the realm. */
export function readSigningPlace(
  access: AccessContext,
  user: UserRow,
): Promise<{ readonly place: SigningPlace; readonly settings: RealmSettings }> {
  return access.store.transaction(async (transaction) => ({
    place: await placeOf(transaction, user),
    settings: settingsOf(await getRealm(transaction)),
  }));
}

async function placeOf(transaction: Transaction, user: UserRow | undefined): Promise<SigningPlace> {
  if (!user || user.directory === '') return { directory: undefined, identity: undefined };
  const [directory, identity] = await Promise.all([
    transaction.tables.directories.find({ name: user.directory }),
    findIdentity(transaction, user.directory, user.id),
  ]);
  return { directory, identity };
}
