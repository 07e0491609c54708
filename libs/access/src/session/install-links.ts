import { encodeText, formatHex } from '@sallyport/channel';
import { usableApp } from '../apps/app-rule.ts';
import type { AppRow, InstallLinkRow, ReleaseRow } from '../apps/rows.ts';
import type { UserRow } from '../people/rows.ts';
import { groupsOf } from '../people/users.ts';
import { type Change, change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { isOurToken, makeToken } from '../realm/tokens.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';
import { isRolledOut, liveReleases, newestBySystem, offeredReleases, type UpdateAsker } from './offers.ts';

/** How long a link is good unless said otherwise, ms. */
const LINK_TTL_MS = 86_400_000;
/** How long what a link opened is good, ms: a download that breaks off goes on in that time. */
const CLAIM_TTL_MS = 3_600_000;
/** How often a claim may be used: a package in pieces, a manifest, and some breaks. */
const MAX_READS = 64;

/** Links that a device may have made and nobody has used: whoever makes more waits. */
const MAX_OPEN_LINKS = 16;

/** A link for one user and one app. The token is shown once. */
export interface IssuedInstallLink {
  readonly token: string;
  readonly expiresAt: number;
}

/** What a link is to be for; `origin` is where it leads, `https://host`. */
export interface WantedInstallLink {
  readonly app: string;
  readonly user: string;
  readonly origin: string;
  readonly ttlMs?: number | undefined;
}

/**
 * Makes a link by which a user installs an app where nothing of the realm is yet.
 * @throws AccessError ERR_ACCESS_NOT_FOUND for an unknown app, a user who is out, or one who may not have the app
 */
export async function issueInstallLink(
  access: AccessContext,
  { app: appId, user: userName, origin, ttlMs = LINK_TTL_MS }: WantedInstallLink,
  by: Actor,
): Promise<IssuedInstallLink> {
  return change(access, by, async (begun) => {
    const user = await begun.tables.users.find({ name: userName }, 'share');
    return issueFor(begun, { user, userName, installationId: null, appId, origin, ttlMs });
  });
}

/**
 * The same for the user of a device, who asks for it on another one of theirs, or for an installer that reads no channel.
 * @throws AccessError ERR_ACCESS_NOT_FOUND, ERR_ACCESS_CONFLICT while too many of theirs were not used
 */
export async function issueOwnInstallLink(
  access: AccessContext,
  { userId, installationId }: UpdateAsker,
  { app: appId, origin }: Pick<WantedInstallLink, 'app' | 'origin'>,
): Promise<IssuedInstallLink> {
  const by = { actor: 'security', reason: 'a device of the user asked for it' };
  return change(access, by, async (begun) => {
    const { users, installLinks } = begun.tables;
    const user = await users.find({ id: userId }, 'share');
    const open = { where: { userId, claimedAt: null }, above: ['expiresAt', begun.at] } as const;
    if ((await installLinks.count(open)) >= MAX_OPEN_LINKS)
      throw new AccessError('ERR_ACCESS_CONFLICT', `${MAX_OPEN_LINKS} links of this user were not used yet`);
    const of = { user, userName: user?.name ?? userId, installationId };
    return issueFor(begun, { ...of, appId, origin, ttlMs: CLAIM_TTL_MS });
  });
}

/** What a new link is made of. */
interface LinkParts {
  readonly user: UserRow | undefined;
  readonly userName: string;
  readonly installationId: string | null;
  readonly appId: string;
  readonly origin: string;
  readonly ttlMs: number;
}

async function issueFor(
  begun: Change,
  { user, userName, installationId, appId, origin, ttlMs }: LinkParts,
): Promise<IssuedInstallLink> {
  if (!user?.enabled) throw new AccessError('ERR_ACCESS_NOT_FOUND', `no enabled user ${userName}`);
  const app = await appFor(begun, { appId, userId: user.id });
  if (!app) throw new AccessError('ERR_ACCESS_NOT_FOUND', `no app ${appId} that ${userName} may have`);
  const token = makeToken(begun.access, 'spi');
  const expiresAt = begun.at + ttlMs;
  await begun.tables.installLinks.insert({
    ...{ id: idOf(begun.access, token), userId: user.id, appId, origin, createdAt: begun.at, expiresAt },
    ...{ claimHash: null, claimedAt: null, reads: 0, installationId },
  });
  begun.audit('app.link', `${appId} for ${userName}`);
  return { token, expiresAt };
}

/** What is behind a link, or what it opened. */
export interface LinkedApp {
  readonly link: InstallLinkRow;
  readonly app: AppRow;
  /** The newest release for each system. */
  readonly releases: readonly ReleaseRow[];
}

/** What a link is for, as long as it was not used; nothing is used up by looking. Made-up tokens cost one HMAC. */
export async function findInstallLink(access: AccessContext, token: string): Promise<LinkedApp | undefined> {
  if (!isOurToken(access, 'spi', token)) return undefined;
  return access.store.transaction(async (transaction) => {
    const link = await transaction.tables.installLinks.find({ id: idOf(access, token) });
    if (!link || link.claimedAt !== null || link.expiresAt <= transaction.now()) return undefined;
    return linkedApp(access, transaction, link);
  });
}

/** Uses a link up: the first who does gets a claim, which is good for an hour; everybody else nothing. */
export async function claimInstallLink(
  access: AccessContext,
  token: string,
): Promise<(LinkedApp & { readonly claim: string }) | undefined> {
  if (!(await findInstallLink(access, token))) return undefined;
  const claim = makeToken(access, 'spc');
  const by = { actor: 'security', reason: 'somebody opened it' };
  return change(access, by, async (begun) => {
    const { installLinks } = begun.tables;
    const id = idOf(access, token);
    const link = await installLinks.find({ id }, 'update');
    const isGood = link && link.claimedAt === null && link.expiresAt > begun.at;
    const linked = isGood ? await linkedApp(access, begun, link) : undefined;
    if (!linked) return begun.unchanged();
    await installLinks.update(
      { where: { id } },
      { claimHash: access.crypto.sha256(encodeText(claim)), claimedAt: begun.at },
    );
    begun.audit('app.link-used', `${linked.app.id}: ${id.slice(0, 16)}`);
    return { ...linked, claim };
  });
}

/** What a claim opens; each look counts. Undefined for one that is over, was used too often, or whose user lost the app. */
export async function readInstallClaim(access: AccessContext, claim: string): Promise<LinkedApp | undefined> {
  if (!isOurToken(access, 'spc', claim)) return undefined;
  const claimHash = access.crypto.sha256(encodeText(claim));
  return access.store.transaction(async (transaction) => {
    const { installLinks } = transaction.tables;
    const link = await installLinks.find({ claimHash }, 'update');
    if (link?.claimedAt == null || link.claimedAt + CLAIM_TTL_MS <= transaction.now()) return undefined;
    if (link.reads >= MAX_READS) return undefined;
    await installLinks.update({ where: { id: link.id } }, { reads: link.reads + 1 });
    return linkedApp(access, transaction, link);
  });
}

/** Whether what was claimed may still be read: asked while a package goes out. */
export function isClaimGood(access: AccessContext, claim: string, releaseId: string): Promise<boolean> {
  const claimHash = access.crypto.sha256(encodeText(claim));
  return access.store.transaction(async (transaction) => {
    const link = await transaction.tables.installLinks.find({ claimHash });
    const linked = link && (await linkedApp(access, transaction, link));
    return linked?.releases.some(({ id }) => id === releaseId) ?? false;
  });
}

function idOf({ crypto }: AccessContext, token: string): string {
  return formatHex(crypto.sha256(encodeText(token)));
}

interface Holder {
  readonly appId: string;
  readonly userId: string;
}

async function appFor(transaction: Transaction, { appId, userId }: Holder): Promise<AppRow | undefined> {
  const row = await transaction.tables.apps.find({ id: appId });
  return row && usableApp([row], { id: appId, groups: await groupsOf(transaction, userId) });
}

/** The app of a link with what is rolled out of it; undefined when its user is out or may not have it any more. */
async function linkedApp(
  access: AccessContext,
  transaction: Transaction,
  link: InstallLinkRow,
): Promise<LinkedApp | undefined> {
  const user = await transaction.tables.users.find({ id: link.userId });
  const app = user?.enabled ? await appFor(transaction, link) : undefined;
  if (!app) return undefined;
  const { userId, installationId } = link;
  if (installationId) {
    const own = await offeredReleases(access, transaction, { asker: { userId, installationId }, app });
    return own && { link, app, releases: newestBySystem(own) };
  }
  const groups = await groupsOf(transaction, userId);
  const live = await liveReleases(transaction, [app.id]);
  const of = { app, groups, own: [], installationId: link.id, now: transaction.now() };
  return { link, app, releases: newestBySystem(live.filter((row) => isRolledOut(access, row, of))) };
}
