import { encodeText, formatHex } from '@sallyport/channel';
import { accountAt } from '../identity/provider-accounts.ts';
import { type Change, change } from '../realm/change.ts';
import type { AccessContext } from '../realm/context.ts';
import { ended } from '../revocation/revocation.ts';
import type { SessionRow } from '../session/rows.ts';
import { readDirectory } from './directories.ts';
import type { DirectoryRow } from './rows.ts';
import { mergeState } from './state.ts';

/** A provider's order to end sessions, read and verified. */
export interface ProviderLogout {
  readonly directory: string;
  /** The token's own id: it is good once. */
  readonly id: string;
  readonly session: string | undefined;
  /** The provider's id of the account whose sessions are meant; undefined for the session alone. */
  readonly subject: string | undefined;
}

/** What came of it. `index` is the last log entry, 0 for none. */
export interface LoggedOut {
  readonly ended: number;
  readonly index: number;
}

/** Tokens that were used are known for as long as such a token can be good. */
const KEPT_MS = 15 * 60_000;
const MAX_KEPT = 5_000;

/**
 * Ends the live sessions that a provider means: those of its session id, and when it names the user, those of theirs that it
 * vouched for, but for the ones that are known to be of another session there. The same token again ends nothing more: a
 * session of later is none of its business.
 */
export async function endProviderSessions(access: AccessContext, order: ProviderLogout): Promise<LoggedOut> {
  const { directory } = order;
  const by = { actor: `directory ${directory}`, reason: `signed out at ${directory}` };
  return change(access, by, async (begun) => {
    const id = formatHex(access.crypto.sha256(encodeText(order.id))).slice(0, 24);
    const provider = await readDirectory(begun, directory, 'update');
    const used = (provider.state.logouts ?? []).filter(([, at]) => at > begun.at - KEPT_MS);
    const before = used.find(([other]) => other === id);
    if (before) {
      begun.unchanged();
      return { ended: 0, index: before[2] };
    }
    const sessions = await sessionsOf(begun, provider, order);
    for (const session of sessions) await endSession(begun, session);
    const logouts = [...used, [id, begun.at, begun.index] as const].slice(-MAX_KEPT);
    await mergeState(begun.notes, directory, { logouts });
    if (sessions.length === 0) begun.unchanged();
    return { ended: sessions.length, index: begun.index };
  });
}

async function endSession(begun: Change, { id }: SessionRow): Promise<void> {
  await begun.enter({ kind: 'session', subject: id });
  const change = ended({ at: begun.at, reason: begun.by.reason });
  await begun.tables.sessions.update({ where: { id, endedAt: null } }, change);
  begun.audit('revoke', `session ${id}`);
}

async function sessionsOf(
  { tables }: Change,
  provider: DirectoryRow,
  { session: providerSession, subject }: ProviderLogout,
): Promise<readonly SessionRow[]> {
  const where = { directory: provider.name, endedAt: null };
  const named =
    providerSession === undefined ? [] : await tables.sessions.list({ where: { ...where, providerSession } });
  if (subject === undefined) return named;
  // Several accounts of one id cannot sign in; whoever did before is meant.
  const accounts = await tables.identities.list({ where: accountAt(provider, subject) });
  const userIds = accounts.map(({ userId }) => userId).filter((userId) => userId !== '');
  const others = await tables.sessions.list({ where, among: ['userId', userIds] });
  const known = new Set(named.map(({ id }) => id));
  const unnamed = others.filter(
    (row) => !known.has(row.id) && (providerSession === undefined || row.providerSession === null),
  );
  return [...named, ...unnamed];
}
