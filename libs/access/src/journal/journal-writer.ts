import type { RealmRow } from '../realm/rows.ts';
import type { RealmStore } from '../store/store.ts';
import { type Journal, type JournalEntry, JournalError, journalDamaged } from './journal.ts';

const AT_ONCE = 500;

/** What a writer works with. */
export interface JournalWriterParts {
  readonly store: RealmStore;
  readonly journal: Journal;
  /** The epoch of this process. */
  readonly epoch: string;
  readonly monotonicMs: () => number;
  /** Last entry of this epoch that the journal holds with all before it. */
  readonly written?: number;
  /** True when it was found to have lost entries: all are written again before anything else. */
  readonly damaged?: boolean;
  /** Hears that the journal had lost entries, and that so many are written again. */
  readonly mended?: (entries: number) => void;
  /** Without a look at the claim for so long no lease is given, ms; absent where the journal is no place of its own. */
  readonly authorityMs?: number | undefined;
  /**
   * How often the clocks have shown a suspend or a snapshot: this process may be a copy then, and the time since it last saw
   * the claim is not known any more.
   */
  readonly drifts?: () => number;
}

/** The claim of a journal as one process has last seen it. */
export interface SeenClaim {
  /** Undefined before the first claim. */
  readonly epoch: string | undefined;
  readonly ours: boolean;
  /** Since it was asked for, ms. */
  readonly silentMs: number;
}

/**
 * Carries the log of one process's database into the journal, entry by entry and in order, and knows whether the journal
 * still belongs to it. Not shared between processes: several may write the same entry, which changes nothing.
 */
export class JournalWriter {
  readonly #parts: JournalWriterParts;
  #written = 0;
  #damaged: boolean;
  #wanted = 0;
  #running: Promise<void> = Promise.resolve();
  /** A run that has not begun: whoever comes meanwhile goes with it. */
  #next: Promise<void> | undefined;
  #heldAt = Number.NEGATIVE_INFINITY;
  #heldDrifts = 0;
  /** Last entry of the journal that was found in the log as well. */
  #matched = 0;
  #doubts = 0;
  #ahead = false;
  #claim: { readonly epoch: string | undefined; readonly askedAt: number } | undefined;

  constructor(parts: JournalWriterParts) {
    this.#parts = parts;
    this.#written = parts.written ?? 0;
    this.#damaged = parts.damaged ?? false;
  }

  /** Where the journal is, in words. */
  get description(): string {
    return this.#parts.journal.description;
  }

  /** Last entry that is known to be in the journal. */
  get written(): number {
    return this.#written;
  }

