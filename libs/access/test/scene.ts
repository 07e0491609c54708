import { deriveCodeKey, formatHex, parseActivationCode } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import {
  type AccessContext,
  createKeyring,
  type DirectoryChange,
  type EnrolRequest,
  type EnrolResult,
  enrol,
  ensureRealm,
  type ForgedRow,
  findCodeHolder,
  type Keyring,
  type PasswordHasher,
  type RealmStore,
  sealedStore,
  verifyPassword,
} from '../src/index.ts';
import { MemoryStore } from '../src/store.ts';

/** Fast stand-in for argon2: only its contract matters here. */
const passwords: PasswordHasher = {
  hash: async (password) => `hashed:${password}`,
  verify: async (stored, password) => stored === `hashed:${password}`,
};

export const BY = { actor: 'olga', reason: 'unit test' };

/** What an operator says of a directory of a kind; nothing of it answers. */
export function directoryOf<Kind extends DirectoryChange['kind']>(
  kind: Kind,
  stage: DirectoryChange['stage'] = 'active',
): Extract<DirectoryChange, { kind: Kind }> {
  const changes: readonly DirectoryChange[] = [
    {
      kind: 'ldap',
      stage,
      settings: { servers: ['ldaps://corp'], flavour: 'ad', bindDn: 'cn=reader', base: 'dc=corp' },
    },
    { kind: 'oidc', stage, settings: { issuer: 'https://corp', clientId: 'gateway', redirects: ['app:back'] } },
    { kind: 'scim', stage, settings: {} },
  ];
  const isOf = (change: DirectoryChange): change is Extract<DirectoryChange, { kind: Kind }> => change.kind === kind;
  return changes.find(isOf)!;
}

/** Nobody writes past the rules here. */
function noForgery({ table, key }: ForgedRow): void {
  throw new Error(`a row of ${table} does not fit its seal: ${key}`);
}

/** A realm in memory on a clock that the test moves. */
export async function scene(
  realm = 'main',
  store?: MemoryStore,
): Promise<{ access: AccessContext; clock: { now: number }; store: MemoryStore }> {
  const clock = { now: 1_800_000_000_000 };
  const used = store ?? new MemoryStore(() => clock.now);
  return { access: await realmOn(used.in(realm)), clock, store: used };
}

const crypto = nodeCrypto();
/** The key-encryption key of every realm here. */
export const KEYRING: Keyring = createKeyring(crypto, new Map([[1, new Uint8Array(32).fill(1)]]), 1);

/** A new realm on any store. */
export async function realmOn(store: RealmStore): Promise<AccessContext> {
  const keyring = KEYRING;
  const access = { store: sealedStore(store, keyring, noForgery), crypto, keyring, passwords };
  await ensureRealm(access);
  return access;
}

/** Enrols with name and password, as a local user does; a wrong secret of the code ends it, as a handshake would. */
export async function enrolWithPassword(
  access: AccessContext,
  { password, code, ...request }: Omit<EnrolRequest, 'verify'> & { readonly password: string },
): Promise<EnrolResult> {
  const { id, secret } = parseActivationCode(code)!;
  const holder = await findCodeHolder(access, id);
  if (!holder || formatHex(holder.key) !== formatHex(deriveCodeKey(access.crypto, { secret })))
    return { status: 'refused', code: 'CODE_INVALID' };
  const verify: EnrolRequest['verify'] = async () => {
    const user = holder.user.name === request.user ? holder.user : undefined;
    return { fit: await verifyPassword(access, user, password), why: 'the password is wrong' };
  };
  return enrol(access, { ...request, code: id, verify });
}
