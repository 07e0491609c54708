import {
  type DirectoryRow,
  findIdentity,
  getRealm,
  type IdentityRow,
  settingsOf,
  type Transaction,
  type UserRow,
} from '@sallyport/access';
import type { RealmSettings } from '@sallyport/security-api';
import type { RealmContext } from '../realm-context.ts';

/** Where a user signs in. */
export interface SignInPlace {
  /** Undefined for a local user. */
  readonly directory: DirectoryRow | undefined;
  /** The user's account there. */
  readonly identity: IdentityRow | undefined;
}

/** A user with everything that a sign-in goes by. */
export interface SigningUser {
  readonly user: UserRow | undefined;
  readonly place: SignInPlace;
  readonly settings: RealmSettings;
  /** When the user's second factor was made; null when there is none. */
  readonly factorAt: number | null;
}

/** Reads a user for a sign-in, in one transaction. */
export function readSigningUser({ access }: RealmContext, userId: string): Promise<SigningUser> {
  return access.store.transaction(async (transaction) => {
    const { users, factors } = transaction.tables;
    const user = await users.find({ id: userId });
    const place = await placeOf(transaction, user);
    const factorAt = (await factors.find({ userId }))?.createdAt ?? null;
    return { user, place, settings: settingsOf(await getRealm(transaction)), factorAt };
  });
}

/** Where a user signs in; nowhere for nobody. */
export function findSignInPlace({ access }: RealmContext, user: UserRow | undefined): Promise<SignInPlace> {
  return access.store.transaction((transaction) => placeOf(transaction, user));
}

async function placeOf(transaction: Transaction, user: UserRow | undefined): Promise<SignInPlace> {
  if (!user || user.directory === '') return { directory: undefined, identity: undefined };
  return {
    directory: await transaction.tables.directories.find({ name: user.directory }),
    identity: await findIdentity(transaction, user.directory, user.id),
  };
}
