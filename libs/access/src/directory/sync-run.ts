import type { AccessContext } from '../realm/context.ts';
import { randomId } from '../realm/ids.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';
import { getDirectory, mergeState } from './directories.ts';

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
    const row = await getDirectory(transaction, directory, 'update');
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
  const row = await getDirectory(transaction, directory, 'update');
  if (row.runId !== id) throw new AccessError('ERR_ACCESS_CONFLICT', `another node syncs ${directory} now`);
  await transaction.tables.directories.update({ where: { name: directory } }, { runBeat: row.runBeat + 1 });
}

/** Says how far a run is, for people. */
export async function tellProgress(access: AccessContext, run: SyncRun, progress: object): Promise<void> {
  await access.store.transaction(async (transaction) => {
    await keepClaim(transaction, run);
    await mergeState(transaction, run.directory, { progress });
  });
}

/** Ends a run and keeps what it found. */
export async function endSync(access: AccessContext, run: SyncRun, state: object): Promise<void> {
  await access.store.transaction(async (transaction) => {
    await keepClaim(transaction, run);
    await mergeState(transaction, run.directory, { ...state, progress: null });
    await transaction.tables.directories.update({ where: { name: run.directory } }, { runId: null, runNode: '' });
  });
}
