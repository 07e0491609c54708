import {
  type ChannelKey,
  decodeText,
  decodeUint,
  deriveChannelKey,
  formatHex,
  type Hello,
  keyOf,
  parseHex,
  type SessionSecret,
  sealRoutes,
  verifyHelloMac,
} from '@sallyport/channel';
import type { Grant, RealmSettings } from '@sallyport/security-api';
import { type AppUse, appIdOf, openToUpdate, ruleChangesAt, ruleForApp } from '../apps/app-rule.ts';
import { verdictOf } from '../attestation/evidence.ts';
import type { EvidenceRow } from '../attestation/rows.ts';
import { type ProxyKey, proxyOf } from '../farm/proxies.ts';
import { groupsOfAll } from '../people/users.ts';
import type { AccessContext } from '../realm/context.ts';
import { DEFAULT_SETTINGS, settingsOf } from '../realm/realm.ts';
import type { RealmRow } from '../realm/rows.ts';
import { leaseKeyOf } from '../revocation/lease.ts';
import { withBackendSecrets } from '../rights/backend-secrets.ts';
import { type PolicySet, routesFor, servedAt } from '../rights/policies.ts';
import type { PolicyCache } from '../rights/policy-cache.ts';
import { PURPOSES } from '../sealing/keyring.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';
import { withDelegated } from './delegated.ts';
import type { InstallationRow, SessionRow } from './rows.ts';
import { findLastingSessions, findLiveSessions, type LiveSession } from './sessions.ts';

type RefusalHint = 'SESSION_UNKNOWN' | 'CHAN_REPLAY' | 'DENIED' | 'UNAVAILABLE';

/** The outcome of a HELLO: a grant without assertions, its channel key, whether it is the session's first, and routes; or a hint for the device. */
export type Authorisation =
  | {
      readonly status: 'granted';
      readonly grant: Grant;
      /** Hash of the entry of the log as of which the grant was read. */
      readonly asOfHash: string;
      readonly channelKey: ChannelKey;
      readonly first: boolean;
      /** Sealed for the device; undefined in a realm of one site. */
      readonly routes: Uint8Array | undefined;
    }
  | ({ readonly status: 'refused' } & RefusedHello);

/** A hint for the device and, where an honest Proxy would hardly have brought such a HELLO, what is odd about it. */
interface RefusedHello {
  readonly hint: RefusalHint;
  readonly doubt?: HelloDoubt;
}

/** What is odd about a HELLO of a live session: it was made for another site, or without the session's secret. */
export type HelloDoubt = 'for another site' | 'with a wrong mac';

/** How long assertions are good, in ms; Proxies fetch new ones at half of it. */
export const ASSERTION_TTL_MS = 600_000;

/** Who opens channels: one run of one Proxy at its site, by the key that it showed. */
export interface ChannelHolder extends ProxyKey {
  readonly site: string;
  readonly instance: string;
}

/** More holders of one session are not remembered: the oldest ones must open their channels anew. */
const MAX_HOLDERS = 16;

function formatHolder({ name, site, instance }: ChannelHolder): string {
  return `${leaseKeyOf(name, instance)}@${site}`;
}

/**
 * True while a holder is who it was when its connection was looked at: not revoked, replaced or moved since. Asked last in a
 * transaction, behind every wait for a lock.
 */
async function isStillProxy(transaction: Transaction, holder: ChannelHolder): Promise<boolean> {
  return (await proxyOf(transaction, holder))?.site === holder.site;
}

/** A HELLO and who asks for it. */
export interface HelloRequest {
  readonly hello: Hello;
  /** The Proxy's own id of this request: a repetition, perhaps at another node, gets the same answer. */
  readonly requestId: string;
}

/**
 * Authorises HELLOs (protocol, section 5), all in one transaction: session live, mac, audience, a `chan_no` never seen,
 * policy. Who asked is recorded as a holder of the session. Answers come in the order of the requests; what is wrong with one touches no other.
 * The log index is read first, so that whatever is revoked later has a higher one than the grants' `asOf`.
 * Undefined, with nothing done, for who is no Proxy any more.
 */
