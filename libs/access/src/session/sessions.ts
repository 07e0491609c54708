import {
  deriveEndKey,
  deriveSessionSecret,
  type EstablishOutcome,
  encodeText,
  formatHex,
  type Routes,
} from '@sallyport/channel';
import { type KeyCandidate, type RotationStep, rotationStep } from '../keys/rotation.ts';
import type { UserRow } from '../people/rows.ts';
import { groupsOf, namesOf } from '../people/users.ts';
import { appendAudit } from '../realm/audit.ts';
import type { AccessContext } from '../realm/context.ts';
import { getRealm, settingsOf } from '../realm/realm.ts';
import type { RealmRow } from '../realm/rows.ts';
import { deviceByLog, endedByLog } from '../revocation/ended-by-log.ts';
import { routesFor } from '../rights/policies.ts';
import type { PolicyCache } from '../rights/policy-cache.ts';
import { PURPOSES } from '../sealing/keyring.ts';
import { AccessError } from '../store/errors.ts';
import type { RowLock, Transaction } from '../store/store.ts';
import type { InstallationRow, SessionRow } from './rows.ts';
import { newSessionId } from './session-ids.ts';

/** What a login is made of, once credentials, proof and app context were checked. */
export interface SessionRequest {
  readonly installationId: string;
  readonly used: KeyCandidate;
  readonly outcome: EstablishOutcome;
  /** `id@version` */
  readonly app: string;
  /** The system that it says it runs on. */
  readonly os?: string;
  /** The version is too old, and let in for its update only: that it was refused stays known. */
  readonly isOld?: boolean;
  /** How a directory vouched for the sign-in; absent for a local one. */
  readonly signIn?: DirectorySignIn;
  /** The proof of an enrolment that stands for the credentials: good for one session. */
  readonly resumeId?: string;
  /** No credentials were asked for: good with the current or next key only, which is looked at under the lock. */
  readonly userUnasked?: boolean;
  /** By these the device is told where it reaches what; without them it hears with its first channel. */
  readonly policies?: PolicyCache;
  /** The credentials that were looked at: a session is not opened by those that were replaced meanwhile. */
  readonly checked?: CheckedCredentials;
}

/** What a user's credentials were when they were looked at. */
export interface CheckedCredentials {
  readonly passwordHash: string | null;
  /** When the second factor was made; null for none. */
  readonly factorAt: number | null;
}

/** What a session keeps of a sign-in at a directory. No credential is among it. */
export interface DirectorySignIn {
  readonly directory: string;
  /** The provider's own session id, by which it may log out. */
  readonly providerSession?: string;
  /** Tokens that the user delegated for backends, as JSON. */
  readonly delegated?: string;
}

/** A new session and what the device is told of its keys. */
export interface NewSession {
  readonly sid: Uint8Array;
  readonly row: SessionRow;
  readonly rotation: RotationStep;
  /** Undefined in a realm of one site. */
  readonly routes: Routes | undefined;
}

/**
 * Creates a session and takes the key rotation one step, in one durable transaction under the installation's lock.
 * Undefined when the installation or its user may not log in any more.
 * @throws AccessError ERR_ACCESS_CONFLICT when the credentials, or the proof of the enrolment, are not those any more
 */
export async function createSession(access: AccessContext, request: SessionRequest): Promise<NewSession | undefined> {
  const sid = newSessionId(access);
  return access.store.transaction(async (transaction) => {
    const { tables } = transaction;
    // The share lock keeps a revocation from slipping between these checks and the commit.
    const [realm, installation] = await Promise.all([
      getRealm(transaction, 'share'),
      tables.installations.find({ id: request.installationId }, 'update'),
    ]);
    if (!installation || installation.status === 'revoked') return undefined;
    const { userId } = installation;
    const [user, logged, factor] = await Promise.all([
      tables.users.find({ id: userId }, 'share'),
      deviceByLog(transaction, { ...installation, app: request.app }),
      tables.factors.find({ userId }),
    ]);
    if (!user?.enabled || logged.isRevoked || logged.isAppRevoked) return undefined;
    checkUnchanged(request, { installation, user, factorAt: factor?.createdAt ?? null });
    const settings = settingsOf(realm);
    // A clock that steps back must not make a session that is over from its first moment.
    const now = Math.max(transaction.now(), realm.notBefore, logged.userEndedAt + 1);
    const rotation = stepOf(access, request, { installation, now, settings });
    if (!rotation) return undefined;
    if (rotation.suspicious && request.userUnasked)
      throw new AccessError('ERR_ACCESS_CONFLICT', 'a key that was replaced needs the credentials of the user');
    const expiresAt = transaction.now() + settings.sessionTtlMs;
    const row = newSession(access, request, { sid, installation, now, expiresAt, generation: realm.generation });
    const { app, os = null } = request;
    const refused = request.isOld ? {} : { refusedApp: null };
    const said = { app, os, ...refused, lastSeenAt: now, resumeId: null };
    const change = { ...rotation.change, status: 'active', ...said } as const;
    // The code has done its work: its key could only help somebody who reads old backups.
    const usedCode = { where: { installationId: installation.id } };
    const [routes] = await Promise.all([
      readRoutes(transaction, { realm, userId, policies: request.policies }),
      tables.installations.update({ where: { id: installation.id } }, change),
      installation.status === 'pending' ? tables.codes.update(usedCode, { codeKey: null }) : 0,
      tables.sessions.insert(row),
      auditLogin(access, transaction, { user, row, rotation }),
    ]);
    return { sid, row, rotation, routes };
  });
}

