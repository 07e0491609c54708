import {
  type AccessContext,
  appendRevocation,
  type Bus,
  type ChannelHolder,
  EpochFence,
  entriesAfter,
  fencedStore,
  getRealm,
  Hold,
  type Journal,
  JournalWriter,
  type KnownLife,
  LeaseWatch,
  LifeGuard,
  openClaim,
  openWitness,
  type PolicyCache,
  type ReadRights,
  type RealmStore,
  reauthorise,
  recordBeat,
  revoke,
  revokeProxy,
  untilInForce,
  untilProxyGone,
  type WaitingNode,
} from '@sallyport/access';
import type { Beat, ControlMessage } from '@sallyport/security-api';
import type { Omission } from './omissions.ts';
import { withoutClaims } from './virtual-journal.ts';
import type { ServedAccess, VirtualServer } from './virtual-server.ts';
import { withoutRuns } from './virtual-store.ts';
import type { Machine, World } from './world.ts';

const BY = { actor: 'officer', reason: 'simulation' };
/** The longest lease of the simulation: nodes may be set to shorter ones. */
export const LEASE_MS = 2_000;
/** For so long leases are given without a look at the claim. */
const AUTHORITY_MS = 1_500;
const TICK_MS = 500;
/** The database is held against what is known once in so many ticks. */
const CHECK_TICKS = 4;
const PATIENCE = { maxMs: 30_000 };

/** A control connection as the node sees it. */
export interface NodeConnection {
  seen: { readonly epoch: string; readonly index: number; readonly hash: string } | undefined;
  readonly proxy: string;
  readonly send: (message: ControlMessage) => void;
}

/** A Security node: the real rules on a virtual machine. */
export class VirtualNode {
  readonly machine: Machine;
  readonly #world: World;
  readonly #bare: AccessContext;
  readonly #log: Journal;
  readonly #reach: (store: VirtualServer) => RealmStore;
  readonly #omit: Omission | undefined;
  readonly #leaseMs: number;
  /** The database that it is pointed at. */
  #place: VirtualServer;
  #fence = new EpochFence();
  /** What it remembers of its database, in a file that outlives the process. */
  readonly memory: { known: KnownLife | undefined } = { known: undefined };
  readonly #wronglyLeased: () => void;
  #guard: LifeGuard | undefined;
  #ticks = 0;
  #refused = false;
  /** Absent until the process knows which life of the database it works with. */
  #access: AccessContext | undefined;
  #journal: JournalWriter | undefined;
  readonly #policies: PolicyCache;
  readonly #bus: Bus;
  readonly #connections = new Set<NodeConnection>();
  #leases: LeaseWatch;
  #hold: Hold;
  /** Rises when the node is restarted: what was under way before is gone. */
  #life = 0;

