import { appendAudit } from '../realm/audit.ts';
import type { AccessContext } from '../realm/context.ts';
import { randomId } from '../realm/ids.ts';
import { AccessError } from '../store/errors.ts';
import type { RowLock, Transaction } from '../store/store.ts';
import { isOverdue } from './health.ts';
import type { BackupTargetRow, BackupTargetState, BackupTrouble, VerifiedExport } from './rows.ts';

/** What a turn is for: to make an export, or only to look what is there. */
export type BackupWork = 'export' | 'look';

/** A turn of one node at one target. */
export interface BackupTurn {
  readonly place: string;
  readonly id: string;
  readonly work: BackupWork;
  /** Name of the newest export that was made there before; undefined: none was. */
  readonly expected: string | undefined;
}

/** Where exports go, and how often what is done, ms. */
export interface BackupRhythm {
  readonly places: readonly string[];
  readonly everyMs: number;
  readonly lookMs: number;
}

/** An export that failed is tried again after this at the latest, ms. */
const RETRY_MS = 60_000;

/**
 * These targets, as far as any node has worked on them, and the store's clock. A row that no Security server wrote says nothing: what it
 * claims to be verified is not.
 */
export async function backupTargetsNow(
  { store }: AccessContext,
  places: readonly string[],
): Promise<{ readonly rows: readonly BackupTargetRow[]; readonly now: number }> {
  return store.transaction(async (transaction) => ({
    rows: await rowsOf(transaction, places),
    now: transaction.now(),
  }));
}

/** The genuine ones among the rows of these targets. */
async function rowsOf(
  { tables }: Transaction,
  places: readonly string[],
  lock?: RowLock,
): Promise<readonly BackupTargetRow[]> {
  return places.length === 0 ? [] : tables.backupTargets.list({ among: ['place', places] }, lock);
}

/**
 * What is due at a target, by the store's clock; undefined for nothing. A slot that was missed is due at once. Where the clock went
 * back, what was done later than now was done long ago.
 */
export function backupWorkDue(
  row: BackupTargetRow | undefined,
  now: number,
  { everyMs, lookMs }: Pick<BackupRhythm, 'everyMs' | 'lookMs'>,
): BackupWork | undefined {
  if (!row) return 'export';
  const { triedAt, state } = row;
  const since = (at: number): number => (at > now ? Number.POSITIVE_INFINITY : now - at);
  if (since(triedAt) >= (state.trouble ? Math.min(everyMs, RETRY_MS) : everyMs)) return 'export';
  return since(state.lookedAt ?? 0) >= lookMs ? 'look' : undefined;
}

/** Who wants a turn, and where. */
export interface BackupClaim {
  readonly node: string;
  readonly places: readonly string[];
  /** Turns that the caller has seen stand still for too long, by its own clock: only exactly those may be taken over. */
  readonly over: readonly Pick<BackupTargetRow, 'place' | 'runId' | 'runBeat'>[];
}

/**
 * Takes the turn at each of these places where something is due and nobody else works. One transaction, so that the targets of one slot
 * get one export. A node works once at a place, so what it left behind before a restart is its own to take.
 */
export async function claimBackups(
  access: AccessContext,
  { node, places, over }: BackupClaim,
  rhythm: BackupRhythm,
): Promise<readonly BackupTurn[]> {
  return access.store.transaction(async (transaction) => {
    const { backupTargets } = transaction.tables;
    const turns: BackupTurn[] = [];
    const now = transaction.now();
    for (const place of [...new Set(places)].sort()) {
      const [row] = await rowsOf(transaction, [place], 'update');
      const isOver = over.some((seen) => seen.place === place && isTurnOf(row, seen));
      if (row && row.runId !== null && row.runNode !== node && !isOver) continue;
      const work = backupWorkDue(row, now, rhythm);
      if (!work) continue;
      const id = randomId(access.crypto);
      const turn = { runId: id, runNode: node, runBeat: (row?.runBeat ?? 0) + 1 };
      const change = { ...turn, triedAt: work === 'export' ? now : (row?.triedAt ?? 0) };
      if (row) await backupTargets.update({ where: { place } }, change);
      else {
        // Somebody else may have written one.
        await backupTargets.remove({ where: { place } });
        await backupTargets.insert({ place, ...change, state: {} });
      }
      turns.push({ place, id, work, expected: row?.state.exported?.name });
    }
    return turns;
  });
}

function isTurnOf(
  row: BackupTargetRow | undefined,
  { runId, runBeat }: Pick<BackupTargetRow, 'runId' | 'runBeat'>,
): boolean {
  return row?.runId === runId && row.runBeat === runBeat;
}

