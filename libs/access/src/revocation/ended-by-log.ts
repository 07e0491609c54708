import type { RevocationKind } from '@sallyport/security-api';
import type { SessionRow } from '../session/rows.ts';
import type { Transaction } from '../store/store.ts';
import type { RevocationRow } from './rows.ts';

/** What of a session the log is asked about. */
export type LoggedSession = Pick<SessionRow, 'id' | 'installationId' | 'userId' | 'createdAt'>;

/** Entries about a user that end the sessions from before them. */
const USER_ENDS: readonly RevocationKind[] = ['user', 'credentials'];

/**
 * Ids of the sessions that the revocation log has ended, whatever their rows say: a row that somebody has brought back as it
 * once was fits its MAC, but nobody takes an entry out of the chained log unnoticed. An entry about a user counts for the
 * sessions from before it.
 */
export async function endedByLog(
  transaction: Transaction,
  sessions: readonly LoggedSession[],
): Promise<ReadonlySet<string>> {
  const subjects = sessions.flatMap(({ id, installationId, userId }) => [id, installationId, userId]);
  const entries = await entriesAbout(transaction, subjects, ['session', 'installation', ...USER_ENDS]);
  const over = new Set(entries.map(({ kind, subject }) => `${kind} ${subject}`));
  const userAt = lastEnds(entries);
  const ended = sessions.filter(
    ({ id, installationId, userId, createdAt }) =>
      over.has(`session ${id}`) ||
      over.has(`installation ${installationId}`) ||
      createdAt <= (userAt.get(userId) ?? Number.NEGATIVE_INFINITY),
  );
  return new Set(ended.map(({ id }) => id));
}

/** What the log says of somebody who signs in with a device. */
export interface LoggedDevice {
  /** The installation is revoked, whatever its row says. */
  readonly isRevoked: boolean;
  /** The version of its app is revoked, and not lifted since. */
  readonly isAppRevoked: boolean;
  /** When all sessions of the user were last ended, in the store's time; 0 for never. */
  readonly userEndedAt: number;
}

/** Asks the log about an installation, its user and its app, in one query: each login does. */
export async function deviceByLog(
  transaction: Transaction,
  { id, userId, app }: { readonly id: string; readonly userId: string; readonly app: string },
): Promise<LoggedDevice> {
  const kinds: readonly RevocationKind[] = ['installation', 'app', 'lift', ...USER_ENDS];
  const entries = await entriesAbout(transaction, [id, userId, app], kinds);
  const isRevoked = entries.some(({ kind, subject }) => kind === 'installation' && subject === id);
  const ofApp = entries.filter(({ kind, subject }) => (kind === 'app' || kind === 'lift') && subject === app);
  // Entries come in the order of the log.
  const isAppRevoked = ofApp.at(-1)?.kind === 'app';
  return { isRevoked, isAppRevoked, userEndedAt: lastEnds(entries).get(userId) ?? 0 };
}

function entriesAbout(
  { tables }: Transaction,
  subjects: readonly string[],
  kinds: readonly RevocationKind[],
): Promise<readonly RevocationRow[]> {
  return tables.revocations.list({ among: ['subject', [...new Set(subjects)]], within: ['kind', kinds] });
}

function lastEnds(entries: readonly RevocationRow[]): ReadonlyMap<string, number> {
  const last = new Map<string, number>();
  for (const { kind, subject, at } of entries)
    if (USER_ENDS.includes(kind)) last.set(subject, Math.max(at, last.get(subject) ?? at));
  return last;
}
