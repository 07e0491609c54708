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
import type { Grant } from '@sallyport/security-api';
import type { AccessContext } from './context.ts';
import { PURPOSES } from './keyring.ts';
import { grantedResources, type PolicySet, readPolicySet } from './policies.ts';
import { getRealm, settingsOf } from './realm.ts';
import { findLiveSession } from './sessions.ts';
import type { Transaction } from './store.ts';
import type { InstallationRow, RealmRow, SessionRow, UserRow } from './tables.ts';
import { groupsOf } from './users.ts';

/** A grant without the assertions that Security signs into it. */
export type BareGrant = Grant;

/** The outcome of a HELLO: a grant with its channel key, or the hint for the device. */
export type Authorisation =
  | { readonly status: 'granted'; readonly grant: BareGrant; readonly channelKey: ChannelKey }
  | { readonly status: 'refused'; readonly hint: 'SESSION_UNKNOWN' | 'CHAN_REPLAY' | 'DENIED' };

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
 * Authorises a HELLO (protocol, section 5): session live, mac, audience, a `chan_no` never seen, policy.
 * The log index is read first, so that whatever is revoked later has a higher one than the grant's `asOf`.
 */
export async function authorise(
  access: AccessContext,
  cache: PolicyCache,
  { hello, audience, requestId }: HelloRequest,
): Promise<Authorisation> {
  return access.store.transaction(async (transaction) => {
    const realm = await getRealm(transaction);
    const now = transaction.now();
    const live = await findLiveSession(transaction, realm, { sid: formatHex(hello.sid), now, lock: 'update' });
    const secret = live && unwrapSecret(access, live.session);
    // A wrong mac answers like an unknown session: a stolen id does not even tell whether it is live.
    if (!live || !secret || !verifyHelloMac(access.crypto, secret, hello)) return refused('SESSION_UNKNOWN');
    if (readAudience(hello) !== audience) return refused('DENIED');
    const chanNo = decodeUint(hello.chanNo, 0, 8);
    const { id, chanNo: last, chanRequest } = live.session;
    const repeated = chanNo === last && chanRequest === requestId;
    if (!repeated) {
      if (!Number.isSafeInteger(chanNo) || chanNo <= last) return refused('CHAN_REPLAY');
      await transaction.tables.sessions.update({ where: { id } }, { chanNo, chanRequest: requestId });
    }
    const grant = await grantOf(access, transaction, { ...live, realm, now, cache });
    return { status: 'granted', grant, channelKey: deriveChannelKey(access.crypto, secret, hello) };
  });
}

function refused(hint: 'SESSION_UNKNOWN' | 'CHAN_REPLAY' | 'DENIED'): Authorisation {
  return { status: 'refused', hint };
}

function readAudience(hello: Hello): string | undefined {
  try {
    return decodeText(hello.audience);
  } catch {
    return undefined;
  }
}

function unwrapSecret(access: AccessContext, session: SessionRow): SessionSecret {
  return keyOf(access.keyring.unwrap(session.secret, PURPOSES.session(access.store.realm, session.id)));
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
    const live = await findLiveSession(transaction, realm, { sid, now });
    return live && grantOf(access, transaction, { ...live, realm, now, cache });
  });
}

async function grantOf(
  access: AccessContext,
  transaction: Transaction,
  of: {
    readonly session: SessionRow;
    readonly installation: InstallationRow;
    readonly user: UserRow;
    readonly realm: RealmRow;
    readonly now: number;
    readonly cache: PolicyCache;
  },
): Promise<BareGrant> {
  const { session, user, realm } = of;
  const settings = settingsOf(realm);
  const groups = await groupsOf(transaction, user.id);
  const set = await of.cache.get(transaction, realm.policyVersion);
  return {
    realm: access.store.realm,
    sid: session.id,
    asOf: realm.head,
    expiresInMs: session.expiresAt - of.now,
    refreshInMs: ASSERTION_TTL_MS / 2,
    sessionCreatedAt: session.createdAt,
    userId: user.id,
    userName: user.name,
    groups,
    installationId: of.installation.id,
    context: settings.context,
    resources: grantedResources(set, groups),
    limits: { openBurst: settings.openBurst, openRate: settings.openRate },
  };
}