  /** Last entry that the journal is known to hold, whichever node wrote it; as of the last look. */
  get held(): number {
    return Math.max(this.#written, this.#matched);
  }

  /** True while entries that were written are known to be gone. */
  get damaged(): boolean {
    return this.#damaged;
  }

  /** True once the journal was seen to hold an entry that the log has not: the database went back to an earlier state. */
  get isAhead(): boolean {
    return this.#ahead;
  }

  /**
   * Writes everything up to an entry. When this returns a restore brings it back.
   * @throws JournalError ERR_JOURNAL_CLAIMED when a restore has taken the place of this database
   */
  upTo(index: number): Promise<void> {
    this.#wanted = Math.max(this.#wanted, index);
    this.#next ??= this.#run();
    return this.#next;
  }

  #run(): Promise<void> {
    const run = this.#running.then(() => {
      this.#next = undefined;
      return this.#write(this.#wanted);
    });
    this.#running = run.catch(() => undefined);
    return run;
  }

  /** The log may be another one than it was: what was found in it before says nothing, and the next look begins anew. */
  doubt(): void {
    this.#doubts += 1;
    this.#matched = 0;
  }

  /** Looks whether the claim is still this epoch's; the answer counts from when it was asked for. */
  async look(): Promise<boolean> {
    const drifts = this.#drifts();
    const askedAt = this.#parts.monotonicMs();
    const epoch = await this.#parts.journal.claimed();
    const held = epoch === this.#parts.epoch;
    this.#claim = { epoch, askedAt };
    // An answer to what was asked before a suspend is as old as the suspend.
    if (drifts === this.#drifts()) {
      this.#heldDrifts = drifts;
      this.#heldAt = held ? Math.max(askedAt, this.#heldAt) : Number.NEGATIVE_INFINITY;
    }
    if (held) await this.#lookAtEntries();
    return held;
  }

  async #lookAtEntries(): Promise<void> {
    const { journal, epoch } = this.#parts;
    if (!(await journal.holds(epoch, this.#written))) this.#damaged = true;
    const last = await journal.last(epoch);
    if (last && last.index > this.#matched) await this.#match(last);
  }

  /** An entry is in the log before it is in the journal: what the journal had when it was asked, the log has now. */
  async #match({ index, hash }: Pick<JournalEntry, 'index' | 'hash'>): Promise<void> {
    const doubts = this.#doubts;
    const row = await this.#parts.store.transaction(({ tables }) => tables.revocations.find({ index }));
    if (row?.hash !== hash) this.#ahead = true;
    // What was read before a doubt is of the log that is doubted.
    else if (doubts === this.#doubts) this.#matched = index;
  }

  /** The claim as it was last seen; undefined when the journal never answered. */
  get claim(): SeenClaim | undefined {
    if (!this.#claim) return undefined;
    const { epoch, askedAt } = this.#claim;
    return { epoch, ours: epoch === this.#parts.epoch, silentMs: Math.round(this.#parts.monotonicMs() - askedAt) };
  }

  /** True while leases may be given: the claim was this epoch's a short while ago, with no suspend or snapshot since. */
  get mayLease(): boolean {
    const { authorityMs, monotonicMs } = this.#parts;
    if (authorityMs === undefined) return true;
    return this.#heldDrifts === this.#drifts() && monotonicMs() - this.#heldAt < authorityMs;
  }

  #drifts(): number {
    return this.#parts.drifts?.() ?? 0;
  }

  async #write(index: number): Promise<void> {
    let mended = false;
    for (;;) {
      // What is lost again at once is not mended in circles: whoever waits hears of it, and comes again.
      if (this.#damaged && mended) throw journalDamaged();
      mended = this.#damaged;
      if (mended) await this.#mend();
      if (this.#written >= index) return;
      const entries = (await this.#entriesAfter(this.#written)).filter((entry) => entry.index <= index);
      const last = entries.at(-1);
      // The entry is gone: whoever waits for it finds that out.
      if (!last) return;
      await this.#append(entries);
      if (!this.#damaged) this.#written = last.index;
    }
  }

  async #append(entries: readonly JournalEntry[]): Promise<void> {
    try {
      await this.#parts.journal.append(this.#parts.epoch, entries);
    } catch (error) {
      if ((error as JournalError).code !== 'ERR_JOURNAL_DAMAGED') throw error;
      this.#damaged = true;
    }
  }

  /** The log has everything that the journal of its epoch ever held: all of it is written again. */
  async #mend(): Promise<void> {
    const all: JournalEntry[] = [];
    for (;;) {
      const more = await this.#entriesAfter(all.at(-1)?.index ?? 0);
      all.push(...more);
      if (more.length < AT_ONCE) break;
    }
    await this.#parts.journal.mend(this.#parts.epoch, all);
    this.#damaged = false;
    this.#written = all.at(-1)?.index ?? 0;
    this.#parts.mended?.(all.length);
  }

  async #entriesAfter(index: number): Promise<JournalEntry[]> {
    const { store, epoch } = this.#parts;
    const rows = await store.transaction(({ tables }) =>
      tables.revocations.list({ above: ['index', index], limit: AT_ONCE }),
    );
    return rows.map(({ salt: _, ...row }) => ({ ...row, epoch }));
  }
}

/** The life of a log that opens its journal. */
type LogLife = Pick<RealmRow, 'epoch' | 'supersedes'>;

/**
 * Makes the journal this epoch's at the start of a node: a new one is claimed, and so is one that went back to an epoch whose
 * place this one has taken; one of another epoch is refused. Gives the epoch that it had gone back to.
 * @throws JournalError ERR_JOURNAL_CLAIMED when it belongs to another life of the realm
 */
export async function openClaim(journal: Journal, { epoch, supersedes }: LogLife): Promise<string | undefined> {
  const claimed = await journal.claimed();
  if (claimed === epoch) return undefined;
  // Whoever took the place of that epoch had claimed the journal before: it has lost that claim since.
  const wentBack = claimed !== undefined && supersedes.includes(claimed);
  if ((claimed === undefined || wentBack) && (await journal.claim(claimed, epoch))) return claimed;
  if ((await journal.claimed()) === epoch) return undefined;
  throw new JournalError(
    'ERR_JOURNAL_CLAIMED',
    `the journal (${journal.description}) belongs to another life of this realm: this database is older, or a restore was not finished`,
  );
}
