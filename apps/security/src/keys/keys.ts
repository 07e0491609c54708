import { createHmac, createPrivateKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import {
  type AccessContext,
  ensureRealmKey,
  type LastingKeyState,
  type LastingPurpose,
  listLastingKeys,
  listRootParts,
  loadHandshakeKeys,
  loadRealmKeys,
  type MakeNextKey,
  type PublicJwk,
  type RealmKey,
  type RealmKeyOf,
  readTime,
  renewHandshakeKeys,
} from '@sallyport/access';
import {
  decodeText,
  encodeText,
  formatBase64Url,
  type KeyPair,
  NEXT_ROOT_TYPE,
  nextRootPayload,
  type PublicKey,
  parseBase64Url,
  publicKeyOf,
} from '@sallyport/channel';
import { CompactSign, calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';
import { authorityOf, type CertificateAuthority, createCaKey, createNextCaKey, openCa } from './certificates.ts';

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
  /**
   * SHA-256 thumbprint of the oldest root key that is trusted (RFC 7638), 32 bytes: what links pin. It leads to the one in use, also in
   * a site map that a Proxy has kept from before that was used.
   */
  readonly rootThumbprint: Uint8Array;
  /** By which each root key named the next one, the oldest first. */
  readonly rootStatements: readonly string[];
  /** What the keys come from that sign updates online, 32 bytes: the same for every root key of the realm. */
  readonly updateSeed: Uint8Array;
  readonly assertion: SigningKey;
  /** Public parts of all keys by which assertions may have been signed, with those that are to sign. */
  readonly assertions: readonly { readonly id: string; readonly publicJwk: JWK }[];
  readonly ca: CertificateAuthority;
  /** CAs that are trusted, PEM, the one in use first. */
  readonly authorities: readonly string[];
  /** Ids of all of these that last. */
  readonly lastingIds: readonly string[];
  /** Whether one of them is being replaced. */
  readonly changing: boolean;
}

/**
 * Loads the keys of a realm; makes those that are missing, and a new handshake key when the newest gets old. A realm that has no
 * root key yet takes the one that is given: a private JWK, by which devices know the realm that it takes the place of.
 */
export async function openRealmKeys(access: AccessContext, givenRoot?: JWK): Promise<RealmKeys> {
  await renewHandshakeKeys(access);
  await ensureSigningKey(access, 'root', { algorithm: 'EdDSA', given: givenRoot });
  await ensureSigningKey(access, 'assertion', { algorithm: 'ES256', given: undefined });
  await ensureCaKey(access);
  return readRealmKeys(access);
}

/** The keys of this moment, of a realm that has all of them. */
export async function readRealmKeys(access: AccessContext): Promise<RealmKeys> {
  const handshake = await handshakePart(access);
  const states = await listLastingKeys(access);
  const rootKey = await usedKey(access, 'root', states);
  const root = signingKeyOf(rootKey);
  const oldest = states.findLast(({ purpose }) => purpose === 'root');
  const authorities = await loadRealmKeys(access, 'ca');
  const ca = await usedKey(access, 'ca', states);
  const older = states.filter(({ purpose, state }) => purpose === 'ca' && state === 'trusted').map(authorityOf);
  const others = authorities.filter(({ id }) => id !== ca.id).map(authorityOf);
  const parts = await listRootParts(access);
  return {
    ...handshake,
    root,
    rootThumbprint: parseBase64Url(
      await calculateJwkThumbprint((oldest?.publicPart ?? root.publicJwk) as JWK, 'sha256'),
    ),
    rootStatements: parts.flatMap((part) => (part as KeyPartsOfRoot).statement ?? []),
    updateSeed: updateSeedOf(rootKey),
    assertion: signingKeyOf(await usedKey(access, 'assertion', states)),
    assertions: states
      .filter(({ purpose }) => purpose === 'assertion')
      .map(({ id, publicPart }) => ({ id, publicJwk: publicPart as JWK })),
    ca: await openCa(ca, older),
    authorities: [authorityOf(ca), ...others],
    lastingIds: states.map(({ id }) => id),
    changing: states.some(({ state }) => state !== 'in use'),
  };
}

interface KeyPartsOfRoot {
  readonly statement?: string;
}

/** The key of a purpose that is in use. */
async function usedKey(
  access: AccessContext,
  purpose: LastingPurpose,
  states: readonly LastingKeyState[],
): Promise<RealmKey> {
  const used = states.find((key) => key.purpose === purpose && key.state === 'in use');
  const key = (await loadRealmKeys(access, purpose)).find(({ id }) => id === used?.id);
  if (!key) throw new TypeError(`the realm has no key of purpose ${purpose}`);
  return key;
}

/** Makes the key that is to take the place of the one in use, which vouches for it where others know them. */
export function nextKeyOf(access: AccessContext, purpose: LastingPurpose): MakeNextKey {
  const { realm } = access.store;
  return async (id) => {
    const before = await usedKey(access, purpose, await listLastingKeys(access));
    const now = await readTime(access.store);
    if (purpose === 'ca') return createNextCaKey(before, { realm, id, now });
    const kind = { algorithm: purpose === 'root' ? 'EdDSA' : 'ES256', given: undefined, id };
    const next = await createSigningKey(access, purpose, kind);
    if (purpose === 'assertion') return next;
    const publicPart = next.publicPart as JWK;
    const { privateKey, publicJwk } = signingKeyOf(before);
    const payload = nextRootPayload(realm, parseBase64Url(await calculateJwkThumbprint(publicPart, 'sha256')));
    const statement = await new CompactSign(encodeText(payload))
      .setProtectedHeader({ alg: 'EdDSA', typ: NEXT_ROOT_TYPE, jwk: publicJwk })
      .sign(privateKey);
    const secret = { ...privateJwkOf(next), updates: formatBase64Url(updateSeedOf(before)) };
    return {
      ...next,
      publicPart: { ...publicPart, statement },
      secret: encodeText(JSON.stringify(secret)),
    } as RealmKey;
  };
}

/** The same keys with the handshake keys of this moment: cheap, for whoever asks for one that is not known. */
export async function rereadHandshakeKeys(access: AccessContext, keys: RealmKeys): Promise<RealmKeys> {
  return { ...keys, ...(await handshakePart(access)), mapVersion: keys.mapVersion };
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
): Promise<void> {
  const known = await loadRealmKeys(access, purpose);
  if (known.length > 0) return;
  // One id for all nodes: of those that start together one stores its key, the others read it.
  await ensureRealmKey(access, await createSigningKey(access, purpose, { algorithm, given, id: `${purpose}-1` }));
}

/** A private key as it is wrapped; `updates`: what a root key has kept of the first one. */
type SecretJwk = JsonWebKey & { readonly updates?: string };

function privateJwkOf({ secret }: Pick<RealmKey, 'secret'>): SecretJwk {
  return JSON.parse(decodeText(secret)) as SecretJwk;
}

/** The extract step of HKDF (RFC 5869) over the first root key: metadata of updates names keys that come from it, and outlives it. */
function updateSeedOf(root: Pick<RealmKey, 'secret'>): Uint8Array {
  const { d = '', updates } = privateJwkOf(root);
  return updates === undefined
    ? createHmac('sha256', 'sallyport').update(parseBase64Url(d)).digest()
    : parseBase64Url(updates);
}

function signingKeyOf(key: RealmKey): SigningKey {
  const { id, publicPart } = key;
  const { updates: __, ...privateJwk } = privateJwkOf(key);
  const privateKey = createPrivateKey({ key: privateJwk, format: 'jwk' });
  const { statement: _, ...publicJwk } = publicPart as JWK & KeyPartsOfRoot;
  return { id, publicJwk, privateKey };
}

async function createSigningKey(
  access: AccessContext,
  purpose: 'root' | 'assertion',
  { algorithm, given, id }: SigningKind & { readonly id: string },
): Promise<RealmKey> {
  const privateJwk = given ?? (await exportJWK((await generateKeyPair(algorithm, { extractable: true })).privateKey));
  const { d: _, updates: __, ...publicPart }: PublicJwk & { d?: string; updates?: string } = privateJwk;
  const secret = encodeText(JSON.stringify(privateJwk));
  const createdAt = await readTime(access.store);
  return {
    id,
    purpose,
    publicPart,
    secret,
    createdAt,
    expiresAt: createdAt + SIGNING_TTL_MS,
  };
}

async function ensureCaKey(access: AccessContext): Promise<void> {
  const known = await loadRealmKeys(access, 'ca');
  if (known.length > 0) return;
  await ensureRealmKey(access, await createCaKey(access.store.realm, 'ca', await readTime(access.store)));
}
