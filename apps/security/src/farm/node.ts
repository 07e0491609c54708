import {
  type AccessContext,
  type Bus,
  type EpochFence,
  endHold,
  type FarmView,
  forgetInstances,
  Hold,
  isHeld,
  type JournalWriter,
  LeaseWatch,
  type NodeReport,
  type NodeRow,
  NodeWatch,
  OLDER_THAN_JOURNAL,
  recordNode,
} from '@sallyport/access';
import type { Log } from '@sallyport/telemetry';
import type { LiveKeys } from '../keys/live-keys.ts';

/** A node says that it lives this often, ms. */
const BEAT_MS = 1_000;
/** Without a bus the log is looked at this often instead, ms: pushes then come by polling. */
const POLL_MS = 200;
/** A node's clock that is off by more is worth a warning, ms. */
export const CLOCK_WARNING_MS = 2_000;
/** A process of a Proxy that is silent this long will not come back, ms; longer than any lease. */
const FORGET_MS = 600_000;
/** For so long it is said that another process runs under the name of this node, ms. */
const TWIN_MS = 10_000;

/** Who this node is. */
export type NodeSelf = Omit<NodeReport, 'state' | 'degraded' | 'keyId' | 'knownKeys'>;

/** What a node works with. */
export interface NodeParts {
  readonly self: NodeSelf;
  readonly access: AccessContext;
  /** Holds this process to one life of its database. */
  readonly fence: EpochFence;
  /** Undefined where there is no journal. */
  readonly journal: JournalWriter | undefined;
  /** For how long nodes give leases without a look at the journal, ms: a hold is longer by that. */
  readonly authorityMs: number;
  readonly liveKeys: LiveKeys;
  /** Keys of the realm that this node works with. */
  readonly knownKeys: () => readonly string[];
  /** URLs of the nodes of the other site, which run once that has taken over. */
  readonly otherSiteUrls?: readonly string[];
  readonly bus: Bus;
  readonly log: Log;
  /** What works worse than it could on this node, in words. */
  readonly degraded: () => readonly string[];
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
}

/**
 * This Security node among the others: tells of itself, and knows which nodes and leases live by watching their beats on
 * its own monotonic clock.
 */
export class SecurityNode {
  readonly id: string;
  readonly leases: LeaseWatch;
  readonly hold: Hold;
  readonly nodes: NodeWatch;
  readonly #parts: NodeParts;
  #view: FarmView | undefined;
  #timer: NodeJS.Timeout | undefined;
  #draining = false;
  #warnedAt = Number.NEGATIVE_INFINITY;
  /** When the row of this node was last found to be written by another process. */
  #twinAt = Number.NEGATIVE_INFINITY;