/** In a realm of one site nothing is read for it. */
async function readRoutes(
  transaction: Transaction,
  of: { readonly realm: RealmRow; readonly userId: string; readonly policies: PolicyCache | undefined },
): Promise<Routes | undefined> {
  const set = await of.policies?.get(transaction, of.realm);
  if (!set || set.sites.length < 2) return undefined;
  const routes = routesFor(set, await groupsOf(transaction, of.userId));
  return routes && { epoch: of.realm.epoch, asOf: of.realm.head, routes };
}

function checkUnchanged(
  { resumeId, checked }: SessionRequest,
  now: { readonly installation: InstallationRow; readonly user: UserRow; readonly factorAt: number | null },
): void {
  if (resumeId !== undefined && resumeId !== now.installation.resumeId)
    throw new AccessError('ERR_ACCESS_CONFLICT', 'the proof of the enrolment was used');
  if (!checked) return;
  if (checked.passwordHash !== now.user.passwordHash || checked.factorAt !== now.factorAt)
    throw new AccessError('ERR_ACCESS_CONFLICT', 'the credentials were changed meanwhile');
}

function stepOf(
  access: AccessContext,
  request: SessionRequest,
  at: { installation: InstallationRow; now: number; settings: { rotateAfterMs: number; previousKeyGraceMs: number } },
): RotationStep | undefined {
  const { crypto, keyring, store } = access;
  const used = slotNow(access, at.installation, request.used);
  if (!used) return undefined;
  const { rotateAfterMs, previousKeyGraceMs } = at.settings;
  return rotationStep({
    realm: store.realm,
    crypto,
    keyring,
    row: at.installation,
    used,
    outcome: request.outcome,
    now: at.now,
    rotateAfterMs,
    previousKeyGraceMs,
  });
}

/** The slot the used key is in under the lock: another login of the same device may have rotated meanwhile. */
function slotNow(access: AccessContext, row: InstallationRow, used: KeyCandidate): KeyCandidate | undefined {
  const slots = [
    ['current', row.currentKey],
    ['next', row.nextKey],
    ['previous', row.previousKey],
  ] as const;
  const purpose = PURPOSES.sharedKey(access.store.realm, row.id);
  const found = slots.find(
    ([, wrapped]) => wrapped && formatHex(access.keyring.unwrap(wrapped, purpose)) === formatHex(used.key),
  );
  return found && { slot: found[0], key: used.key };
}

function newSession(
  access: AccessContext,
  request: SessionRequest,
  at: { sid: Uint8Array; installation: InstallationRow; now: number; expiresAt: number; generation: number },
): SessionRow {
  const id = formatHex(at.sid);
  const secret = deriveSessionSecret(access.crypto, request.outcome, at.sid);
  return {
    id,
    installationId: at.installation.id,
    userId: at.installation.userId,
    secret: access.keyring.wrap(secret, PURPOSES.session(access.store.realm, id)),
    app: request.app,
    createdAt: at.now,
    expiresAt: at.expiresAt,
    chanNo: 0,
    chanRequest: null,
    endedAt: null,
    endReason: null,
    directory: request.signIn?.directory ?? '',
    providerSession: request.signIn?.providerSession ?? null,
    delegated: wrapDelegated(access, id, request.signIn?.delegated),
    generation: at.generation,
    holders: [],
    endKey: access.keyring.wrap(deriveEndKey(access.crypto, secret), PURPOSES.sessionEnd(access.store.realm, id)),
  };
}

function wrapDelegated(access: AccessContext, id: string, tokens: string | undefined): Uint8Array | null {
  return tokens === undefined
    ? null
    : access.keyring.wrap(encodeText(tokens), PURPOSES.delegated(access.store.realm, id));
}

