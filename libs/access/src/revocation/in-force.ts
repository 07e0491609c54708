import { PROXY_KEPT_MS } from '../farm/proxies.ts';
import type { JournalError } from '../journal/journal.ts';
import type { JournalWriter } from '../journal/journal-writer.ts';
import type { AccessContext } from '../realm/context.ts';
import { rateMarginMs } from '../realm/lease-time.ts';
import { getRealm } from '../realm/realm.ts';
import type { RealmRow } from '../realm/rows.ts';
import { type Bus, nextMessage } from '../shared/bus.ts';
import { AccessError, type StoreError } from '../store/errors.ts';
import type { HeldRealm, Hold, HoldReason } from './hold.ts';
import type { LeaseWatch, WaitingProxy } from './lease-watch.ts';
import type { LeaseRow, RevocationRow } from './rows.ts';

/** How often the leases are read while a revocation waits, ms, when no recorded beat wakes the waiter. */
const POLL_MS = 100;

/** How long a revocation took to be in force everywhere, or for whom it still waits. */
export interface Waited {
  readonly waitedMs: number;
  readonly waitingFor: readonly WaitingProxy[];
}

/** An entry that somebody waits for. Without a hash the first look takes the one that is there. */
export interface AwaitedEntry {
  readonly index: number;
  readonly hash?: string;
}

/** What waiting needs of the node that does it. Its store is fenced: it never reads from two lives of the log. */
export interface WaitingNode {
  readonly access: AccessContext;
  readonly leases: LeaseWatch;
  readonly hold: Hold;
  readonly bus: Bus;
  /** Absent where there is no journal: a restore then loses what was revoked since the backup. */
  readonly journal?: Pick<JournalWriter, 'upTo'> | undefined;
  readonly monotonicMs: () => number;
  /** Hears that the leases could not be read; the wait goes on. */
  readonly trouble: (error: unknown) => void;
  /** Waits for a recorded beat or so many ms; for a simulation. */
  readonly nextBeat?: (ms: number) => Promise<void>;
}

/** How long somebody waits, ms. */
export interface Patience {
  readonly maxMs: number;
  /** The same while the leases cannot be read at all, or the journal takes nothing; absent: `maxMs`. */
  readonly unreadableMs?: number;
}

/**
 * Waits until an entry is in force: every process of a Proxy that may hold a lease has it done, or its lease has run out. To
 * call right after the entry was committed. Gives up after `maxMs` and then says for whom it waits and how long at most.
 * A database that does not answer is waited for: what was committed stays committed.
 * @throws AccessError ERR_ACCESS_LOST when the database was restored and the entry is gone: to be revoked again.
 */
export function untilInForce(node: WaitingNode, entry: AwaitedEntry, patience: Patience): Promise<Waited> {
  const committedAt = node.monotonicMs();
  let awaited = entry;
  let last: number | undefined;
  let journaled = 0;
  // Once somebody hears "in force", a restore brings it back.
  const isJournaled = async (index: number): Promise<boolean> => {
    if (index > journaled && (await isInJournal(node, index))) journaled = index;
    return index <= journaled;
  };
  node.bus.publish('entries');
  return untilNobody(node, patience, async () => {
    if (!(await isJournaled(entry.index))) return UNWRITTEN;
    const look = await lookAt(node, awaited);
    if (!look) return UNREADABLE;
    awaited = { index: look.entry.index, hash: look.entry.hash };
    last ??= lastOf(look);
    if (!(await isJournaled(last))) return UNWRITTEN;
    return waitingOf(node, look, { index: last, committedAt });
  });
}

/**
 * Waits until everything that is in the log now is in force, for a request that found its work done already: perhaps by its
 * first try, which nobody has waited for.
 */
export async function untilHeadInForce(node: WaitingNode, patience: Patience): Promise<Waited> {
  const { head } = await node.access.store.transaction((transaction) => getRealm(transaction));
  return head === 0 ? { waitedMs: 0, waitingFor: [] } : untilInForce(node, { index: head }, patience);
}

/**
 * Waits until no process of a revoked Proxy may hold a lease, and every node has looked at its row again. To call right after
 * the revocation was committed.
 */
export function untilProxyGone(node: WaitingNode, name: string, patience: Patience): Promise<Waited> {
  const committedAt = node.monotonicMs();
  return untilNobody(node, patience, async () => {
    const look = await readLeases(node);
    if (!look) return UNREADABLE;
    if (!(await isInJournal(node, look.realm.head))) return UNWRITTEN;
    const waiting = node.leases.waiting(look.leases, Number.MAX_SAFE_INTEGER, committedAt);
    const own = waiting.filter(({ proxy }) => proxy === name);
    const keptMs = Math.ceil(committedAt + PROXY_KEPT_MS + rateMarginMs(PROXY_KEPT_MS) - node.monotonicMs());
    const kept = { proxy: name, instance: '', applied: 0, remainingMs: keptMs };
    return withHold(node, look, own.length === 0 && keptMs > 0 ? [kept] : own);
  });
}