  constructor(parts: NodeParts) {
    const { self, monotonicMs, authorityMs } = parts;
    this.id = self.id;
    this.#parts = parts;
    this.leases = new LeaseWatch(monotonicMs);
    this.hold = new Hold(monotonicMs, authorityMs);
    this.nodes = new NodeWatch(monotonicMs);
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** URLs of all nodes for Proxies, those that live first, those of the other site last. */
  get proxyUrls(): string[] {
    const rows = this.#view?.nodes ?? [];
    const rank = (row: NodeRow): number => (this.nodes.lives(row) ? 0 : 1);
    const here = [...rows].sort((a, b) => rank(a) - rank(b)).map(({ proxyUrl }) => proxyUrl);
    return [...new Set([...here, ...(this.#parts.otherSiteUrls ?? [])])];
  }

  /** Head of the revocation log as this node has last seen it. */
  get head(): number {
    return this.#view?.realm.head ?? 0;
  }

  /** Whether this node does what one node does for all: the first by name of those that live. */
  get isFirst(): boolean {
    const living = (this.#view?.nodes ?? []).filter((row) => row.state === 'up' && this.nodes.lives(row));
    return !this.#draining && living.every(({ id }) => id >= this.id);
  }

  /** Tells of this node once and reads the farm; the first call makes it known. */
  async report(): Promise<FarmView> {
    const { access, bus, liveKeys, wallMs } = this.#parts;
    void this.#lookAtJournal();
    const view = await recordNode(access, this.#ownReport(), wallMs);
    // The first report takes the row of the run before.
    if (this.#view !== undefined && view.replaced) this.#twinAt = this.#parts.monotonicMs();
    const moved = this.#view !== undefined && view.realm.head > this.#view.realm.head;
    this.#view = view;
    this.leases.observe(view.leases);
    this.nodes.observe(view.nodes);
    this.#checkClock(view.clockOffsetMs);
    const awake = view.nodes.filter((row) => this.nodes.awake(row));
    await liveKeys.follow({ mapVersion: view.realm.mapVersion, awake });
    if (moved) bus.publish('entries');
    await this.#tidy(view);
    this.#writeJournal(view.realm.head);
    return view;
  }

  #ownReport(): NodeReport {
    const { self, degraded, liveKeys } = this.#parts;
    const state = this.#draining ? 'draining' : 'up';
    const words = [...degraded(), ...this.#twinWords()];
    const knownKeys = this.#parts.knownKeys();
    return { ...self, state, degraded: words, keyId: liveKeys.current.newestId, knownKeys };
  }

  /** What it does is done twice then, syncs and backups among it; leases and revocations are safe, the database is one. */
  #twinWords(): string[] {
    const { id } = this;
    const isTwin = this.#parts.monotonicMs() - this.#twinAt < TWIN_MS;
    return isTwin
      ? [`${id}: more than one process runs as this node: its host was copied, or two have one SALLYPORT_NODE`]
      : [];
  }

  /** A restore that has claimed the journal takes the place of this database: nothing of it is given any more. */
  async #lookAtJournal(): Promise<void> {
    const { journal, fence, log } = this.#parts;
    try {
      if ((await journal?.look()) === false) fence.refuse(lostClaim(journal?.claim?.epoch));
      if (journal?.isAhead) fence.refuse(OLDER_THAN_JOURNAL);
    } catch (error) {
      log.warn({ err: error }, 'the journal does not answer');
    }
  }

  /** What nobody waits for gets into the journal, too. */
  #writeJournal(head: number): void {
    const { journal, log } = this.#parts;
    journal?.upTo(head).catch((error: unknown) => log.warn({ err: error }, 'the journal does not take revocations'));
  }

  /** The hold ends for all nodes once one has waited; rows of processes that are gone go with their channels. */
  async #tidy(view: FarmView): Promise<void> {
    const { access } = this.#parts;
    if (!this.hold.running(view) && !isHeld(view)) await endHold(access.store, view);
    const gone = this.leases.silent(view.leases, FORGET_MS);
    if (gone.length > 0) await forgetInstances(access, gone);
  }

  /** Goes on telling until `stop`. A database that does not answer is only waited for. */
  start(): void {
    const { bus, log } = this.#parts;
    const next = (): void => {
      this.#timer = setTimeout(() => void beat(), bus.connected ? BEAT_MS : POLL_MS);
    };
    const beat = async (): Promise<void> => {
      await this.report().catch((error: unknown) => log.warn({ err: error }, 'this node could not tell that it lives'));
      if (this.#timer) next();
    };
    next();
  }

  /** Takes no new work: Proxies are told to go elsewhere. */
  async drain(): Promise<void> {
    this.#draining = true;
    await this.report().catch(() => undefined);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #checkClock(offsetMs: number): void {
    const now = performance.now();
    if (Math.abs(offsetMs) < CLOCK_WARNING_MS || now - this.#warnedAt < 60_000) return;
    this.#warnedAt = now;
    this.#parts.log.warn({ offsetMs }, "this node's clock differs from the database's; nothing is decided by it");
  }
}

/** Without any claim the journal is a new one, or was emptied: the next start claims it and writes it again. */
function lostClaim(claimed: string | undefined): string {
  return claimed === undefined ? 'the journal has lost its claim' : 'a restore has claimed the journal';
}
