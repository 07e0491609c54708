import {
  decodeSessionAsk,
  decodeSessionEnd,
  deriveEndKey,
  type EndKey,
  encodeSessionEnd,
  encodeSessionTold,
  endKeyOf,
  formatHex,
  MESSAGE_TYPES,
  type Standing,
  verifySessionEnd,
  verifySessionMac,
} from '@sallyport/channel';
import { namesOf } from '../people/users.ts';
import { appendAuditEach } from '../realm/audit.ts';
import type { AccessContext } from '../realm/context.ts';
import { getRealm } from '../realm/realm.ts';
import { appendEach } from '../realm/revocation-log.ts';
import type { RealmRow } from '../realm/rows.ts';
import { ended, isAppRevoked, revoke } from '../revocation/revocation.ts';
import { PURPOSES } from '../sealing/keyring.ts';
import type { Transaction } from '../store/store.ts';
import type { SessionRow } from './rows.ts';
import { isLive } from './sessions.ts';

/** Request ids of ends that are the device's own doing. */
const END_ID = 'end ';
const REPLACED_ID = 'replaced ';
/** Reason in log and audit when a device ends its own session. */
const SIGNED_OUT = 'signed out on the device';
/** Reason when a session makes way for a newer one of the same installation. */
const REPLACED = 'the device has a newer session';

/**
 * Ends the session that an END names, as its device wants it (SPEC.md, section 12). Gives ENDED once the end is durable, also
 * for a session that was over already; undefined for an unknown session and a wrong mac alike, which write nothing.
 */
export async function endByDevice(access: AccessContext, message: Uint8Array): Promise<Uint8Array | undefined> {
  const { crypto, store } = access;
  const end = decodeSessionEnd(MESSAGE_TYPES.END, message);
  const sid = formatHex(end.sid);
  const found = await store.transaction(async (transaction) => {
    const session = await transaction.tables.sessions.find({ id: sid });
    if (!session) return undefined;
    const user = await transaction.tables.users.find({ id: session.userId });
    const live = isLive(session, await getRealm(transaction), transaction.now());
    return { session, live, actor: user?.name ?? session.userId };
  });
  const key = found && readEndKey(access, found.session);
  if (!found || !key || !verifySessionEnd(crypto, MESSAGE_TYPES.END, key, end)) return undefined;
  const by = { actor: found.actor, reason: SIGNED_OUT };
  if (found.live) await revoke(access, { requestId: `${END_ID}${sid}`, kind: 'session', subject: sid }, by);
  return encodeSessionEnd(crypto, MESSAGE_TYPES.ENDED, key, end.sid);
}

/**
 * Tells a device how its session stands (SPEC.md, section 12): the answer to its ASK; undefined for an unknown session and a wrong
 * mac alike. What an operator wrote as reason is not told.
 */
export async function tellDevice(access: AccessContext, message: Uint8Array): Promise<Uint8Array | undefined> {
  const ask = decodeSessionAsk(message);
  const found = await access.store.transaction(async (transaction) => {
    const session = await transaction.tables.sessions.find({ id: formatHex(ask.sid) });
    return session && { session, standing: await standingOf(transaction, session) };
  });
  const key = found && readEndKey(access, found.session);
  if (!found || !key || !verifySessionMac(access.crypto, key, message)) return undefined;
  return encodeSessionTold(access.crypto, key, ask, found.standing);
}

/** How a session stands, and if it is over why: what was done to it alone comes first. */
async function standingOf(transaction: Transaction, session: SessionRow): Promise<Standing> {
  const { users, installations } = transaction.tables;
  const realm = await getRealm(transaction);
  const own = await ownEnd(transaction, session);
  if (own) return own;
  const user = await users.find({ id: session.userId });
  if (!user?.enabled) return 'user';
  const installation = await installations.find({ id: session.installationId });
  if (installation?.status !== 'active') return 'installation';
  if (isLive(session, realm, transaction.now())) return 'live';
  if (session.endedAt === null && session.expiresAt <= transaction.now()) return 'expired';
  if (await isAppRevoked(transaction, session.app)) return 'app';
  return session.generation < realm.generation || session.createdAt < realm.notBefore ? 'all' : 'other';
}

