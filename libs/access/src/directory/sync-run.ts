import type { SyncProgress, SyncQuestion, SyncReport } from '@sallyport/security-api';
import type { AccessContext } from '../realm/context.ts';
import { randomId } from '../realm/ids.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';
import { readDirectory } from './directories.ts';
import type { AccountConflict, DirectoryRow, DirectoryState, SyncCursor } from './rows.ts';
import { MAX_CONFLICTS, mergeState } from './state.ts';

/** A sync that may write: one for each directory, whichever node runs it. */
export interface SyncRun {
  readonly directory: string;
  readonly id: string;
}

/**
 * Claims the sync of a directory. `over` is the run and beat that the caller has seen stand still for too long, by its own
 * clock: only exactly that one may be taken over. Undefined while another one runs.
 */
export async function claimSync(
  access: AccessContext,
  directory: string,
  claim: { readonly node: string; readonly over?: { readonly runId: string; readonly beat: number } | undefined },
): Promise<SyncRun | undefined> {
  return access.store.transaction(async (transaction) => {
    const row = await readDirectory(transaction, directory, 'update');
    // A node runs one sync of a directory at a time, so what it left behind before a restart is its own to take.
    const abandoned =
      row.runNode === claim.node || (claim.over?.runId === row.runId && claim.over?.beat === row.runBeat);
    if (row.runId !== null && !abandoned) return undefined;
    const id = randomId(access.crypto);
    const change = { runId: id, runNode: claim.node, runBeat: row.runBeat + 1 };
    await transaction.tables.directories.update({ where: { name: directory } }, change);
    return { directory, id };
  });
}

/**
 * Makes sure that a run is still the one that may write, and counts its beat. First in each transaction of a sync.
 * @throws AccessError ERR_ACCESS_CONFLICT when another node has taken over
 */
export async function keepClaim(transaction: Transaction, { directory, id }: SyncRun): Promise<void> {
  const row = await readDirectory(transaction, directory, 'update');
  if (row.runId !== id) throw new AccessError('ERR_ACCESS_CONFLICT', `another node syncs ${directory} now`);
  await transaction.tables.directories.update({ where: { name: directory } }, { runBeat: row.runBeat + 1 });
}

/** Says how far a run is, for people. */
export async function tellProgress(access: AccessContext, run: SyncRun, progress: SyncProgress): Promise<void> {
  await access.store.transaction(async (transaction) => {
    await keepClaim(transaction, run);
    await mergeState(transaction, run.directory, { progress });
  });
}

/** What a sync found. */
export interface SyncOutcome {
  readonly report: SyncReport;
  readonly cursor: SyncCursor;
  readonly question: SyncQuestion | null;
  readonly conflicts: readonly AccountConflict[];
}

/** Ends a run and keeps what it found. */
export function endSync(access: AccessContext, run: SyncRun, found: SyncOutcome): Promise<void> {
  return endRun(access, run, ({ conflicts = [] }) => {
    const { report, cursor, question } = found;
    return { report, cursor, question, conflicts: keptConflicts(found, conflicts), trouble: null, troubleSince: null };
  });
}

/** Ends a run that failed, and says why. */
export function failSync(access: AccessContext, run: SyncRun, why: string): Promise<void> {
  return endRun(access, run, ({ trouble, troubleSince = null }, now) => ({
    trouble: why,
    troubleSince: trouble ? troubleSince : now,
  }));
}

async function endRun(
  access: AccessContext,
  run: SyncRun,
  after: (before: DirectoryState, now: number) => DirectoryState,
): Promise<void> {
  await access.store.transaction(async (transaction) => {
    await keepClaim(transaction, run);
    const endedAt = transaction.now();
    const { state: before } = await readDirectory(transaction, run.directory);
    await mergeState(transaction, run.directory, { ...after(before, endedAt), endedAt, progress: null });
    await transaction.tables.directories.update({ where: { name: run.directory } }, { runId: null, runNode: '' });
  });
}

/** Conflicts of before stay known: an incremental sync does not look at them. The view leaves out what was solved. */
function keptConflicts({ report, conflicts }: SyncOutcome, before: readonly AccountConflict[]): AccountConflict[] {
  const fresh = new Set(conflicts.map(({ subject }) => subject));
  const known = report.mode === 'full' ? [] : before.filter(({ subject }) => !fresh.has(subject));
  return [...conflicts, ...known].slice(0, MAX_CONFLICTS);
}

/** How often an LDAP directory is synced when its settings do not say, ms. */
const SYNC_EVERY_MS = 60_000;
/** A failed sync is tried again after this at the latest, ms. */
const RETRY_MS = 30_000;

/** Whether a sync of an LDAP directory is due, by the store's clock; one that runs may have been abandoned. */
export function isSyncDue(row: DirectoryRow, now: number): boolean {
  const { endedAt, trouble } = row.state;
  if (endedAt === undefined || row.runId !== null) return true;
  const { syncEveryMs = SYNC_EVERY_MS } = row.kind === 'ldap' ? row.settings : {};
  return now - endedAt >= (trouble ? Math.min(syncEveryMs, RETRY_MS) : syncEveryMs);
}
