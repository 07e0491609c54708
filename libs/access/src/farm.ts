import { encodeText, equalBytes } from '@sallyport/channel';
import { appendAudit } from './audit.ts';
import { change } from './change.ts';
import type { AccessContext, Actor } from './context.ts';
import { randomId } from './ids.ts';
import { bumpMapVersion } from './realm.ts';
import type { ProxyRow, SiteRow } from './tables.ts';
import { isOurToken, makeToken } from './tokens.ts';

/** Life of a join token unless said otherwise, in ms. */
const JOIN_TTL_MS = 600_000;

/** A token with which one new Proxy may ask for its certificate once. */
export interface JoinToken {
  readonly id: string;
  readonly secret: string;
  readonly expiresAt: number;
}

/** Issues a join token for a Proxy of a site. */
export async function issueJoinToken(
  access: AccessContext,
  proxy: { readonly name: string; readonly site: string; readonly ttlMs?: number },
  by: Actor,
): Promise<JoinToken> {
  const id = randomId(access.crypto);
  const secret = makeToken(access, 'spj');
  return access.store.transaction(async (transaction) => {
    const at = transaction.now();
    const expiresAt = at + (proxy.ttlMs ?? JOIN_TTL_MS);
    const tokenHash = access.crypto.sha256(encodeText(secret));
    await transaction.tables.joinTokens.insert({ id, tokenHash, proxy: proxy.name, site: proxy.site, expiresAt });
    await appendAudit(transaction, access.crypto, {
      ...by,
      action: 'proxy.invite',
      subject: proxy.name,
      outcome: 'done',
      at,
    });
    return { id, secret, expiresAt };
  });
}

/** Takes a join token, once; undefined when it is not good. */
export async function redeemJoinToken(
  access: AccessContext,
  id: string,
  secret: string,
): Promise<ProxyRow | undefined> {
  if (!isOurToken(access, 'spj', secret)) return undefined;
  return access.store.transaction(async (transaction) => {
    const { joinTokens, proxies } = transaction.tables;
    const row = await joinTokens.find({ id }, 'update');
    const good =
      row && equalBytes(row.tokenHash, access.crypto.sha256(encodeText(secret))) && row.expiresAt > transaction.now();
    if (!good) return undefined;
    await joinTokens.remove({ where: { id } });
    await proxies.remove({ where: { name: row.proxy } });
    const proxy = { name: row.proxy, site: row.site, joinedAt: transaction.now(), revokedAt: null };
    await proxies.insert(proxy);
    const event = {
      actor: row.proxy,
      reason: 'redeemed a join token',
      action: 'proxy.join',
      subject: row.proxy,
    } as const;
    await appendAudit(transaction, access.crypto, { ...event, outcome: 'done', at: transaction.now() });
    return proxy;
  });
}

/** A Proxy that may talk to Security; undefined for an unknown or revoked one. */
export async function findProxy(access: AccessContext, name: string): Promise<ProxyRow | undefined> {
  return access.store.transaction(async ({ tables }) => {
    const row = await tables.proxies.find({ name });
    return row?.revokedAt === null ? row : undefined;
  });
}

/** Takes a Proxy's right to talk to Security; false for an unknown one. Its lease is not extended any more. */
export async function revokeProxy(access: AccessContext, name: string, by: Actor): Promise<boolean> {
  // The realm's lock keeps beats away: none that found it unrevoked is recorded after the commit.
  return change(access, by, async (begun) => {
    const where = { name, revokedAt: null };
    const found = await begun.tables.proxies.update({ where }, { revokedAt: begun.at });
    if (found === 0) begun.unchanged();
    else begun.audit('proxy.revoke', name);
    return found > 0;
  });
}

/** All Proxies, also those that were revoked. */
export async function listProxies(access: AccessContext): Promise<readonly ProxyRow[]> {
  return access.store.transaction(({ tables }) => tables.proxies.list());
}

/** Creates or replaces a site. */
export async function putSite(access: AccessContext, site: SiteRow, by: Actor): Promise<void> {
  await change(access, by, async (begun) => {
    await bumpMapVersion(begun);
    const { name, ...content } = site;
    const { sites } = begun.tables;
    const before = await sites.find({ name });
    if (before) await sites.update({ where: { name } }, content);
    else await sites.insert(site);
    // What is no longer served there ends.
    if (String(before?.resources) !== String(site.resources)) await begun.rereadRights('*');
    begun.audit('site.put', name);
  });
}

/** All sites. */
export async function listSites(access: AccessContext): Promise<readonly SiteRow[]> {
  return access.store.transaction(({ tables }) => tables.sites.list());
}
