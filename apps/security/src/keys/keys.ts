import type { webcrypto } from 'node:crypto';
import {
  type AccessContext,
  loadHandshakeKeys,
  loadRealmKeys,
  type RealmKey,
  retireHandshakeKeys,
  StoreError,
  storeRealmKey,
} from '@sallyport/access';
import {
  decodeText,
  encodeText,
  formatBase64Url,
  type KeyPair,
  type PublicKey,
  parseBase64Url,
  publicKeyOf,
} from '@sallyport/channel';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import { type CertificateAuthority, createCaKey, openCa } from './certificates.ts';

const DAY_MS = 86_400_000;
const HANDSHAKE_TTL_MS = 90 * DAY_MS;
/** A new handshake key is made when the newest is this old; two are valid meanwhile. */
const HANDSHAKE_ROTATE_MS = 45 * DAY_MS;
const SIGNING_TTL_MS = 3_650 * DAY_MS;

/** A signing key as jose takes it. */
export interface SigningKey {
  readonly id: string;
  readonly publicJwk: JWK;
  readonly privateKey: webcrypto.CryptoKey;
}

/** All keys of a realm that Security works with, unwrapped in memory. */
export interface RealmKeys {
  /** Static X25519 keys by kid, also those that no site map names yet. */
  readonly handshake: ReadonlyMap<number, KeyPair>;
  /** The newest that site maps name: for links. */
  readonly newestKid: number;
  /** Row id of the newest, and whether it is published. */
  readonly newestId: string;
  readonly published: boolean;
  /** Version of the site map with which these keys were read. */
  readonly mapVersion: number;
  readonly root: SigningKey;
  /** SHA-256 thumbprint of the root key (RFC 7638), 32 bytes: what devices pin. */
  readonly rootThumbprint: Uint8Array;
  readonly assertion: SigningKey;
  readonly ca: CertificateAuthority;
}

/** Loads the keys of a realm; makes those that are missing, and a new handshake key when the newest gets old. */
export async function openRealmKeys(access: AccessContext): Promise<RealmKeys> {
  await ensureHandshakeKeys(access);
  const root = await ensureSigningKey(access, 'root', 'EdDSA');
  return {
    ...(await handshakePart(access)),
    root,
    rootThumbprint: parseBase64Url(await calculateJwkThumbprint(root.publicJwk, 'sha256')),
    assertion: await ensureSigningKey(access, 'assertion', 'ES256'),
    ca: await openCa(await ensureCaKey(access)),
  };
}

/** The same keys with the handshake keys of this moment. */
export async function rereadHandshakeKeys(access: AccessContext, keys: RealmKeys): Promise<RealmKeys> {
  return { ...keys, ...(await handshakePart(access)) };
}

async function handshakePart(
  access: AccessContext,
): Promise<Pick<RealmKeys, 'handshake' | 'newestKid' | 'newestId' | 'published' | 'mapVersion'>> {
  const { keys, mapVersion } = await loadHandshakeKeys(access);
  const [newest] = keys;
  const named = keys.find(({ published }) => published);
  if (!newest || !named) throw new TypeError('the realm has no handshake key');
  return {
    handshake: new Map(keys.map((key) => [kidOf(key), keyPairOf(key)])),
    newestKid: kidOf(named),
    newestId: newest.id,
    published: newest.published,
    mapVersion,
  };
}

/** The clock that all nodes share, epoch ms. */
function storeTime({ store }: AccessContext): Promise<number> {
  return store.transaction(async (transaction) => transaction.now());
}

async function ensureHandshakeKeys(access: AccessContext): Promise<void> {
  await retireHandshakeKeys(access);
  const [newest] = (await loadHandshakeKeys(access)).keys;
  const createdAt = await storeTime(access);
  if (newest && createdAt - newest.createdAt < HANDSHAKE_ROTATE_MS) return;
  await ensureKey(access, 'handshake', () => newHandshakeKey(access));
}

/** A handshake key that no other has the number of; it is nowhere yet. */
export async function newHandshakeKey(access: AccessContext): Promise<RealmKey> {
  const { stored, createdAt } = await access.store.transaction(async ({ tables, now }) => ({
    stored: await tables.keys.count({ where: { purpose: 'handshake' } }),
    createdAt: now(),
  }));
  const pair = access.crypto.generateKeyPair();
  const kid = 1 + (access.crypto.randomBytes(4).reduce((value, byte) => value * 256 + byte, 0) % 0x7fffffff);
  return {
    // Numbered, so that of several nodes that make one together only one stores it.
    id: `handshake-${stored + 1}`,
    purpose: 'handshake',
    publicPart: { kid, key: formatBase64Url(pair.publicKey) },
    secret: pair.secretKey,
    createdAt,
    expiresAt: createdAt + HANDSHAKE_TTL_MS,
  };
}

function kidOf(key: RealmKey): number {
  return (key.publicPart as { kid: number }).kid;
}

function keyPairOf(key: RealmKey): KeyPair {
  const publicKey: PublicKey = publicKeyOf(parseBase64Url((key.publicPart as { key: string }).key));
  return { publicKey, secretKey: key.secret as KeyPair['secretKey'] };
}

async function ensureSigningKey(
  access: AccessContext,
  purpose: 'root' | 'assertion',
  algorithm: string,
): Promise<SigningKey> {
  const known = await loadRealmKeys(access, purpose);
  const keys =
    known.length > 0 ? known : await ensureKey(access, purpose, () => createSigningKey(access, purpose, algorithm));
  const key = keys[0]!;
  const privateJwk = JSON.parse(decodeText(key.secret)) as JWK;
  const privateKey = (await importJWK(privateJwk, algorithm)) as webcrypto.CryptoKey;
  return { id: key.id, publicJwk: key.publicPart as JWK, privateKey };
}

async function createSigningKey(
  access: AccessContext,
  purpose: 'root' | 'assertion',
  algorithm: string,
): Promise<RealmKey> {
  const pair = await generateKeyPair(algorithm, { extractable: true });
  const publicPart = (await exportJWK(pair.publicKey)) as RealmKey['publicPart'];
  const secret = encodeText(JSON.stringify(await exportJWK(pair.privateKey)));
  const createdAt = await storeTime(access);
  return {
    // One id for all nodes: of those that start together one stores its key, the others read it.
    id: `${purpose}-1`,
    purpose,
    publicPart,
    secret,
    createdAt,
    expiresAt: createdAt + SIGNING_TTL_MS,
  };
}

async function ensureCaKey(access: AccessContext): Promise<RealmKey> {
  const known = await loadRealmKeys(access, 'ca');
  if (known[0]) return known[0];
  const now = await storeTime(access);
  return (await ensureKey(access, 'ca', () => createCaKey(access.store.realm, 'ca', now)))[0]!;
}

async function ensureKey(
  access: AccessContext,
  purpose: RealmKey['purpose'],
  make: () => Promise<RealmKey>,
): Promise<RealmKey[]> {
  try {
    await storeRealmKey(access, await make());
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'ERR_STORE_CONFLICT') throw error;
  }
  return loadRealmKeys(access, purpose);
}
