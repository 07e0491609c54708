import { encodeText, equalBytes } from '@sallyport/channel';
import { change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { randomId } from '../realm/ids.ts';
import { getRealm } from '../realm/realm.ts';
import { isOurToken, makeToken } from '../realm/tokens.ts';
import type { LeaseRow } from '../revocation/rows.ts';
import { readPolicySet, sitesServing } from '../rights/policies.ts';
import type { ResourceRow } from '../rights/rows.ts';
import { AccessError } from '../store/errors.ts';
import { missing } from '../store/missing.ts';
import type { ListPage } from '../store/pages.ts';
import type { Transaction } from '../store/store.ts';
import { notePodRenewal } from './pods.ts';
import type { JoinTokenRow, ProxyRow } from './rows.ts';

/** Life of a join token unless said otherwise, in ms. */
const JOIN_TTL_MS = 600_000;

/** How long a node may go by what it knows of a Proxy, ms. */
export const PROXY_KEPT_MS = 1_000;

/** A token with which one Proxy may ask for its certificate once. */
export interface JoinToken {
  readonly id: string;
  readonly secret: string;
  readonly expiresAt: number;
}

/** Which Proxy may join, and what of one that is there already it may take. */
export interface JoinOrder {
  readonly name: string;
  readonly site: string;
  readonly ttlMs?: number | undefined;
  /** Takes the place of the Proxy that has this name now; its certificate is worth nothing from then on. */
  readonly replace?: boolean | undefined;
  /** The Proxy of this name belonged to another site until now. */
  readonly moveSite?: boolean | undefined;
}

/** What a certificate says of its holder: a name, and the SHA-256 of the public key (SPKI, DER), hex. The key is who it is. */
export interface ProxyKey {
  readonly name: string;
  readonly keyHash: string;
}

/**
 * Issues a join token for a Proxy of a site.
 * @throws AccessError ERR_ACCESS_CONFLICT for a name that is in use, or at another site, unless the order says so
 */
export async function issueJoinToken(access: AccessContext, order: JoinOrder, by: Actor): Promise<JoinToken> {
  const id = randomId(access.crypto);
  const secret = makeToken(access, 'spj');
  return change(access, by, async (begun) => {
    const { proxies, joinTokens } = begun.tables;
    const taken = takenBy(order, await proxies.find({ name: order.name }));
    const expiresAt = begun.at + (order.ttlMs ?? JOIN_TTL_MS);
    const tokenHash = access.crypto.sha256(encodeText(secret));
    await joinTokens.insert({ id, tokenHash, proxy: order.name, site: order.site, expiresAt, ...taken });
    begun.audit(taken.replaces === null ? 'proxy.invite' : 'proxy.replace', order.name);
    return { id, secret, expiresAt };
  });
}

/** What of the present Proxy a token may take: whom it replaces, and which site it may leave. */
function takenBy(
  { name, site, replace, moveSite }: JoinOrder,
  present: ProxyRow | undefined,
): Pick<JoinTokenRow, 'replaces' | 'movesFrom'> {
  if (!present) return { replaces: null, movesFrom: null };
  const live = present.revokedAt === null;
  if (live && !replace)
    throw new AccessError('ERR_ACCESS_CONFLICT', `a Proxy ${name} has joined already: say that this one replaces it`);
  const moves = present.site !== site;
  if (moves && !moveSite)
    throw new AccessError(
      'ERR_ACCESS_CONFLICT',
      `${name} belongs to site ${present.site}: say that it moves to ${site}`,
    );
  return { replaces: live ? present.joinedAt : null, movesFrom: moves ? present.site : null };
}

/** True for the secret of a token that this realm made: cheap to tell, whatever became of it. */
export function isJoinToken(access: AccessContext, secret: string): boolean {
  return isOurToken(access, 'spj', secret);
}

/**
 * Takes a join token, once: the Proxy is from now on whoever has the key. The same key again gets the same answer while the token lives,
 * because an answer may be lost. Undefined when the token is not good or was another key's, or when its name means another Proxy than
 * when it was issued.
 */
export async function redeemJoinToken(
  access: AccessContext,
  { id, secret }: Pick<JoinToken, 'id' | 'secret'>,
  keyHash: string,
): Promise<ProxyRow | undefined> {
  if (!isJoinToken(access, secret)) return undefined;
  const fresh = access.crypto.sha256(encodeText(secret));
  const taken = access.crypto.sha256(encodeText(`${secret} ${keyHash}`));
  const isGood = ({ tokenHash, expiresAt }: JoinTokenRow, now: number): boolean =>
    expiresAt > now && (equalBytes(tokenHash, fresh) || equalBytes(tokenHash, taken));
  const known = await access.store.transaction(async (transaction) => {
    const row = await transaction.tables.joinTokens.find({ id });
    return row && isGood(row, transaction.now()) ? row : undefined;
  });
  // Whoever has a copy of one that is used or over takes no lock, however often it is shown.
  if (!known) return undefined;
  return change(access, { actor: known.proxy, reason: 'redeemed a join token' }, async (begun) => {
    const { joinTokens, proxies } = begun.tables;
    const row = await joinTokens.find({ id }, 'update');
    if (!row || !isGood(row, begun.at)) return begun.unchanged();
    const present = await proxies.find({ name: row.proxy }, 'update');
    if (equalBytes(row.tokenHash, taken)) {
      begun.unchanged();
      return present && isStill(present, row, keyHash) ? present : undefined;
    }
    if (!mayTake(row, present)) return begun.unchanged();
    // From now on it is a token of this key alone.
    await joinTokens.update({ where: { id } }, { tokenHash: taken });
    await proxies.remove({ where: { name: row.proxy } });
    const joinedAt = Math.max(begun.at, (present?.joinedAt ?? 0) + 1);
    const proxy = { name: row.proxy, site: row.site, joinedAt, revokedAt: null, keyHash, nextKeyHash: null };
    await proxies.insert(proxy);
    begun.audit('proxy.join', row.proxy);
    return proxy;
  });
}

/** Whether the Proxy that took a token is the one that has its name now. */
function isStill({ revokedAt, ...present }: ProxyRow, { site }: JoinTokenRow, keyHash: string): boolean {
  return revokedAt === null && present.keyHash === keyHash && present.site === site;
}

function mayTake({ site, replaces, movesFrom }: JoinTokenRow, present: ProxyRow | undefined): boolean {
  if (!present) return true;
  if (present.revokedAt === null && present.joinedAt !== replaces) return false;
  return present.site === site || present.site === movesFrom;
}

/**
 * The Proxy that holds a key: the present one, or the one that its last renewal made. Undefined for one that is unknown or
 * revoked, and for every other key, whatever name its certificate says.
 */
export async function findProxy(access: AccessContext, key: ProxyKey): Promise<ProxyRow | undefined> {
  return access.store.transaction((transaction) => proxyOf(transaction, key));
}

/** The same within a transaction. */
export async function proxyOf(transaction: Transaction, { name, keyHash }: ProxyKey): Promise<ProxyRow | undefined> {
  const row = await transaction.tables.proxies.find({ name });
  if (row?.revokedAt !== null) return undefined;
  if (row.keyHash === null) return adoptKey(transaction, { name, keyHash });
  return row.keyHash === keyHash || row.nextKeyHash === keyHash ? row : undefined;
}

/** A Proxy that joined under a version which did not know keys is who comes first. */
async function adoptKey(transaction: Transaction, { name, keyHash }: ProxyKey): Promise<ProxyRow | undefined> {
  const { proxies } = transaction.tables;
  const row = await proxies.find({ name }, 'update');
  if (row?.revokedAt !== null || row.keyHash !== null) return row?.keyHash === keyHash ? row : undefined;
  await proxies.update({ where: { name } }, { keyHash });
  return { ...row, keyHash };
}

/** The Proxy of a beat. From the first beat by its new key on, the one before is worth nothing. */
export async function proxyOfBeat(transaction: Transaction, key: ProxyKey): Promise<ProxyRow | undefined> {
  const row = await proxyOf(transaction, key);
  if (row?.nextKeyHash !== key.keyHash) return row;
  const present = { keyHash: key.keyHash, nextKeyHash: null };
  await transaction.tables.proxies.update({ where: { name: key.name } }, present);
  return { ...row, ...present };
}

/**
 * Lets a Proxy change its key: whoever holds the present one names the next. Both are good until the next one beats, so
 * that no lost answer locks a Proxy out. Undefined for every other key.
 */
export async function renewProxy(
  access: AccessContext,
  present: ProxyKey,
  nextKeyHash: string,
): Promise<ProxyRow | undefined> {
  const by = { actor: present.name, reason: 'the certificate ends soon' };
  return change(access, by, async (begun) => {
    const { proxies } = begun.tables;
    const row = await proxies.find({ name: present.name }, 'update');
    if (row?.revokedAt !== null || row.keyHash !== present.keyHash) return begun.unchanged();
    await proxies.update({ where: { name: present.name } }, { nextKeyHash });
    await notePodRenewal(begun, present.name);
    begun.audit('proxy.renew', present.name);
    return { ...row, nextKeyHash };
  });
}

/**
 * Takes a Proxy's right to talk to Security; false for an unknown one. Every lease that it was given is committed before: none
 * is extended any more, and none appears.
 */
export async function revokeProxy(access: AccessContext, name: string, by: Actor): Promise<boolean> {
  return change(access, by, async (begun) => {
    const { proxies } = begun.tables;
    const row = await proxies.find({ name }, 'update');
    if (row?.revokedAt !== null) {
      begun.unchanged();
      return row !== undefined;
    }
    await proxies.update({ where: { name } }, { revokedAt: begun.at });
    // In the log, so that a restore of an older backup does not let it in again.
    await begun.enter({ kind: 'proxy', subject: name });
    begun.audit('proxy.revoke', name);
    return true;
  });
}

/**
 * Gives a Proxy another site. What it may serve there it asks for anew: channels and grants belong to the site where they were opened,
 * so they end when it reads its rights again, which all do. False for one that is there already: whoever moved it may not have waited.
 * @throws AccessError ERR_ACCESS_NOT_FOUND for a site or Proxy that is not there
 */
export async function moveProxy(
  access: AccessContext,
  { name, site }: Pick<ProxyRow, 'name' | 'site'>,
  by: Actor,
): Promise<boolean> {
  return change(access, by, async (begun) => {
    const { proxies, sites } = begun.tables;
    const row = await proxies.find({ name }, 'update');
    if (row?.revokedAt !== null) throw missing('Proxy', name);
    if (!(await sites.find({ name: site }))) throw missing('site', site);
    if (row.site === site) {
      begun.unchanged();
      return false;
    }
    await proxies.update({ where: { name } }, { site });
    await begun.rereadRights('*');
    begun.audit('proxy.move', `${name} from ${row.site} to ${site}`);
    return true;
  });
}

/** All Proxies, also those that were revoked. */
export async function listProxies(access: AccessContext): Promise<readonly ProxyRow[]> {
  return access.store.transaction(({ tables }) => tables.proxies.list());
}

/** Proxies that may hear of the backend of a resource. */
export async function proxiesServing({ store }: AccessContext, resource: ResourceRow): Promise<readonly ProxyRow[]> {
  return store.transaction(async (transaction) => {
    const sites = sitesServing(await readPolicySet(transaction), resource);
    const proxies = await transaction.tables.proxies.list({ where: { revokedAt: null } });
    return proxies.filter(({ site }) => sites.includes(site));
  });
}

/** Proxies, and what is known of leases, as they were at one moment of the store's clock (epoch ms). */
export interface ProxiesWithLeases {
  readonly proxies: readonly ProxyRow[];
  readonly leases: readonly LeaseRow[];
  readonly now: number;
  /** Index of the newest entry of the revocation log. */
  readonly head: number;
}

/** A page of Proxies by name, those that were revoked, too; `after` is the last name of the page before. */
export function listProxiesWithLeases(
  { store }: AccessContext,
  { after, limit }: ListPage,
): Promise<ProxiesWithLeases> {
  return store.transaction(async (transaction) => {
    const { tables } = transaction;
    const proxies = await tables.proxies.list({ above: ['name', after], limit });
    const { head } = await getRealm(transaction);
    return { proxies, leases: await tables.leases.list(), now: transaction.now(), head };
  });
}
