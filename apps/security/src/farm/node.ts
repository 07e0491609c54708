import {
  endHold,
  type FarmView,
  forgetInstances,
  Hold,
  LeaseWatch,
  type NodeRow,
  NodeWatch,
  type NodeWord,
  recordNode,
} from '@sallyport/access';
import type { RealmContext } from '../realm-context.ts';

/** A node says that it lives this often, ms. */
const BEAT_MS = 1_000;
/** Without a bus the log is looked at this often instead, ms: pushes then come by polling. */
const POLL_MS = 200;
/** A clock that is off by more is worth a line in the log, ms. */
const CLOCK_WARNING_MS = 2_000;
/** A process of a Proxy that is silent this long will not come back, ms; longer than any lease. */
const FORGET_MS = 600_000;

/** Who this node is. */
export type NodeSelf = Omit<NodeWord, 'state' | 'degraded' | 'keyId'>;

/**
 * This Security node among the others: tells of itself, and knows which nodes and leases live by watching their beats on
 * its own monotonic clock.
 */
export class SecurityNode {
  readonly id: string;
  readonly leases: LeaseWatch;
  readonly hold: Hold;
  readonly nodes: NodeWatch;
  readonly #self: NodeSelf;
  #view: FarmView | undefined;
  #timer: NodeJS.Timeout | undefined;
  #draining = false;
  #warnedAt = Number.NEGATIVE_INFINITY;

  constructor(self: NodeSelf, monotonicMs: () => number, authorityMs = 0) {
    this.id = self.id;
    this.#self = self;
    this.leases = new LeaseWatch(monotonicMs);
    this.hold = new Hold(monotonicMs, authorityMs);
    this.nodes = new NodeWatch(monotonicMs);
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** URLs of all nodes for Proxies, those that live first. */
  get proxyUrls(): string[] {
    const rows = this.#view?.nodes ?? [];
    const rank = (row: NodeRow): number => (this.nodes.lives(row) ? 0 : 1);
    return [...rows].sort((a, b) => rank(a) - rank(b)).map(({ proxyUrl }) => proxyUrl);
  }

  /** Whether this node does what one node does for all: the first by name of those that live. */
  get isFirst(): boolean {
    const living = (this.#view?.nodes ?? []).filter((row) => row.state === 'up' && this.nodes.lives(row));
    return !this.#draining && living.every(({ id }) => id >= this.id);
  }

  /** Tells of this node once and reads the farm; the first call makes it known. */
  async tell(context: RealmContext): Promise<FarmView> {
    const { newestId: keyId } = context.liveKeys.current;
    const state = this.#draining ? 'draining' : 'up';
    const word = { ...this.#self, state, degraded: context.degraded(), keyId } as const;
    void this.#lookAtJournal(context);
    const view = await recordNode(context.access, word, context.wallMs);
    if (view.realm.head < (this.#view?.realm.head ?? 0)) context.fence.refuse('the database has gone back in time');
    const moved = this.#view !== undefined && view.realm.head > this.#view.realm.head;
    this.#view = view;
    this.leases.observe(view.leases);
    this.nodes.observe(view.nodes);
    this.#checkClock(context, view.clockOffsetMs);
    const awake = view.nodes.filter((row) => this.nodes.awake(row));
    await context.liveKeys.follow({ mapVersion: view.realm.mapVersion, awake });
    if (moved) context.bus.publish('entries');
    await this.#tidy(context, view);
    // What nobody waits for gets into the journal, too.
    context.journal
      ?.upTo(view.realm.head)
      .catch((error: unknown) => context.log.warn({ err: error }, 'the journal does not take revocations'));
    return view;
  }

  /** A restore that has claimed the journal takes the place of this database: nothing of it is given any more. */
  async #lookAtJournal({ journal, fence, log }: RealmContext): Promise<void> {
    try {
      if ((await journal?.look()) === false) fence.refuse(lostClaim(journal?.claim?.epoch));
    } catch (error) {
      log.warn({ err: error }, 'the journal does not answer');
    }
  }

  /** The hold ends for all nodes once one has waited; rows of processes that are gone go with their channels. */
  async #tidy({ access }: RealmContext, { realm, leases }: FarmView): Promise<void> {
    if (this.hold.remainingMs(realm) === 0 && !realm.held) await endHold(access.store, realm.epoch);
    const gone = this.leases.silent(leases, FORGET_MS);
    if (gone.length > 0) await forgetInstances(access, gone);
  }

  /** Goes on telling until `stop`. A database that does not answer is only waited for. */
  start(context: RealmContext): void {
    const next = (): void => {
      this.#timer = setTimeout(() => void beat(), context.bus.connected ? BEAT_MS : POLL_MS);
    };
    const beat = async (): Promise<void> => {
      await this.tell(context).catch((error: unknown) =>
        context.log.warn({ err: error }, 'this node could not tell that it lives'),
      );
      if (this.#timer) next();
    };
    next();
  }

  /** Takes no new work: Proxies are told to go elsewhere. */
  async drain(context: RealmContext): Promise<void> {
    this.#draining = true;
    await this.tell(context).catch(() => undefined);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #checkClock(context: RealmContext, offsetMs: number): void {
    const now = performance.now();
    if (Math.abs(offsetMs) < CLOCK_WARNING_MS || now - this.#warnedAt < 60_000) return;
    this.#warnedAt = now;
    context.log.warn({ offsetMs }, "this node's clock differs from the database's; nothing is decided by it");
  }
}

/** Without any claim the journal is a new one, or was emptied: the next start claims it and writes it again. */
function lostClaim(claimed: string | undefined): string {
  return claimed === undefined ? 'the journal has lost its claim' : 'a restore has claimed the journal';
}