async function auditLogin(
  access: AccessContext,
  transaction: Transaction,
  login: { user: UserRow; row: SessionRow; rotation: RotationStep },
): Promise<void> {
  const event = {
    actor: login.user.name,
    reason: '',
    subject: login.row.id,
    outcome: 'done',
    at: login.row.createdAt,
  } as const;
  await appendAudit(transaction, access.crypto, { ...event, action: 'session.create' });
  if (!login.rotation.suspicious) return;
  await appendAudit(transaction, access.crypto, {
    ...event,
    action: 'key.previous-used',
    subject: login.row.installationId,
  });
}

/** A session that counts: neither ended nor expired nor older than the realm allows. */
export function isLive(session: SessionRow, realm: RealmRow, now: number): boolean {
  const old = session.createdAt < realm.notBefore || session.generation < realm.generation;
  return session.endedAt === null && session.expiresAt > now && !old;
}

/** A live session with its living installation and user. */
export interface LiveSession {
  readonly session: SessionRow;
  readonly installation: InstallationRow;
  readonly user: UserRow;
}

/** Rows of sessions that would be live by themselves, and the realm that they were held against. */
export interface LastingSessions {
  readonly realm: RealmRow;
  readonly sessions: readonly SessionRow[];
  /** The same, and those that have ended. */
  readonly listed: readonly SessionRow[];
}

/**
 * The sessions among `sids` that have not ended by their rows. The realm is read before them, so that whatever is revoked later has
 * a higher index in the log than the one it names.
 */
export async function findLastingSessions(
  transaction: Transaction,
  { sids, lock }: { readonly sids: readonly string[]; readonly lock?: RowLock },
): Promise<LastingSessions> {
  const [realm, listed] = await Promise.all([
    getRealm(transaction),
    transaction.tables.sessions.list({ among: ['id', [...new Set(sids)]] }, lock),
  ]);
  const now = transaction.now();
  return { realm, listed, sessions: listed.filter((session) => isLive(session, realm, now)) };
}

/** Of lasting sessions those that the log has not ended, with their living installations and users; by session id. */
export async function findLiveSessions(
  transaction: Transaction,
  { sessions }: Pick<LastingSessions, 'sessions'>,
): Promise<ReadonlyMap<string, LiveSession>> {
  const { tables } = transaction;
  const idsOf = (column: 'installationId' | 'userId'): string[] => [...new Set(sessions.map((row) => row[column]))];
  const [ended, installations, users] = await Promise.all([
    endedByLog(transaction, sessions),
    tables.installations.list({ among: ['id', idsOf('installationId')] }),
    tables.users.list({ among: ['id', idsOf('userId')] }),
  ]);
  const [installationOf, userOf] = [byId(installations), byId(users)];
  const live = new Map<string, LiveSession>();
  for (const session of sessions) {
    const installation = installationOf.get(session.installationId);
    const user = userOf.get(session.userId);
    if (ended.has(session.id) || installation?.status !== 'active' || !user?.enabled) continue;
    live.set(session.id, { session, installation, user });
  }
  return live;
}

function byId<Row extends { readonly id: string }>(rows: readonly Row[]): ReadonlyMap<string, Row> {
  return new Map(rows.map((row) => [row.id, row]));
}

/** A session with its user's name and whether it is live. */
export interface NamedSession {
  readonly session: SessionRow;
  readonly user: string;
  readonly live: boolean;
}

/** A page of sessions in the order of their ids, only live ones unless `all`; `after` is the last id of the page before. */
export async function listSessions(
  access: AccessContext,
  { all, after = '', limit }: { readonly all: boolean; readonly after?: string | undefined; readonly limit: number },
): Promise<NamedSession[]> {
  return access.store.transaction(async (transaction) => {
    const realm = await getRealm(transaction);
    const now = transaction.now();
    const where = all ? {} : { where: { endedAt: null } };
    const rows: SessionRow[] = [];
    for (let last = after; rows.length < limit; ) {
      const page = await transaction.tables.sessions.list({ ...where, above: ['id', last], limit });
      rows.push(...page.filter((session) => all || isLive(session, realm, now)));
      if (page.length < limit) break;
      last = page.at(-1)!.id;
    }
    const listed = rows.slice(0, limit);
    const names = await namesOf(
      transaction,
      listed.map(({ userId }) => userId),
    );
    return listed.map((session) => ({
      session,
      user: names.get(session.userId) ?? session.userId,
      live: isLive(session, realm, now),
    }));
  });
}
