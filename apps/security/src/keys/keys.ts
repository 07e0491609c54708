import { createPrivateKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import {
  type AccessContext,
  ensureRealmKey,
  loadHandshakeKeys,
  loadRealmKeys,
  type PublicJwk,
  type RealmKey,
  type RealmKeyOf,
  readTime,
  renewHandshakeKeys,
} from '@sallyport/access';
import { decodeText, encodeText, type KeyPair, type PublicKey, parseBase64Url, publicKeyOf } from '@sallyport/channel';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';
import { type CertificateAuthority, createCaKey, openCa } from './certificates.ts';

const DAY_MS = 86_400_000;
const SIGNING_TTL_MS = 3_650 * DAY_MS;

/** A signing key, as Node and jose take it. */
export interface SigningKey {
  readonly id: string;
  readonly publicJwk: JWK;
  readonly privateKey: KeyObject;
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

/**
 * Loads the keys of a realm; makes those that are missing, and a new handshake key when the newest gets old. A realm that has no
 * root key yet takes the one that is given: a private JWK, by which devices know the realm that it takes the place of.
 */
export async function openRealmKeys(access: AccessContext, givenRoot?: JWK): Promise<RealmKeys> {
  await renewHandshakeKeys(access);
  const root = await ensureSigningKey(access, 'root', { algorithm: 'EdDSA', given: givenRoot });
  return {
    ...(await handshakePart(access)),
    root,
    rootThumbprint: parseBase64Url(await calculateJwkThumbprint(root.publicJwk, 'sha256')),
    assertion: await ensureSigningKey(access, 'assertion', { algorithm: 'ES256', given: undefined }),
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

function kidOf(key: RealmKeyOf<'handshake'>): number {
  return key.publicPart.kid;
}

function keyPairOf(key: RealmKeyOf<'handshake'>): KeyPair {
  const publicKey: PublicKey = publicKeyOf(parseBase64Url(key.publicPart.key));
  return { publicKey, secretKey: key.secret as KeyPair['secretKey'] };
}

interface SigningKind {
  readonly algorithm: string;
  /** A private JWK that is to be the key. */
  readonly given: JWK | undefined;
}

async function ensureSigningKey(
  access: AccessContext,
  purpose: 'root' | 'assertion',
  { algorithm, given }: SigningKind,
): Promise<SigningKey> {
  const known = await loadRealmKeys(access, purpose);
  const keys =
    known.length > 0
      ? known
      : await ensureKey(access, purpose, () => createSigningKey(access, purpose, { algorithm, given }));
  const key = keys[0]!;
  const privateJwk = JSON.parse(decodeText(key.secret)) as JsonWebKey;
  const privateKey = createPrivateKey({ key: privateJwk, format: 'jwk' });
  return { id: key.id, publicJwk: key.publicPart as JWK, privateKey };
}

async function createSigningKey(
  access: AccessContext,
  purpose: 'root' | 'assertion',
  { algorithm, given }: SigningKind,
): Promise<RealmKey> {
  const privateJwk = given ?? (await exportJWK((await generateKeyPair(algorithm, { extractable: true })).privateKey));
  const { d: _, ...publicPart }: PublicJwk & { d?: string } = privateJwk;
  const secret = encodeText(JSON.stringify(privateJwk));
  const createdAt = await readTime(access.store);
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
  const now = await readTime(access.store);
  return (await ensureKey(access, 'ca', () => createCaKey(access.store.realm, 'ca', now)))[0]!;
}

async function ensureKey(
  access: AccessContext,
  purpose: RealmKey['purpose'],
  make: () => Promise<RealmKey>,
): Promise<RealmKey[]> {
  await ensureRealmKey(access, await make());
  return loadRealmKeys(access, purpose);
}