/** Says that a turn goes on. @throws AccessError ERR_ACCESS_CONFLICT when another node has taken it over */
export async function keepBackupTurn({ store }: AccessContext, turn: BackupTurn): Promise<void> {
  await store.transaction(async (transaction) => {
    const { runBeat } = await ownRow(transaction, turn);
    await transaction.tables.backupTargets.update({ where: { place: turn.place } }, { runBeat: runBeat + 1 });
  });
}

/** Gives a turn back undone: whoever looks next takes it at once. @throws AccessError ERR_ACCESS_CONFLICT like `keepBackupTurn` */
export async function giveBackBackupTurn({ store }: AccessContext, turn: BackupTurn): Promise<void> {
  await store.transaction(async (transaction) => {
    const { triedAt } = await ownRow(transaction, turn);
    const change = { runId: null, runNode: '', triedAt: turn.work === 'export' ? 0 : triedAt };
    await transaction.tables.backupTargets.update({ where: { place: turn.place } }, change);
  });
}

async function ownRow(transaction: Transaction, { place, id }: BackupTurn): Promise<BackupTargetRow> {
  const [row] = await rowsOf(transaction, [place], 'update');
  if (row?.runId !== id) throw new AccessError('ERR_ACCESS_CONFLICT', `another node works on ${place} now`);
  return row;
}

/** What a turn has found. */
export interface BackupFinding {
  readonly exported?: BackupTargetState['exported'];
  /** The newest one that is verified, null when there is none; absent when nobody could look. */
  readonly verified?: VerifiedExport | null;
  readonly exports?: number;
  readonly future?: number;
  readonly trouble?: Omit<BackupTrouble, 'since'> | undefined;
}

/**
 * Ends a turn and keeps what it found. On record: each export that is new among the verified ones, troubles as they begin and end, and
 * once that no export was verified for twice the time between two.
 */
export async function endBackupTurn(
  access: AccessContext,
  turn: BackupTurn,
  found: BackupFinding,
  { places, everyMs }: Pick<BackupRhythm, 'places' | 'everyMs'>,
): Promise<void> {
  await access.store.transaction(async (transaction) => {
    const { backupTargets } = transaction.tables;
    const row = await ownRow(transaction, turn);
    const others = (await rowsOf(transaction, places)).filter(({ place }) => place !== turn.place);
    const now = transaction.now();
    const after = stateAfter(row.state, found, now);
    const overdue = isOverdue([...others, { ...row, state: after }], { now, everyMs });
    const noted = [row, ...others].some(({ state }) => state.overdue);
    const state = { ...after, overdue };
    await backupTargets.update({ where: { place: turn.place } }, { runId: null, runNode: '', state });
    const events = [
      ...eventsOf(turn.place, row.state, after),
      ...(overdue && !noted ? [overdueEvent(turn.place, after)] : []),
    ];
    for (const event of events) await appendAudit(transaction, access.crypto, { actor: 'backup', ...event, at: now });
  });
}

function stateAfter(before: BackupTargetState, found: BackupFinding, now: number): BackupTargetState {
  const { trouble, ...rest } = found;
  const { trouble: known } = before;
  const seen = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  const since = known && known.code === trouble?.code ? known.since : now;
  return { ...before, ...seen, lookedAt: now, trouble: trouble ? { ...trouble, since } : null };
}

interface BackupEvent {
  readonly action: string;
  readonly subject: string;
  readonly reason: string;
  readonly outcome: 'done' | 'refused';
}

function eventsOf(place: string, before: BackupTargetState, after: BackupTargetState): BackupEvent[] {
  const events: BackupEvent[] = [];
  const { trouble, verified } = after;
  if (trouble && trouble.code !== before.trouble?.code)
    events.push({ action: 'backup.fail', subject: place, reason: textOf(trouble), outcome: 'refused' });
  if (!trouble && before.trouble)
    events.push({
      action: 'backup.recover',
      subject: place,
      reason: `no more: ${textOf(before.trouble)}`,
      outcome: 'done',
    });
  if (verified && verified.takenAt > (before.verified?.takenAt ?? 0)) {
    const reason = `taken ${isoOf(verified.takenAt)}, verified ${isoOf(verified.verifiedAt)}`;
    events.push({ action: 'backup.verified', subject: `${verified.name} at ${place}`, reason, outcome: 'done' });
  }
  return events;
}

function overdueEvent(place: string, { verified }: BackupTargetState): BackupEvent {
  const newest = verified ? `the newest one here was taken ${isoOf(verified.takenAt)}` : 'none here ever was';
  return {
    action: 'backup.overdue',
    subject: place,
    reason: `no backup was verified lately: ${newest}`,
    outcome: 'refused',
  };
}

function textOf({ code, words }: Pick<BackupTrouble, 'code' | 'words'>): string {
  return `${code}: ${words}`.slice(0, 500);
}

function isoOf(at: number): string {
  return new Date(at).toISOString();
}
