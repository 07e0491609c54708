import { formatBase64Url } from '@sallyport/channel';
import { change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { bumpMapVersion, getRealm, readTime } from '../realm/realm.ts';
import { PURPOSES } from '../sealing/keyring.ts';
import { StoreError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';
import type { HandshakePart, KeyPurpose, KeyRow } from './rows.ts';

const DAY_MS = 86_400_000;
const HANDSHAKE_TTL_MS = 90 * DAY_MS;
/** A new handshake key is made when the newest is this old; two are valid meanwhile. */
const HANDSHAKE_ROTATE_MS = 45 * DAY_MS;

/** A key of the realm with its secret unwrapped. */
export type RealmKey = {
  [One in KeyPurpose]: Omit<KeyRow<One>, 'secret' | 'publishedAt' | 'retiredAt'> & { readonly secret: Uint8Array };
}[KeyPurpose];

/** A key of one purpose. */
export type RealmKeyOf<Purpose extends KeyPurpose> = Extract<RealmKey, { readonly purpose: Purpose }>;

/**
 * Stores a key, wrapped. Of two nodes that make one at the same time the first wins; read again after a conflict. A
 * handshake key is not published yet, unless it is the only one.
 */
async function storeRealmKey(access: AccessContext, key: RealmKey): Promise<void> {
  const secret = access.keyring.wrap(key.secret, PURPOSES.key(access.store.realm, key.id));
  await access.store.transaction(async (transaction) => {
    const { keys } = transaction.tables;
    const row = { ...key, secret, publishedAt: null, retiredAt: null };
    if (key.purpose !== 'handshake') return keys.insert(row);
    await bumpMapVersion(transaction);
    const others = (await keys.list({ where: { purpose: 'handshake', retiredAt: null } })).filter(isPublished);
    await keys.insert(others.length > 0 ? row : { ...row, publishedAt: transaction.now() });
  });
}

function isPublished({ publishedAt }: KeyRow): boolean {
  return publishedAt !== null;
}

/** Handshake keys that are good, with a version of the site map that is not newer than they are. */
export interface HandshakeKeys {
  /** Newest first; those behind the first published one are older. */
  readonly keys: readonly (RealmKeyOf<'handshake'> & { readonly published: boolean })[];
  readonly mapVersion: number;
}

/** All handshake keys that devices may come with, published or not. */
export async function loadHandshakeKeys(access: AccessContext): Promise<HandshakeKeys> {
  const { rows, mapVersion } = await access.store.transaction(async (transaction) => ({
    mapVersion: (await getRealm(transaction)).mapVersion,
    rows: await transaction.tables.keys.list({ where: { purpose: 'handshake', retiredAt: null } }),
  }));
  const keys = newestFirst(rows).flatMap((row) => {
    const key = unwrapKey(access, row);
    return key?.purpose === 'handshake' ? [{ ...key, published: isPublished(row) }] : [];
  });
  return { keys, mapVersion };
}

/**
 * Makes a new handshake key when the newest gets old, and retires those whose time is over. Of several nodes that do so together
 * one stores its key.
 */
export async function renewHandshakeKeys(access: AccessContext): Promise<void> {
  await retireHandshakeKeys(access);
  const [newest] = (await loadHandshakeKeys(access)).keys;
  if (newest && (await readTime(access.store)) - newest.createdAt < HANDSHAKE_ROTATE_MS) return;
  await ensureRealmKey(access, await newHandshakeKey(access));
}

/** Stores a key, unless another node was first. */
export async function ensureRealmKey(access: AccessContext, key: RealmKey): Promise<void> {
  try {
    await storeRealmKey(access, key);
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'ERR_STORE_CONFLICT') throw error;
  }
}

/** A handshake key that no other has the number of; it is nowhere yet. */
async function newHandshakeKey({ store, crypto }: AccessContext): Promise<RealmKeyOf<'handshake'>> {
  const { stored, createdAt } = await store.transaction(async ({ tables, now }) => ({
    stored: await tables.keys.count({ where: { purpose: 'handshake' } }),
    createdAt: now(),
  }));
  const pair = crypto.generateKeyPair();
  const kid = 1 + (crypto.randomBytes(4).reduce((value, byte) => value * 256 + byte, 0) % 0x7fffffff);
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

/** Lets site maps and links name a handshake key that every node has. */
export async function publishHandshakeKey(access: AccessContext, id: string): Promise<void> {
  await access.store.transaction(async (transaction) => {
    await bumpMapVersion(transaction);
    const where = { id, publishedAt: null, retiredAt: null };
    await transaction.tables.keys.update({ where }, { publishedAt: transaction.now() });
  });
}

/** Retires handshake keys whose time is over: their secrets are erased. Never the only one that is published. */
async function retireHandshakeKeys(access: AccessContext): Promise<void> {
  await access.store.transaction(async (transaction) => {
    const { keys } = transaction.tables;
    const now = transaction.now();
    const rows = newestFirst(await keys.list({ where: { purpose: 'handshake', retiredAt: null } }));
    const over = rows.filter(({ expiresAt, id }) => expiresAt <= now && id !== rows.find(isPublished)?.id);
    if (over.length === 0) return;
    await bumpMapVersion(transaction);
    for (const { id } of over) await keys.update({ where: { id } }, { retiredAt: now, secret: null });
  });
}

/**
 * Takes all handshake keys out of use but a new one, which is published at once: for keys that may be in wrong hands. Their
 * secrets are erased, site maps name them as revoked. Gives their kids.
 */
export async function replaceHandshakeKeys(access: AccessContext, by: Actor): Promise<readonly number[]> {
  const key = await newHandshakeKey(access);
  const secret = access.keyring.wrap(key.secret, PURPOSES.key(access.store.realm, key.id));
  return change(access, by, async (begun) => {
    const { keys } = begun.tables;
    const old = await keys.list({ where: { purpose: 'handshake', retiredAt: null } });
    await bumpMapVersion(begun);
    for (const { id } of old) await keys.update({ where: { id } }, { retiredAt: begun.at, secret: null });
    await keys.insert({ ...key, secret, publishedAt: begun.at, retiredAt: null });
    begun.audit('handshake-keys.replace', key.id);
    return handshakeParts(old).map(({ kid }) => kid);
  });
}

/** The handshake keys of a site map: from rows alone, so that all nodes make the same map of one version. */
export interface MapKeys {
  /** Published, the newest first. */
  readonly published: readonly HandshakePart[];
  /** Retired, the newest first. */
  readonly retired: readonly HandshakePart[];
}

/** Retired keys that a site map names at most: those of about eight years. */
const MAX_RETIRED = 64;

/** Public parts of the handshake keys that a site map shows. */
export async function readMapKeys({ tables }: Transaction): Promise<MapKeys> {
  const rows = newestFirst(await tables.keys.list({ where: { purpose: 'handshake' } }));
  const retired = rows.filter(({ retiredAt }) => retiredAt !== null).slice(0, MAX_RETIRED);
  return {
    published: handshakeParts(rows.filter((row) => isPublished(row) && row.retiredAt === null)),
    retired: handshakeParts(retired),
  };
}

function handshakeParts(rows: readonly KeyRow[]): HandshakePart[] {
  return rows.flatMap((row) => (row.purpose === 'handshake' ? [row.publicPart] : []));
}

function newestFirst(rows: readonly KeyRow[]): KeyRow[] {
  return [...rows].sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1));
}

/** All keys of a purpose that have not expired, newest first. */
export async function loadRealmKeys<Purpose extends KeyPurpose>(
  access: AccessContext,
  purpose: Purpose,
): Promise<RealmKeyOf<Purpose>[]> {
  const { rows, now } = await access.store.transaction(async (transaction) => ({
    rows: await transaction.tables.keys.list({ where: { purpose } }),
    now: transaction.now(),
  }));
  const good = newestFirst(rows.filter(({ expiresAt }) => expiresAt > now));
  const isOf = (key: RealmKey): key is RealmKeyOf<Purpose> => key.purpose === purpose;
  return good.flatMap((row) => unwrapKey(access, row) ?? []).filter(isOf);
}

function unwrapKey(access: AccessContext, row: KeyRow): RealmKey | undefined {
  const { secret, publishedAt: _, retiredAt: __, ...key } = row;
  if (!secret) return undefined;
  return { ...key, secret: access.keyring.unwrap(secret, PURPOSES.key(access.store.realm, key.id)) };
}