export async function authorise(
  access: AccessContext,
  cache: PolicyCache,
  { requests, holder }: { readonly requests: readonly HelloRequest[]; readonly holder: ChannelHolder },
): Promise<readonly Authorisation[] | undefined> {
  const audience = audienceOf(access, holder);
  return access.store.transaction(async (transaction) => {
    const sids = requests.map(({ hello }) => formatHex(hello.sid));
    const { realm, sessions } = await findLastingSessions(transaction, { sids, lock: 'update' });
    const set = await cache.get(transaction, realm);
    const [live, evidence, groups, isProxy] = await Promise.all([
      findLiveSessions(transaction, { sessions }),
      evidenceOf(transaction, sessions, { set, realm }),
      groupsOfAll(
        transaction,
        sessions.map(({ userId }) => userId),
      ),
      isStillProxy(transaction, holder),
    ]);
    if (!isProxy) return undefined;
    const now = transaction.now();
    const opened = new Map<string, OpenedChannel>();
    const checked = requests.map((request, i) =>
      checkHello(access, { ...request, audience }, live.get(sids[i]!), opened),
    );
    const changes = [...opened].map(([id, channel]) => {
      const holders = withHolder(live.get(id)!.session, holder);
      return { key: { id }, change: { ...channel, holders } };
    });
    await transaction.tables.sessions.updateEach(changes);
    return checked.map((outcome): Authorisation => {
      if ('hint' in outcome) return { status: 'refused', ...outcome };
      const { live, channelKey, secret } = outcome;
      const groupsOfUser = groups.get(live.user.id) ?? [];
      const of = { ...live, realm, now, set, site: holder.site, groups: groupsOfUser };
      const grant = grantOf(access, { ...of, evidence: evidence.get(live.installation.id) });
      const routes = sealedRoutes(access, secret, { sid: live.session.id, realm, set, groups: groupsOfUser });
      secret.fill(0);
      const first = live.session.chanNo === 0;
      return { status: 'granted', grant, asOfHash: realm.headHash, channelKey, first, routes };
    });
  });
}

/** The one audience of a Proxy (SPEC.md, section 5): what HELLOs must be for, and what re-reads are answered for. */
function audienceOf(access: AccessContext, { site }: ChannelHolder): string {
  return `${access.store.realm}/${site}`;
}

function withHolder({ holders }: SessionRow, holder: ChannelHolder): readonly string[] {
  const text = formatHolder(holder);
  return holders.includes(text) ? holders : [...holders, text].slice(-MAX_HOLDERS);
}

/** The last channel of a session, as it is stored. */
interface OpenedChannel {
  readonly chanNo: number;
  readonly chanRequest: string;
}

type CheckedHello =
  | { readonly live: LiveSession; readonly channelKey: ChannelKey; readonly secret: SessionSecret }
  | RefusedHello;

/** Checks one HELLO; the channel that it opens is noted in `opened`, where later ones of the session find it. */
function checkHello(
  access: AccessContext,
  { hello, audience, requestId }: HelloRequest & { readonly audience: string },
  live: LiveSession | undefined,
  opened: Map<string, OpenedChannel>,
): CheckedHello {
  const secret = live && unwrapSecret(access, live.session);
  // Not the device's fault, and nothing that others of the batch should pay for.
  if (secret === 'unreadable') return { hint: 'UNAVAILABLE' };
  // A wrong mac answers like an unknown session: a stolen id does not even tell whether it is live.
  if (!live || !secret) return { hint: 'SESSION_UNKNOWN' };
  if (!verifyHelloMac(access.crypto, secret, hello)) return { hint: 'SESSION_UNKNOWN', doubt: 'with a wrong mac' };
  if (readAudience(hello) !== audience) return { hint: 'DENIED', doubt: 'for another site' };
  const chanNo = decodeUint(hello.chanNo, 0, 8);
  const last = opened.get(live.session.id) ?? live.session;
  const repeated = chanNo === last.chanNo && last.chanRequest === requestId;
  if (!repeated) {
    if (!Number.isSafeInteger(chanNo) || chanNo <= last.chanNo) return { hint: 'CHAN_REPLAY' };
    opened.set(live.session.id, { chanNo, chanRequest: requestId });
  }
  return { live, channelKey: deriveChannelKey(access.crypto, secret, hello), secret };
}

