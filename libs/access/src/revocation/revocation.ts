import { isBelow } from '@sallyport/lease';
import type { RevocationEntry, RevocationKind, RevocationSeal } from '@sallyport/security-api';
import { appIdOf } from '../apps/app-rule.ts';
import { blockedVersions, foldVersions } from '../apps/blocked-versions.ts';
import { sealsOf } from '../journal/seal.ts';
import { endOperatorsOfUser } from '../operators/operators.ts';
import { type Change, change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { bumpPolicyVersion, getRealm } from '../realm/realm.ts';
import { type Revocation, stillRevoked } from '../realm/revocation-log.ts';
import type { InstallationRow, SessionRow } from '../session/rows.ts';
import { AccessError } from '../store/errors.ts';
import { missing } from '../store/missing.ts';
import type { Transaction } from '../store/store.ts';
import type { RevocationRow } from './rows.ts';
import { standing } from './standing.ts';

/**
 * Revokes: log entry, state and audit in one transaction. It is in force once `untilInForce` says that nobody is waited for.
 * @throws AccessError ERR_ACCESS_CONFLICT when the id stands for another revocation, ERR_ACCESS_INVALID for a bad subject.
 */
export async function revoke(access: AccessContext, revocation: Revocation, by: Actor): Promise<RevocationRow> {
  return change(
    access,
    by,
    async (begun) => {
      const before = await begun.tables.revocations.find({ requestId: revocation.requestId });
      if (before) {
        begun.unchanged();
        return sameRevocation(before, revocation);
      }
      const exact = await exactRevocation(begun, revocation);
      const { kind, subject } = exact;
      const row = kind === 'user' ? await begun.enterOut(exact) : await begun.enter(exact);
      await applyEffect(begun, kind, { subject, at: begun.at, reason: by.reason });
      begun.audit('revoke', `${kind} ${subject}`);
      await auditBlocked(begun, { kind, subject });
      return row;
    },
    { urgent: true },
  );
}

/** Subject of a revocation of everything up to this moment. */
const NOW = 'now';

/**
 * `before now` becomes the number of a generation: no clock takes part, and the realm's lock keeps new sessions away until
 * the commit.
 */
async function exactRevocation(transaction: Transaction, revocation: Revocation): Promise<Revocation> {
  if (revocation.kind === 'generation')
    throw new AccessError('ERR_ACCESS_INVALID', 'everything so far is revoked as "before", "now"');
  if (revocation.kind === 'credentials')
    throw new AccessError('ERR_ACCESS_INVALID', 'credentials are replaced by a new password or second factor');
  if (!isEverything(revocation)) return revocation;
  const { generation } = await getRealm(transaction);
  return { ...revocation, kind: 'generation', subject: String(generation + 1) };
}

function isEverything({ kind, subject }: Revocation): boolean {
  return kind === 'before' && subject === NOW;
}

function sameRevocation(row: RevocationRow, revocation: Revocation): RevocationRow {
  const same = row.kind === revocation.kind && row.subject === revocation.subject;
  if (same || (row.kind === 'generation' && isEverything(revocation))) return row;
  throw new AccessError('ERR_ACCESS_CONFLICT', 'this request id stands for another revocation');
}

/** Puts on record what else is refused because so many versions of an app are revoked. */
async function auditBlocked(begun: Change, { kind, subject }: Pick<Revocation, 'kind' | 'subject'>): Promise<void> {
  if (kind !== 'app' && kind !== 'lift') return;
  const below = (await begun.tables.apps.find({ id: appIdOf(subject) }))?.blockedBelow;
  if (below) begun.audit('app.block', `${appIdOf(subject)} below ${below}`);
}

interface Ending {
  readonly subject: string;
  readonly at: number;
  readonly reason: string;
  /** Who ends a user; an operator unless it says otherwise. */
  readonly by?: 'operator' | 'directory';
}

/** What an ended session looks like: no secret outlives it. */
export function ended({ at, reason }: Pick<Ending, 'at' | 'reason'>): Partial<SessionRow> {
  return { endedAt: at, endReason: reason, secret: null, delegated: null };
}

/** What a revoked installation looks like. */
const REVOKED: Partial<InstallationRow> = { status: 'revoked', currentKey: null, nextKey: null, previousKey: null };

/**
 * Ends every session and every other way in of a user, in the caller's transaction: an operator or the directory says that
 * they are out, whatever the other one says.
 */
export async function endUser(transaction: Transaction, ending: Ending): Promise<void> {
  const { users, sessions, installations, codes } = transaction.tables;
  const user = await users.find({ id: ending.subject }, 'update');
  if (!user) throw new AccessError('ERR_ACCESS_NOT_FOUND', 'no such user');
  const said = ending.by === 'directory' ? { outByDirectory: true } : { outByOperator: true };
  await users.update({ where: { id: ending.subject } }, standing({ ...user, ...said }));
  await sessions.update({ where: { userId: ending.subject, endedAt: null } }, ended(ending));
  await installations.update({ where: { userId: ending.subject } }, REVOKED);
  await codes.remove({ where: { userId: ending.subject } });
  await endOperatorsOfUser(transaction, { userId: ending.subject, at: ending.at, reason: ending.reason });
}

/**
 * Changes which versions of an app are served nowhere, as the log now says: also to sessions that other versions began, and to whoever says
 * later that they run it.
 */
async function block(
  transaction: Transaction,
  app: string,
  change: (versions: readonly string[], version: string) => readonly string[],
): Promise<void> {
  const { apps } = transaction.tables;
  const id = appIdOf(app);
  const row = await apps.find({ id }, 'update');
  if (!row) return;
  // What is folded is in the log alone.
  const blocked =
    row.blockedBelow === null
      ? foldVersions(change(row.blocked ?? [], app.slice(id.length + 1)))
      : await blockedVersions(transaction, id);
  await apps.update({ where: { id } }, blocked);
  await bumpPolicyVersion(transaction);
}

const EFFECTS: Readonly<Record<RevocationKind, (transaction: Transaction, ending: Ending) => Promise<void>>> = {
  async session(transaction, ending) {
    const session = await transaction.tables.sessions.find({ id: ending.subject });
    if (!session) throw missing('session', ending.subject);
    await transaction.tables.sessions.update({ where: { id: ending.subject, endedAt: null } }, ended(ending));
  },
  async installation(transaction, ending) {
    const where = { id: ending.subject };
    const found = await transaction.tables.installations.update({ where }, REVOKED);
    if (found === 0) throw missing('installation', ending.subject);
    await transaction.tables.sessions.update(
      { where: { installationId: ending.subject, endedAt: null } },
      ended(ending),
    );
  },
  user: endUser,
  /**
   * Only a restore applies it: the credentials of the backup were replaced since, perhaps because somebody knew them. The
   * password opens nothing until there is a new one.
   */
  async credentials(transaction, ending) {
    const { users, installations, sessions } = transaction.tables;
    const found = await users.update({ where: { id: ending.subject } }, { passwordHash: null });
    if (found === 0) throw new AccessError('ERR_ACCESS_NOT_FOUND', 'no such user');
    await installations.update({ where: { userId: ending.subject } }, { resumeId: null });
    await sessions.update({ where: { userId: ending.subject, endedAt: null } }, ended(ending));
  },
  async app(transaction, ending) {
    if (!/^[^@]+@[^@]+$/.test(ending.subject))
      throw new AccessError('ERR_ACCESS_INVALID', 'an app is written id@version');
    await transaction.tables.sessions.update({ where: { app: ending.subject, endedAt: null } }, ended(ending));
    await block(transaction, ending.subject, (versions, version) => [...new Set([...versions, version])]);
  },
  async before(transaction, ending) {
    const notBefore = Number(ending.subject);
    if (!/^\d+$/.test(ending.subject) || !Number.isSafeInteger(notBefore))
      throw new AccessError('ERR_ACCESS_INVALID', 'a time is written in epoch ms, or as "now"');
    if (notBefore > ending.at)
      throw new AccessError('ERR_ACCESS_INVALID', 'this time is still to come: sessions until now end with "now"');
    const realm = await getRealm(transaction);
    const latest = Math.max(realm.notBefore, notBefore);
    await transaction.tables.realms.update({ where: { id: 'realm' } }, { notBefore: latest });
  },
  async generation(transaction, ending) {
    const realm = await getRealm(transaction);
    const generation = Math.max(realm.generation, Number(ending.subject));
    // Nodes of the version before know no generation: for them a time after every session there is.
    const later = await transaction.tables.sessions.list({ above: ['createdAt', ending.at] });
    const notBefore = 1 + Math.max(ending.at, realm.notBefore, ...later.map(({ createdAt }) => createdAt));
    await transaction.tables.realms.update({ where: { id: 'realm' } }, { generation, notBefore });
  },
  async lift(transaction, ending) {
    // The entry itself is the newest; it needs one of the app before it to lift.
    const [, before] = await ofApp(transaction, ending.subject, 2);
    if (before?.kind !== 'app') throw new AccessError('ERR_ACCESS_NOT_FOUND', 'this version of an app is not revoked');
    await block(transaction, ending.subject, (versions, version) => versions.filter((one) => one !== version));
  },
  /** Its certificate is worth nothing, its leases are not renewed; who waits looks at them by name. */
  async proxy(transaction, ending) {
    const where = { name: ending.subject, revokedAt: null };
    const found = await transaction.tables.proxies.update({ where }, { revokedAt: ending.at });
    if (found === 0) throw missing('Proxy', ending.subject);
  },
  async rights() {
    // Nothing ends: Proxies read the rights again.
  },
};

/** True while a version of an app may not sign in: revoked, and not lifted since. */
export async function isAppRevoked(transaction: Transaction, app: string): Promise<boolean> {
  return (await ofApp(transaction, app, 1))[0]?.kind === 'app';
}

/** Those of some versions of apps that may not sign in: in one look, however many. */
async function revokedApps({ tables }: Transaction, apps: readonly string[]): Promise<ReadonlySet<string>> {
  const of = { among: ['subject', [...new Set(apps)]], within: ['kind', ['app', 'lift']] } as const;
  return stillRevoked(await tables.revocations.list(of));
}

/**
 * Those of some versions of apps that are served nowhere: revoked, or below what an app refuses of which too many are. In two looks, however
 * many.
 */
export async function blockedApps(transaction: Transaction, apps: readonly string[]): Promise<ReadonlySet<string>> {
  const ids = [...new Set(apps.map(appIdOf))];
  const [revoked, rows] = await Promise.all([
    revokedApps(transaction, apps),
    transaction.tables.apps.list({ among: ['id', ids] }),
  ]);
  const below = new Map(rows.map((row) => [row.id, row.blockedBelow]));
  const isFolded = (app: string): boolean => {
    const id = appIdOf(app);
    const least = below.get(id) ?? null;
    return least !== null && isBelow(app.slice(id.length + 1), least);
  };
  return new Set([...revoked, ...apps.filter(isFolded)]);
}

/** The newest entries that revoke a version of an app or lift that. */
function ofApp({ tables }: Transaction, subject: string, limit: number): Promise<readonly RevocationRow[]> {
  return tables.revocations.list({ where: { subject }, among: ['kind', ['app', 'lift']], limit, newestFirst: true });
}

/** Which entries of the log an operator asks for. */
export interface RevocationQuery {
  readonly limit: number;
  /** Only older ones than this index. */
  readonly before?: number;
  /** Also those that end nothing: rights that Proxies read again. */
  readonly all?: boolean;
}

const ENDING: readonly RevocationKind[] = [
  'session',
  'installation',
  'user',
  'credentials',
  'app',
  'before',
  'generation',
  'lift',
  'proxy',
];

/** The newest revocations, newest first; `lifted` tells of an app whether it may sign in again. */
export async function listRevocations(
  access: AccessContext,
  { limit, before, all = false }: RevocationQuery,
): Promise<readonly (RevocationRow & { readonly lifted: boolean })[]> {
  return access.store.transaction(async (transaction) => {
    const rows = await transaction.tables.revocations.list({
      ...(all ? {} : { among: ['kind', ENDING] as const }),
      ...(before === undefined ? {} : { below: ['index', before] as const }),
      limit,
      newestFirst: true,
    });
    const ofApps = rows.filter(({ kind }) => kind === 'app').map(({ subject }) => subject);
    const out = await revokedApps(transaction, ofApps);
    return rows.map((row) => ({ ...row, lifted: row.kind === 'app' && !out.has(row.subject) }));
  });
}

/** What an entry does to the rows of the realm, in the transaction that appends it. */
export function applyEffect(transaction: Transaction, kind: RevocationKind, ending: Ending): Promise<void> {
  return EFFECTS[kind](transaction, ending);
}

/** Rows of the log after an index, oldest first, at most 1,000. */
export function rowsAfter({ tables }: Transaction, index: number): Promise<readonly RevocationRow[]> {
  return tables.revocations.list({ above: ['index', index], limit: 1_000 });
}

/** Entries after an index, oldest first, at most 1,000. */
export async function entriesAfter(transaction: Transaction, index: number): Promise<RevocationEntry[]> {
  return (await rowsAfter(transaction, index)).map(entryOf);
}

/** What Proxies hear of the log: its entries, and seals for those of them that they keep. */
export interface SealedEntries {
  readonly entries: RevocationEntry[];
  readonly seals: RevocationSeal[];
}

/** Rows of an epoch as Proxies hear of them. */
export function sealedEntries(
  { keyring, store }: AccessContext,
  epoch: string,
  rows: readonly RevocationRow[],
): SealedEntries {
  return { entries: rows.map(entryOf), seals: sealsOf({ keyring, realm: store.realm }, epoch, rows) };
}

/**
 * The same after an index for a push, which waits behind nothing that is not urgent. Only for a process that is held to this
 * epoch by its fence.
 */
export async function readEntries(access: AccessContext, epoch: string, index: number): Promise<SealedEntries> {
  const rows = await access.store.transaction((transaction) => rowsAfter(transaction, index), { urgent: true });
  return sealedEntries(access, epoch, rows);
}

/** A piece of the log, as the journal keeps it but for its epoch, and what that takes the place of. */
export interface LogPiece {
  readonly supersedes: readonly string[];
  readonly entries: readonly Omit<RevocationRow, 'salt'>[];
}

/** At most so many entries after an index, for whoever copies the log. */
export async function logAfter({ store }: AccessContext, index: number, limit: number): Promise<LogPiece> {
  return store.transaction(async (transaction) => {
    const { supersedes } = await getRealm(transaction);
    const rows = await transaction.tables.revocations.list({ above: ['index', index], limit });
    return { supersedes, entries: rows.map(({ salt: _, ...row }) => row) };
  });
}

/** What Proxies hear of a row. */
function entryOf({ index, kind, subject, at, salt, hash }: RevocationRow): RevocationEntry {
  return { index, kind, subject, at, salt, hash };
}
