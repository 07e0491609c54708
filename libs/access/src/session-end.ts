import {
  decodeSessionEnd,
  deriveEndKey,
  type EndKey,
  encodeSessionEnd,
  endKeyOf,
  formatHex,
  MESSAGE_TYPES,
  verifySessionEnd,
} from '@sallyport/channel';
import type { AccessContext } from './context.ts';
import { AccessError } from './errors.ts';
import { PURPOSES } from './keyring.ts';
import { getRealm } from './realm.ts';
import { revoke } from './revocation.ts';
import { isLive } from './sessions.ts';
import type { SessionRow } from './tables.ts';

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
  if (found.live) await revoke(access, { requestId: `end ${sid}`, kind: 'session', subject: sid }, by);
  return encodeSessionEnd(crypto, MESSAGE_TYPES.ENDED, key, end.sid);
}

/** A key that this node cannot unwrap is no answer at all: the device asks again. */
function readEndKey({ crypto, keyring, store }: AccessContext, session: SessionRow): EndKey | undefined {
  const { realm } = store;
  if (session.endKey) return endKeyOf(keyring.unwrap(session.endKey, PURPOSES.sessionEnd(realm, session.id)));
  if (!session.secret || session.secret.length === 0) return undefined;
  return deriveEndKey(crypto, keyring.unwrap(session.secret, PURPOSES.session(realm, session.id)));
}

/**
 * Ends the sessions of an installation that it has no use for: it keeps its newest one, and the newest one that has opened a
 * channel, because the answer to a sign-in may have been lost. So a limit for one session is one for the installation, and a
 * crash costs no session that a device may hold. Gives the sessions that were ended.
 */
export async function endReplacedSessions(access: AccessContext, installationId: string): Promise<readonly string[]> {
  const { live, actor } = await access.store.transaction(async (transaction) => {
    const realm = await getRealm(transaction);
    const now = transaction.now();
    const sessions = await transaction.tables.sessions.list({ where: { installationId, endedAt: null } });
    const user = sessions[0] && (await transaction.tables.users.find({ id: sessions[0].userId }));
    return { live: sessions.filter((session) => isLive(session, realm, now)), actor: user?.name ?? installationId };
  });
  const ended: string[] = [];
  for (const { id } of replacedSessions(live)) {
    const by = { actor, reason: REPLACED };
    await revoke(access, { requestId: `replaced ${id}`, kind: 'session', subject: id }, by).catch(ignoreGone);
    ended.push(id);
  }
  return ended;
}

/** Of the live sessions of one installation those that make way. */
export function replacedSessions(live: readonly SessionRow[]): SessionRow[] {
  const newestFirst = [...live].sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1));
  const kept = new Set([newestFirst[0], newestFirst.find(({ chanNo }) => chanNo > 0)]);
  return newestFirst.filter((session) => !kept.has(session));
}

function ignoreGone(error: unknown): void {
  if (!(error instanceof AccessError) || error.code !== 'ERR_ACCESS_NOT_FOUND') throw error;
}
