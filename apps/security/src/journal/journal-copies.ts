import { type AccessContext, type JournalWriter, logAfter } from '@sallyport/access';
import type { BackupTarget } from '@sallyport/backup';
import type { CopyView } from '@sallyport/security-api';
import type { Log } from '@sallyport/telemetry';
import { heldUpTo, listCopies, putCopy } from './copy-objects.ts';

/** How often it is looked for what targets lack, ms. */
const LOOK_MS = 1_000;
/** How often a node that only watches looks at a target, and one whose target failed tries again, ms. */
const WATCH_MS = 15_000;
/** Entries of one object. */
const AT_ONCE = 500;
/** A copy that is behind for longer is worth a word, ms. */
const BEHIND_MS = 60_000;

/** What copies are made from. */
export interface CopyParts {
  readonly access: AccessContext;
  readonly epoch: string;
  /** Of several nodes the first one writes, the others watch. */
  readonly node: { readonly isFirst: () => boolean; readonly head: () => number };
  /** A copy never goes before the journal. */
  readonly journal: Pick<JournalWriter, 'written'> | undefined;
  readonly monotonicMs: () => number;
  readonly log: Pick<Log, 'warn'>;
}

/** Opens a target, whenever one is needed that is not open. */
export interface CopyTarget {
  readonly description: string;
  open(): Promise<BackupTarget>;
}

/**
 * Copies the revocation log to a target of backups, behind the journal, in the time of nobody: who revokes never waits for it.
 * One belongs to one node and one target.
 */
class Copier {
  readonly #parts: CopyParts;
  readonly #place: CopyTarget;
  #target: BackupTarget | undefined;
  /** Undefined while it is not known what the target has. */
  #held: number | undefined;
  #written = 0;
  #trouble: string | undefined;
  #restUntil = Number.NEGATIVE_INFINITY;
  #behindSince: number | undefined;
  #running = false;

  constructor(parts: CopyParts, place: CopyTarget) {
    this.#parts = parts;
    this.#place = place;
  }

  get view(): CopyView {
    const trouble = this.#trouble;
    return {
      place: this.#place.description,
      written: this.#written,
      behindMs: this.#behindMs(),
      ...(trouble === undefined ? {} : { trouble }),
    };
  }

  /** Why it is worth a word; undefined when it is not. */
  get words(): string | undefined {
    const behindMs = this.#behindMs();
    if (behindMs < BEHIND_MS) return undefined;
    const missing = this.#wanted - this.#written;
    const why = this.#trouble === undefined ? 'it does not answer' : this.#trouble;
    return `the copy of the journal at ${this.#place.description} lacks ${missing} entries for ${Math.round(behindMs / 1_000)} s: ${why}`;
  }

  get #wanted(): number {
    const { journal, node } = this.#parts;
    return journal ? journal.written : node.head();
  }

  #behindMs(): number {
    const now = this.#parts.monotonicMs();
    if (this.#held !== undefined && this.#written >= this.#wanted) this.#behindSince = undefined;
    else this.#behindSince ??= now;
    return Math.round(now - (this.#behindSince ?? now));
  }

  async look(): Promise<void> {
    const { monotonicMs, log } = this.#parts;
    this.#behindMs();
    if (this.#running || monotonicMs() < this.#restUntil) return;
    this.#running = true;
    try {
      await this.#catchUp();
      this.#trouble = undefined;
    } catch (error) {
      this.#held = undefined;
      this.#target = undefined;
      this.#rest();
      if (this.#trouble === undefined)
        log.warn({ err: error, place: this.#place.description }, 'the copy of the journal is behind');
      this.#trouble = (error as Error).message;
    } finally {
      this.#running = false;
    }
  }

  #rest(): void {
    this.#restUntil = this.#parts.monotonicMs() + WATCH_MS;
  }

  async #catchUp(): Promise<void> {
    const { access, epoch, node } = this.#parts;
    const { keyring, store } = access;
    this.#target ??= await this.#place.open();
    this.#held ??= await this.#look(this.#target);
    this.#written = this.#held;
    if (!node.isFirst()) {
      // What others write is seen the next time.
      this.#held = undefined;
      return this.#rest();
    }
    while (this.#written < this.#wanted) {
      const { entries, supersedes } = await logAfter(access, this.#written, AT_ONCE);
      const due = entries.filter(({ index }) => index <= this.#wanted).map((entry) => ({ ...entry, epoch }));
      const last = due.at(-1);
      if (!last) return;
      await putCopy(this.#target, keyring, store.realm, { epoch, supersedes, entries: due });
      this.#held = this.#written = last.index;
    }
  }

  async #look(target: BackupTarget): Promise<number> {
    const { access, epoch } = this.#parts;
    return heldUpTo(await listCopies(target, access.store.realm, epoch));
  }

  async close(): Promise<void> {
    await this.#target?.close().catch(() => undefined);
  }
}

/** The copies of the journal at all targets. One per node. */
export class JournalCopies {
  readonly #copiers: readonly Copier[];
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: CopyParts, places: readonly CopyTarget[]) {
    this.#copiers = places.map((place) => new Copier(parts, place));
  }

  /** How far each target is. */
  get views(): CopyView[] {
    return this.#copiers.map(({ view }) => view);
  }

  /** Targets that are behind for long, in words. */
  words(): string[] {
    return this.#copiers.map(({ words }) => words).filter((words) => words !== undefined);
  }

  /** Copies once what is missing now; targets that fail are only noted. */
  async look(): Promise<void> {
    await Promise.all(this.#copiers.map((copier) => copier.look()));
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), LOOK_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#copiers.map((copier) => copier.close()));
  }
}