function readAudience(hello: Hello): string | undefined {
  try {
    return decodeText(hello.audience);
  } catch {
    return undefined;
  }
}

/** A secret that this node cannot unwrap, perhaps because its keys are about to be changed, is nobody else's trouble. */
function unwrapSecret(access: AccessContext, session: SessionRow): SessionSecret | 'unreadable' | undefined {
  if (!session.secret) return undefined;
  try {
    return keyOf(access.keyring.unwrap(session.secret, PURPOSES.session(access.store.realm, session.id)));
  } catch (error) {
    if (error instanceof AccessError) return 'unreadable';
    throw error;
  }
}

/**
 * Why there are no rights: the session is over, what was opened is forgotten, who asks opened no channel of it at its site, or is no
 * Proxy any more.
 */
export type NoRights = 'over' | 'no channel' | 'not its channel' | 'no proxy';

/** Rights of an open channel as they are now, and routes, sealed for the device; undefined in a realm of one site. */
export interface ReadRights {
  readonly grant: Grant;
  /** Hash of the entry of the log as of which the grant was read. */
  readonly asOfHash: string;
  readonly routes: Uint8Array | undefined;
}

/**
 * Reads the rights of open channels again, for the run of the Proxy at its site that opened them, all in one transaction. Answers come in
 * the order of `sids`; what is wrong with one touches no other.
 */
export async function reauthorise(
  access: AccessContext,
  cache: PolicyCache,
  { sids, holder }: { readonly sids: readonly string[]; readonly holder: ChannelHolder },
): Promise<readonly (ReadRights | NoRights)[]> {
  const { site, name, instance } = holder;
  return access.store.transaction(async (transaction) => {
    const { realm, sessions: lasting, listed } = await findLastingSessions(transaction, { sids });
    const isHeld = ({ holders }: SessionRow): boolean => holders.includes(formatHolder(holder));
    // Others do not even hear whether they are live.
    const held = new Set(listed.filter(isHeld).map(({ id }) => id));
    if (held.size === 0) return sids.map(() => 'not its channel');
    const sessions = lasting.filter(isHeld);
    const { tables } = transaction;
    const set = await cache.get(transaction, realm);
    const [lives, evidence, lease, groups, isProxy] = await Promise.all([
      findLiveSessions(transaction, { sessions }),
      evidenceOf(transaction, sessions, { set, realm }),
      tables.leases.find({ proxy: leaseKeyOf(name, instance) }),
      groupsOfAll(
        transaction,
        sessions.map(({ userId }) => userId),
      ),
      isStillProxy(transaction, holder),
    ]);
    const now = transaction.now();
    return sids.map((sid): ReadRights | NoRights => {
      const live = lives.get(sid);
      if (!held.has(sid)) return 'not its channel';
      if (!live) return 'over';
      // What a process opened goes with its lease row.
      if (!lease) return 'no channel';
      if (!isProxy) return 'no proxy';
      const of = { realm, set, groups: groups.get(live.user.id) ?? [] };
      const grant = grantOf(access, { ...live, ...of, now, site, evidence: evidence.get(live.installation.id) });
      return { grant, asOfHash: realm.headHash, routes: routesAgain(access, live.session, of) };
    });
  });
}

function routesAgain(
  access: AccessContext,
  session: SessionRow,
  of: Omit<RoutesSource, 'sid'>,
): Uint8Array | undefined {
  // In a realm of one site no secret is unwrapped for nothing.
  const secret = of.set.sites.length < 2 ? undefined : unwrapSecret(access, session);
  // Routes that cannot be sealed now come with the next ones.
  if (!secret || secret === 'unreadable') return undefined;
  const routes = sealedRoutes(access, secret, { ...of, sid: session.id });
  secret.fill(0);
  return routes;
}

/** What routes are made of. */
interface RoutesSource {
  readonly sid: string;
  readonly realm: Pick<RealmRow, 'epoch' | 'head'>;
  readonly set: PolicySet;
  readonly groups: readonly string[];
}

function sealedRoutes(
  access: AccessContext,
  secret: SessionSecret,
  { sid, realm, set, groups }: RoutesSource,
): Uint8Array | undefined {
  const routes = routesFor(set, groups);
  const of = { epoch: realm.epoch, asOf: realm.head };
  return routes && sealRoutes(access.crypto, { secret, sid: parseHex(sid) }, { ...of, routes });
}