/** Who ended this very session, by its entry in the log; undefined when nobody did. */
async function ownEnd({ tables }: Transaction, { id, endedAt }: SessionRow): Promise<Standing | undefined> {
  if (endedAt === null) return undefined;
  const [entry] = await tables.revocations.list({ where: { kind: 'session', subject: id }, limit: 1 });
  if (!entry) return undefined;
  if (entry.requestId.startsWith(END_ID)) return 'signed-out';
  return entry.requestId.startsWith(REPLACED_ID) ? 'replaced' : 'session';
}

/** A key that this node cannot unwrap is no answer at all: the device asks again. */
function readEndKey({ crypto, keyring, store }: AccessContext, session: SessionRow): EndKey | undefined {
  const { realm } = store;
  if (session.endKey) return endKeyOf(keyring.unwrap(session.endKey, PURPOSES.sessionEnd(realm, session.id)));
  if (!session.secret || session.secret.length === 0) return undefined;
  return deriveEndKey(crypto, keyring.unwrap(session.secret, PURPOSES.session(realm, session.id)));
}

/**
 * Ends the sessions of installations that they have no use for: each keeps its newest one, and the newest one that has opened a
 * channel, because the answer to a sign-in may have been lost. So a limit for one session is one for the installation, and a
 * crash costs no session that a device may hold. Gives the sessions that were ended. Each sign-in comes here, so it is one
 * transaction for all that sign in together, which locks the realm only when there is something to end.
 */
export async function endReplacedSessions(
  access: AccessContext,
  installationIds: readonly string[],
): Promise<readonly string[]> {
  return access.store.transaction(async (transaction) => {
    const [seen, sessions] = await Promise.all([getRealm(transaction), unendedOf(transaction, installationIds)]);
    if (replacedAmong(sessions, seen, transaction.now()).length === 0) return [];
    const realm = await getRealm(transaction, 'update');
    // Again under the lock: somebody may have ended one of them meanwhile, for a reason of their own.
    const unended = await unendedOf(transaction, installationIds);
    const replaced = replacedAmong(unended, realm, transaction.now());
    if (replaced.length > 0) await endAsReplaced(access, transaction, { realm, replaced });
    return replaced.map(({ id }) => id);
  });
}

function unendedOf({ tables }: Transaction, installationIds: readonly string[]): Promise<readonly SessionRow[]> {
  return tables.sessions.list({ where: { endedAt: null }, among: ['installationId', installationIds] });
}

function replacedAmong(sessions: readonly SessionRow[], realm: RealmRow, now: number): SessionRow[] {
  const live = sessions.filter((session) => isLive(session, realm, now));
  return [...Map.groupBy(live, ({ installationId }) => installationId).values()].flatMap(replacedSessions);
}

/** A row that a database writer brought back has its entry in the log already. */
async function endAsReplaced(
  access: AccessContext,
  transaction: Transaction,
  { realm, replaced }: { readonly realm: RealmRow; readonly replaced: readonly SessionRow[] },
): Promise<void> {
  const { revocations, sessions } = transaction.tables;
  const [names, known] = await Promise.all([
    namesOf(
      transaction,
      replaced.map(({ userId }) => userId),
    ),
    revocations.list({ among: ['requestId', replaced.map(({ id }) => `${REPLACED_ID}${id}`)] }),
  ]);
  const by = { reason: REPLACED, at: transaction.now() };
  const before = new Set(known.map(({ requestId }) => requestId));
  const entries = replaced
    .map(({ id: subject, userId }) => {
      const requestId = `${REPLACED_ID}${subject}`;
      return { requestId, kind: 'session', subject, actor: names.get(userId) ?? userId } as const;
    })
    .filter(({ requestId }) => !before.has(requestId));
  if (entries.length === 0) return;
  const ids = entries.map(({ subject }) => subject);
  const events = entries.map(
    ({ actor, subject }) =>
      ({ ...by, actor, action: 'revoke', subject: `session ${subject}`, outcome: 'done' }) as const,
  );
  await Promise.all([
    appendEach(access, transaction, { realm, entries }, by),
    sessions.update({ where: { endedAt: null }, among: ['id', ids] }, ended(by)),
    appendAuditEach(transaction, access.crypto, events),
  ]);
}

/** Of the live sessions of one installation those that make way. */
export function replacedSessions(live: readonly SessionRow[]): SessionRow[] {
  const newestFirst = [...live].sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1));
  const kept = new Set([newestFirst[0], newestFirst.find(({ chanNo }) => chanNo > 0)]);
  return newestFirst.filter((session) => !kept.has(session));
}
