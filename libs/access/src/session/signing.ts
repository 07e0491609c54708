import { UPDATE_AUTHORITY } from '@sallyport/channel';
import type { ContextRule, RealmSettings } from '@sallyport/security-api';
import { appIdOf, hasMinimum, ruleForApp, ruleForOld } from '../apps/app-rule.ts';
import type { UpdateFileRow } from '../apps/rows.ts';
import type { DirectoryRow, IdentityRow } from '../directory/rows.ts';
import { findIdentity } from '../identity/identities.ts';
import type { UserRow } from '../people/rows.ts';
import { groupsOf } from '../people/users.ts';
import type { AccessContext } from '../realm/context.ts';
import { getRealm, settingsOf } from '../realm/realm.ts';
import type { RealmRow } from '../realm/rows.ts';
import { opensAuthority } from '../rights/policies.ts';
import type { PolicyCache } from '../rights/policy-cache.ts';
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
  /** What its app context must be: that of the app as which it enrolled. */
  readonly rule: ContextRule;
  /** What the context of a version that is too old must be to get an update; undefined for who gets none. */
  readonly ruleForOld: ContextRule | undefined;
  /** The newest root of updates, as its file. */
  readonly updateRoot: UpdateFileRow | undefined;
  /** When the user's second factor was made; null when there is none. */
  readonly factorAt: number | null;
}

/** The device of a static key, in one transaction; undefined for an unknown or revoked one. */
export function findSigningDevice(
  access: AccessContext,
  policies: PolicyCache,
  deviceStatic: Uint8Array,
): Promise<SigningDevice | undefined> {
  return access.store.transaction(async (transaction) => {
    const { installations, users, factors } = transaction.tables;
    const [realm, installation] = await Promise.all([getRealm(transaction), installations.find({ deviceStatic })]);
    if (!installation || installation.status === 'revoked') return undefined;
    const { userId } = installation;
    const [user, factor, ruled] = await Promise.all([
      users.find({ id: userId }),
      factors.find({ userId }),
      ruleOf(transaction, policies, { realm, userId, appId: appIdOf(installation.app) }),
    ]);
    const place = await placeOf(transaction, user);
    return { installation, user, place, settings: settingsOf(realm), ...ruled, factorAt: factor?.createdAt ?? null };
  });
}

/** Where a user who enrols signs in, and what the app context must be of the app as which they do. */
export function readSigningPlace(
  access: AccessContext,
  policies: PolicyCache,
  { user, appId }: { readonly user: UserRow; readonly appId: string },
): Promise<{ readonly place: SigningPlace } & Pick<SigningDevice, 'rule' | 'updateRoot'>> {
  return access.store.transaction(async (transaction) => {
    const realm = await getRealm(transaction);
    const place = await placeOf(transaction, user);
    return { place, ...(await ruleOf(transaction, policies, { realm, userId: user.id, appId })) };
  });
}

/** The realm's rule for a user with an app. Their groups are read only where the app is not for everybody. */
async function ruleOf(
  transaction: Transaction,
  policies: PolicyCache,
  { realm, userId, appId: id }: { readonly realm: RealmRow; readonly userId: string; readonly appId: string },
): Promise<Pick<SigningDevice, 'rule' | 'ruleForOld' | 'updateRoot'>> {
  const set = await policies.get(transaction, realm);
  const { apps, updateRoot } = set;
  const isForSome = apps.some((app) => app.id === id && app.groups !== null);
  const groups = isForSome ? await groupsOf(transaction, userId) : [];
  const rule = ruleForApp(settingsOf(realm).context, apps, { id, groups, now: transaction.now() });
  const getsUpdates =
    hasMinimum(rule) && opensAuthority(set, isForSome ? groups : await groupsOf(transaction, userId), UPDATE_AUTHORITY);
  return { rule, ruleForOld: getsUpdates ? ruleForOld(rule) : undefined, updateRoot };
}

async function placeOf(transaction: Transaction, user: UserRow | undefined): Promise<SigningPlace> {
  if (!user || user.directory === '') return { directory: undefined, identity: undefined };
  const [directory, identity] = await Promise.all([
    transaction.tables.directories.find({ name: user.directory }),
    findIdentity(transaction, user.directory, user.id),
  ]);
  return { directory, identity };
}