/** An open channel: its session, and the installation that it belongs to. */
export interface OpenChannel {
  readonly session: SessionRow;
  readonly installation: InstallationRow;
  /** The store's clock, epoch ms. */
  readonly now: number;
}

/** Whose channel a run of a Proxy has open, or why it has none. */
export async function findOpenChannel(
  access: AccessContext,
  { sid, holder }: { readonly sid: string; readonly holder: ChannelHolder },
): Promise<OpenChannel | NoRights> {
  return access.store.transaction(async (transaction) => {
    const { sessions, listed } = await findLastingSessions(transaction, { sids: [sid] });
    // Others do not even hear whether it is live.
    if (!listed[0]?.holders.includes(formatHolder(holder))) return 'not its channel';
    const [lives, isProxy] = await Promise.all([
      findLiveSessions(transaction, { sessions }),
      isStillProxy(transaction, holder),
    ]);
    const live = lives.get(sid);
    if (!live) return 'over';
    if (!isProxy) return 'no proxy';
    return { session: live.session, installation: live.installation, now: transaction.now() };
  });
}

/** Evidence of sessions by installation, where any rule of the realm demands some; else it is not looked for, and none counts. */
async function evidenceOf(
  { tables }: Transaction,
  sessions: readonly SessionRow[],
  { set, realm }: { readonly set: PolicySet; readonly realm: RealmRow },
): Promise<ReadonlyMap<string, EvidenceRow>> {
  const isDemanded = settingsOf(realm).context.attested || set.policies.some(({ rule }) => rule.context.attested);
  if (!isDemanded) return new Map();
  const ids = [...new Set(sessions.map(({ installationId }) => installationId))];
  const rows = await tables.evidence.list({ among: ['installationId', ids] });
  return new Map(rows.map((row) => [row.installationId, row]));
}

function limitsOf(settings: RealmSettings): Grant['limits'] {
  const { openBurst, openRate, channelsPerSession, channelsPerInstallation, channelsPerUser } = settings;
  const { webSocketMessageBytes } = settings;
  const limits = { openBurst, openRate, channelsPerSession, channelsPerInstallation, channelsPerUser };
  // Proxies of the version before know no such limit, and take no grant with it.
  return webSocketMessageBytes === DEFAULT_SETTINGS.webSocketMessageBytes
    ? limits
    : { ...limits, webSocketMessageBytes };
}

interface GrantParts extends LiveSession {
  readonly realm: RealmRow;
  readonly now: number;
  readonly set: PolicySet;
  readonly site: string;
  readonly groups: readonly string[];
  readonly evidence: EvidenceRow | undefined;
}

/** A grant is read again at half of the life of its assertions, and when what its app must be changes by itself. */
function refreshInMs({ apps }: PolicySet, use: AppUse): number {
  const changesAt = ruleChangesAt(apps, use) ?? Number.POSITIVE_INFINITY;
  return Math.min(ASSERTION_TTL_MS / 2, changesAt - use.now);
}

function grantOf(access: AccessContext, of: GrantParts): Grant {
  const { session, user, realm, groups } = of;
  const settings = settingsOf(realm);
  const use = { id: appIdOf(session.app), groups, now: of.now };
  const verdict = verdictOf(of.evidence, { now: of.now, production: settings.production });
  const { context, resources } = openToUpdate(
    ruleForApp(settings.context, of.set.apps, use),
    servedAt(of.set, of.site, groups),
  );
  return {
    realm: access.store.realm,
    sid: session.id,
    epoch: realm.epoch,
    asOf: realm.head,
    // It may have ended since it was looked at.
    expiresInMs: Math.max(0, session.expiresAt - of.now),
    refreshInMs: refreshInMs(of.set, use),
    sessionCreatedAt: session.createdAt,
    generation: session.generation,
    app: session.app,
    userId: user.id,
    userName: user.name,
    groups: [...groups],
    installationId: of.installation.id,
    context,
    resources: withDelegated(access, session, {
      resources: withBackendSecrets(access, of.set, resources),
      now: of.now,
    }),
    limits: limitsOf(settings),
    ...(verdict ? { verdict } : {}),
  };
}
