import {
  type ChannelKey,
  decodeText,
  decodeUint,
  deriveChannelKey,
  formatHex,
  type Hello,
  keyOf,
  type SessionSecret,
  verifyHelloMac,
} from '@sallyport/channel';
import type { Grant, RealmSettings } from '@sallyport/security-api';
import type { AccessContext } from './context.ts';
import { withDelegated } from './delegated.ts';
import { AccessError } from './errors.ts';
import { PURPOSES } from './keyring.ts';
import { grantedResources, type PolicySet, readPolicySet } from './policies.ts';
import { getRealm, settingsOf } from './realm.ts';
import { findLiveSessions, type LiveSession } from './sessions.ts';
import type { Transaction } from './store.ts';
import type { RealmRow, SessionRow } from './tables.ts';
import { groupsOf, groupsOfAll } from './users.ts';

/** A grant without the assertions that Security signs into it. */
export type BareGrant = Grant;

type RefusalHint = 'SESSION_UNKNOWN' | 'CHAN_REPLAY' | 'DENIED' | 'UNAVAILABLE';

/** The outcome of a HELLO: a grant with its channel key, or the hint for the device. */
export type Authorisation =
  | { readonly status: 'granted'; readonly grant: BareGrant; readonly channelKey: ChannelKey }
  | { readonly status: 'refused'; readonly hint: RefusalHint };

/** How long assertions are good, in ms; Proxies fetch new ones at half of it. */
export const ASSERTION_TTL_MS = 600_000;

/** Resources and policies by realm, read again only when their version has changed. Shared by one process. */
export class PolicyCache {
  #set: PolicySet | undefined;

  async get(transaction: Transaction, version: number): Promise<PolicySet> {
    if (this.#set?.version === version) return this.#set;
    const set = await readPolicySet(transaction, version);
    if (!this.#set || this.#set.version < version) this.#set = set;
    return set;
  }
}

/** A HELLO and who asks for it. */
export interface HelloRequest {
  readonly hello: Hello;
  /** `realm/site` of the Proxy. */
  readonly audience: string;
  /** The Proxy's own id of this request: a repetition, perhaps at another node, gets the same answer. */
  readonly requestId: string;
}

/**
 * Authorises HELLOs (protocol, section 5), all in one transaction: session live, mac, audience, a `chan_no` never seen,
 * policy. Answers come in the order of the requests; what is wrong with one touches no other.
 * The log index is read first, so that whatever is revoked later has a higher one than the grants' `asOf`.
 */
export async function authorise(
  access: AccessContext,
  cache: PolicyCache,
  requests: readonly HelloRequest[],
): Promise<readonly Authorisation[]> {
  return access.store.transaction(async (transaction) => {
    const realm = await getRealm(transaction);
    const now = transaction.now();
    const sids = requests.map(({ hello }) => formatHex(hello.sid));
    const live = await findLiveSessions(transaction, realm, { sids, now, lock: 'update' });
    const opened = new Map<string, OpenedChannel>();
    const checked = requests.map((request, i) => checkHello(access, request, live.get(sids[i]!), opened));
    const changes = [...opened].map(([id, change]) => ({ key: { id }, change }));
    await transaction.tables.sessions.updateEach(changes);
    const set = await cache.get(transaction, realm.policyVersion);
    const groups = await groupsOfAll(
      transaction,
      [...live.values()].map(({ user }) => user.id),
    );
    return checked.map((outcome): Authorisation => {
      if ('hint' in outcome) return { status: 'refused', hint: outcome.hint };
      const { live, channelKey } = outcome;
      const grant = grantOf(access, { ...live, realm, now, set, groups: groups.get(live.user.id) ?? [] });
      return { status: 'granted', grant, channelKey };
    });
  });
}

/** The last channel of a session, as it is stored. */
interface OpenedChannel {
  readonly chanNo: number;
  readonly chanRequest: string;
}

type CheckedHello = { readonly live: LiveSession; readonly channelKey: ChannelKey } | { readonly hint: RefusalHint };

/** Checks one HELLO; the channel that it opens is noted in `opened`, where later ones of the session find it. */
function checkHello(
  access: AccessContext,
  { hello, audience, requestId }: HelloRequest,
  live: LiveSession | undefined,
  opened: Map<string, OpenedChannel>,
): CheckedHello {
  const secret = live && unwrapSecret(access, live.session);
  // Not the device's fault, and nothing that others of the batch should pay for.
  if (secret === 'unreadable') return { hint: 'UNAVAILABLE' };
  // A wrong mac answers like an unknown session: a stolen id does not even tell whether it is live.
  if (!live || !secret || !verifyHelloMac(access.crypto, secret, hello)) return { hint: 'SESSION_UNKNOWN' };
  if (readAudience(hello) !== audience) return { hint: 'DENIED' };
  const chanNo = decodeUint(hello.chanNo, 0, 8);
  const last = opened.get(live.session.id) ?? live.session;
  const repeated = chanNo === last.chanNo && last.chanRequest === requestId;
  if (!repeated) {
    if (!Number.isSafeInteger(chanNo) || chanNo <= last.chanNo) return { hint: 'CHAN_REPLAY' };
    opened.set(live.session.id, { chanNo, chanRequest: requestId });
  }
  const channelKey = deriveChannelKey(access.crypto, secret, hello);
  secret.fill(0);
  return { live, channelKey };
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

/** Reads the rights of an open channel again; undefined when its session is over. */
export async function reauthorise(
  access: AccessContext,
  cache: PolicyCache,
  sid: string,
): Promise<BareGrant | undefined> {
  return access.store.transaction(async (transaction) => {
    const realm = await getRealm(transaction);
    const now = transaction.now();
    const live = (await findLiveSessions(transaction, realm, { sids: [sid], now })).get(sid);
    if (!live) return undefined;
    const set = await cache.get(transaction, realm.policyVersion);
    return grantOf(access, { ...live, realm, now, set, groups: await groupsOf(transaction, live.user.id) });
  });
}

function limitsOf(settings: RealmSettings): Grant['limits'] {
  const { openBurst, openRate, channelsPerSession, channelsPerInstallation, channelsPerUser } = settings;
  return { openBurst, openRate, channelsPerSession, channelsPerInstallation, channelsPerUser };
}

interface GrantParts extends LiveSession {
  readonly realm: RealmRow;
  readonly now: number;
  readonly set: PolicySet;
  readonly groups: readonly string[];
}

function grantOf(access: AccessContext, of: GrantParts): BareGrant {
  const { session, user, realm, groups } = of;
  const settings = settingsOf(realm);
  return {
    realm: access.store.realm,
    sid: session.id,
    asOf: realm.head,
    expiresInMs: session.expiresAt - of.now,
    refreshInMs: ASSERTION_TTL_MS / 2,
    sessionCreatedAt: session.createdAt,
    userId: user.id,
    userName: user.name,
    groups: [...groups],
    installationId: of.installation.id,
    context: settings.context,
    resources: withDelegated(access, session, { resources: grantedResources(of.set, groups), now: of.now }),
    limits: limitsOf(settings),
  };
}