/** Nobody knows for whom an entry waits: the words stand where the name of a Proxy would. */
interface Unknown {
  readonly proxy: string;
}

const NOTHING_KNOWN = { instance: '', applied: 0, remainingMs: 0 } as const;

/** The leases could not be read. */
const UNREADABLE: Unknown = { proxy: '(unknown: the database does not answer)' };

/** The entry is committed and pushed, but a restore would lose it. */
const UNWRITTEN: Unknown = { proxy: '(the journal does not answer)' };

async function untilNobody(
  node: WaitingNode,
  { maxMs, unreadableMs = maxMs }: Patience,
  look: () => Promise<readonly WaitingProxy[] | Unknown>,
): Promise<Waited> {
  const begunAt = node.monotonicMs();
  const nextBeat = node.nextBeat ?? ((ms: number) => nextMessage(node.bus, 'applied', ms));
  let known: readonly WaitingProxy[] = [];
  let knownAt = begunAt;
  for (;;) {
    const seen = await look();
    const now = node.monotonicMs();
    const waitedMs = Math.round(now - begunAt);
    if (isKnown(seen)) {
      if (seen.length === 0) return { waitedMs, waitingFor: seen };
      known = seen;
      knownAt = now;
    }
    const leftMs = Math.min(begunAt + maxMs, knownAt + unreadableMs) - now;
    if (leftMs <= 0) return { waitedMs, waitingFor: isKnown(seen) ? seen : [...known, { ...seen, ...NOTHING_KNOWN }] };
    await nextBeat(Math.min(POLL_MS, leftMs));
  }
}

function isKnown(seen: readonly WaitingProxy[] | Unknown): seen is readonly WaitingProxy[] {
  return Array.isArray(seen);
}

async function isInJournal({ journal, trouble }: WaitingNode, index: number): Promise<boolean> {
  try {
    await journal?.upTo(index);
    return true;
  } catch (error) {
    if ((error as JournalError).code === 'ERR_JOURNAL_CLAIMED') throw lost(error);
    if ((error as StoreError).code === 'ERR_STORE_FENCED') throw lost(error);
    trouble(error);
    return false;
  }
}

interface Look {
  readonly realm: RealmRow;
  readonly serverRun: string;
  readonly entry: RevocationRow;
  readonly leases: readonly LeaseRow[];
}

/** The entries of a user's installations stand behind the user's own: everything that is in the log now has them. */
function lastOf({ realm, entry }: Look): number {
  return entry.kind === 'user' ? realm.head : entry.index;
}

/** Reads the entry, the epoch and the leases in one transaction, which proves that it was at the primary. */
async function lookAt({ access, trouble }: WaitingNode, { index, hash }: AwaitedEntry): Promise<Look | undefined> {
  try {
    return await access.store.transaction(
      async (transaction) => {
        const realm = await getRealm(transaction);
        const entry = await transaction.tables.revocations.find({ index });
        if (!entry || (hash ?? entry.hash) !== entry.hash) throw lost();
        const { tables, serverRun } = transaction;
        return { realm, serverRun, entry, leases: await tables.leases.list() };
      },
      { urgent: true },
    );
  } catch (error) {
    if (error instanceof AccessError) throw error;
    if ((error as StoreError).code === 'ERR_STORE_FENCED') throw lost(error);
    trouble(error);
    return undefined;
  }
}

function lost(cause?: unknown): AccessError {
  return new AccessError('ERR_ACCESS_LOST', 'the database was restored meanwhile: revoke again', { cause });
}

async function readLeases({ access, trouble }: WaitingNode): Promise<Omit<Look, 'entry'> | undefined> {
  try {
    return await access.store.transaction(async (transaction) => {
      const realm = await getRealm(transaction);
      const { tables, serverRun } = transaction;
      return { realm, serverRun, leases: await tables.leases.list() };
    });
  } catch (error) {
    if (error instanceof AccessError) throw error;
    trouble(error);
    return undefined;
  }
}

function waitingOf(
  node: WaitingNode,
  look: Look,
  { index, committedAt }: { readonly index: number; readonly committedAt: number },
): WaitingProxy[] {
  return withHold(node, look, node.leases.waiting(look.leases, index, committedAt));
}

/** The words stand where the name of a Proxy would. */
const HELD: Readonly<Record<HoldReason, string>> = {
  restore: '(leases from before the restore)',
  serverRun: '(leases from before the start of the database server)',
};

/** Before a hold is over, leases that no row knows may live. */
function withHold({ hold }: WaitingNode, read: HeldRealm, waiting: WaitingProxy[]): WaitingProxy[] {
  const running = hold.running(read);
  if (!running) return waiting;
  const { reason, remainingMs } = running;
  return [...waiting, { proxy: HELD[reason], instance: '', applied: 0, remainingMs }];
}