  constructor(parts: {
    machine: Machine;
    world: World;
    access: ServedAccess;
    policies: PolicyCache;
    bus: Bus;
    journal: Journal;
    reach: (store: VirtualServer) => RealmStore;
    leaseMs: number;
    omit: Omission | undefined;
    /** Hears of a lease from a database that is behind what the Proxy has shown. */
    wronglyLeased: () => void;
  }) {
    this.machine = parts.machine;
    this.#world = parts.world;
    this.#bare = parts.access;
    this.#log = parts.journal;
    this.#reach = (server) => {
      const reached = parts.reach(server);
      return parts.omit === 'server run' ? withoutRuns(reached, 'first/1') : reached;
    };
    this.#omit = parts.omit;
    this.#leaseMs = parts.leaseMs;
    this.#wronglyLeased = parts.wronglyLeased;
    this.#place = parts.access.store;
    this.#policies = parts.policies;
    this.#bus = parts.bus;
    this.#leases = new LeaseWatch(() => this.#monotonicMs());
    this.#hold = new Hold(() => this.#monotonicMs(), AUTHORITY_MS);
    this.#bus.subscribe('entries', () => this.#pushAll());
    this.#tick();
    void this.#begin();
  }

  /** A process is held to the life of the database that it begins with, and to a journal that is of the same one. */
  async #begin(): Promise<void> {
    const life = this.#life;
    this.#access = undefined;
    this.#journal = undefined;
    this.#guard = undefined;
    while (life === this.#life && !this.#access) {
      try {
        await this.#open(life);
      } catch {
        await this.#world.sleep(100, this.machine);
      }
    }
  }

  async #open(life: number): Promise<void> {
    const place = this.#place;
    const fence = new EpochFence();
    const reached = this.#reach(place);
    const access = { ...this.#bare, store: fencedStore(reached, fence) };
    const realm = await access.store.transaction((transaction) => getRealm(transaction));
    const { epoch } = realm;
    const log = this.#omit === 'claim' ? withoutClaims(this.#log, epoch) : this.#log;
    // By hand nobody gives the journal to a restored database: its epoch is the one before.
    await openClaim(log, realm);
    fence.pin(epoch);
    const monotonicMs = (): number => this.#monotonicMs();
    const authorityMs = this.#omit === 'authority' ? undefined : AUTHORITY_MS;
    const journal = new JournalWriter({ store: access.store, journal: log, epoch, monotonicMs, authorityMs });
    const guard = this.#guardOf({ place, reached, access, fence });
    guard?.useJournal(journal);
    const refusal = await guard?.check();
    if (life !== this.#life) return;
    this.#refused = refusal !== undefined;
    if (refusal !== undefined) throw new Error(refusal);
    this.#fence = fence;
    this.#journal = journal;
    this.#guard = guard;
    this.#access = access;
  }

  /** Absent where a rule is left out that stands behind it. */
  #guardOf({
    place,
    reached,
    access,
    fence,
  }: {
    place: VirtualServer;
    reached: RealmStore;
    access: AccessContext;
    fence: EpochFence;
  }): LifeGuard | undefined {
    if (this.#omit === 'remembering' || this.#omit === 'new epoch' || this.#omit === 'claim') return undefined;
    const { memory } = this;
    const life = this.#life;
    return new LifeGuard({
      memory: {
        read: () => memory.known,
        // A process that has ended writes nothing.
        write: (known) => {
          if (life === this.#life) memory.known = known;
        },
      },
      server: {
        get connections() {
          return place.lives;
        },
        position: () => reached.transaction(async () => ({ system: place.system, walBytes: place.walBytes })),
      },
      access,
      fence,
      unsealed: () => undefined,
      wallMs: () => Math.round(this.#world.wallMs(this.machine)),
    });
  }

  /** True when it did not start, or ended itself, because of what it knows of the database. */
  get refused(): boolean {
    return this.#refused;
  }

  connect(connection: NodeConnection): () => void {
    this.#connections.add(connection);
    return () => this.#connections.delete(connection);
  }

  /** The process dies and starts again: connections and everything seen are gone. */
  restart(place: VirtualServer = this.#place): void {
    this.#life += 1;
    this.#place = place;
    this.#connections.clear();
    this.#leases = new LeaseWatch(() => this.#monotonicMs());
    this.#hold = new Hold(() => this.#monotonicMs(), AUTHORITY_MS);
    void this.#begin();
  }

  async beat(connection: NodeConnection, beat: Beat): Promise<void> {
    const life = this.#life;
    const { proxy } = connection;
    const { id, epoch, seen: index, hash } = beat;
    const record = { proxy, keyHash: proxy, beat, leaseMs: this.#leaseMs, node: this.machine.name };
    // The connections of a process end with it.
    if (!this.#access || !this.#journal?.mayLease || !this.#connections.has(connection)) return;
    const { witness } = beat;
    const guard = this.#guard;
    try {
      if (witness !== undefined && this.#omit !== 'witness') await guard?.hear(witness, proxy);
    } catch {
      return;
    }
    if (life !== this.#life) return;
    const recorded = await recordBeat(this.#access, record).catch(() => undefined);
    if (!recorded || recorded.type === 'revoked' || life !== this.#life) return;
    if (guard && !(await guard.isSettled().catch(() => false))) return;
    if (life !== this.#life) return;
    connection.seen = recorded.type === 'anew' || epoch === undefined ? undefined : { epoch, index, hash };
    if (recorded.type === 'anew') connection.send({ ...recorded, id });
    else {
      if (witness !== undefined) this.#lookAtLease(witness, recorded.epoch);
      const said = guard?.witnessFor(recorded);
      connection.send({ ...recorded, id, ...(said === undefined ? {} : { witness: said }) });
    }
    this.#bus.publish('applied');
  }

  /** A database that is behind what the Proxy has shown of it gives no lease. */
  #lookAtLease(text: string, epoch: string): void {
    const witness = openWitness(this.#bare, text);
    if (witness?.epoch !== epoch || witness.walBytes <= this.#place.walBytes) return;
    this.#wronglyLeased();
  }

  /** Opens a channel of a session without the HELLO, which takes no part here: its holder is recorded as `authorise` does. */
  async grant(sid: string, holder: ChannelHolder): Promise<ReadRights | undefined> {
    const life = this.#life;
    const access = this.#access;
    if (!access) throw new Error('the node has not begun');
    const holders = [`${holder.name}/${holder.instance}@${holder.site}`];
    await access.store.transaction(({ tables }) => tables.sessions.update({ where: { id: sid } }, { holders }));
    const [read] = await reauthorise(access, this.#policies, { sids: [sid], holder });
    if (life !== this.#life) throw new Error('the node was restarted');
    return typeof read === 'object' ? read : undefined;
  }

  /** Revokes and waits until it is in force; undefined when this node cannot say. The caller repeats with the same id. */
  async revoke(sid: string, requestId: string, waits: boolean): Promise<'in force' | undefined> {
    const life = this.#life;
    const access = this.#access;
    if (!access) return undefined;
    try {
      const row = await this.#commit(access, sid, requestId);
      if (!waits) return 'in force';
      const force = await untilInForce(this.#waiting(access), row, PATIENCE);
      return life === this.#life && force.waitingFor.length === 0 ? 'in force' : undefined;
    } catch {
      return undefined;
    }
  }

  /** The same for a Proxy and all its processes. */
  async revokeProxy(name: string, waits: boolean): Promise<'in force' | undefined> {
    const life = this.#life;
    const access = this.#access;
    if (!access) return undefined;
    try {
      await revokeProxy(access, name, BY);
      if (!waits) return 'in force';
      const force = await untilProxyGone(this.#waiting(access), name, PATIENCE);
      return life === this.#life && force.waitingFor.length === 0 ? 'in force' : undefined;
    } catch {
      return undefined;
    }
  }

  #waiting(access: AccessContext): WaitingNode {
    return {
      access,
      journal: this.#journal,
      leases: this.#leases,
      hold: this.#hold,
      bus: this.#bus,
      monotonicMs: () => this.#monotonicMs(),
      trouble: () => undefined,
      nextBeat: (ms) => this.#world.sleep(ms, this.machine),
    };
  }

  /** A session, an app, or a right: which one says its letter. */
  async #commit(access: AccessContext, sid: string, requestId: string) {
    if (sid.startsWith('a')) return revoke(access, { requestId, kind: 'session', subject: sid }, BY);
    if (sid.startsWith('b')) return revoke(access, { requestId, kind: 'app', subject: 'app@b' }, BY);
    return access.store.transaction(async (transaction) => {
      const before = await transaction.tables.revocations.find({ requestId });
      if (before) return before;
      const row = { requestId, kind: 'rights', subject: 'u' } as const;
      const appended = await appendRevocation(access, transaction, row, { ...BY, at: transaction.now() });
      await transaction.tables.sessions.update({ where: { id: sid } }, { app: 'app@less' });
      return appended;
    });
  }

  #monotonicMs(): number {
    return this.#world.monotonicMs(this.machine);
  }

  #pushAll(): void {
    const life = this.#life;
    const access = this.#access;
    if (!access) return;
    for (const { seen, send } of this.#connections) {
      if (!seen) continue;
      const { epoch, index: after, hash: afterHash } = seen;
      const entries = access.store.transaction((transaction) => entriesAfter(transaction, after));
      entries.then(
        (found) => {
          if (found.length > 0 && life === this.#life) send({ type: 'push', epoch, after, afterHash, entries: found });
        },
        () => undefined,
      );
    }
  }

  /** As the node's own beat does: reads all leases, so that their ends are known before anybody asks. */
  #tick(): void {
    this.#world.after(
      TICK_MS,
      () => {
        const leases = this.#leases;
        this.#lookAtClaim();
        this.#access?.store
          .transaction(({ tables }) => tables.leases.list())
          .then(
            (rows) => leases.observe(rows),
            () => undefined,
          );
        this.#tick();
      },
      this.machine,
    );
  }

  /** A supervisor starts a node again that may give nothing any more. */
  #lookAtClaim(): void {
    if (this.#omit === 'authority') return;
    const fence = this.#fence;
    if (fence.refusal !== undefined) {
      this.#refused = true;
      return this.restart();
    }
    if (this.#ticks++ % CHECK_TICKS === 0) this.#guard?.check().catch(() => undefined);
    const journal = this.#journal;
    journal?.look().then(
      (held) => {
        if (!held) fence.refuse('a restore has claimed the journal');
        if (journal.isAhead) fence.refuse('the database is older than its journal');
        // As a node does that has told of itself: what was lost is written again.
        if (held && journal.damaged) journal.upTo(journal.written).catch(() => undefined);
      },
      () => undefined,
    );
  }
}
