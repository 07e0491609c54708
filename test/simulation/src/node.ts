import {
  type AccessContext,
  type Bus,
  entriesAfter,
  LeaseWatch,
  type PolicyCache,
  reauthorise,
  recordBeat,
  revoke,
  untilInForce,
} from '@sallyport/access';
import type { Beat, ControlMessage, Grant } from '@sallyport/security-api';
import type { Machine, World } from './world.ts';

const BY = { actor: 'officer', reason: 'simulation' };
const LEASE_MS = 2_000;
const TICK_MS = 1_000;

/** A control connection as the node sees it. */
export interface NodeConnection {
  applied: number;
  readonly proxy: string;
  readonly send: (message: ControlMessage) => void;
}

/** A Security node: the real rules on a virtual machine. */
export class VirtualNode {
  readonly machine: Machine;
  readonly #world: World;
  readonly #access: AccessContext;
  readonly #policies: PolicyCache;
  readonly #bus: Bus;
  readonly #connections = new Set<NodeConnection>();
  #leases: LeaseWatch;
  /** Rises when the node is restarted: what was under way before is gone. */
  #life = 0;

  constructor(parts: { machine: Machine; world: World; access: AccessContext; policies: PolicyCache; bus: Bus }) {
    this.machine = parts.machine;
    this.#world = parts.world;
    this.#access = parts.access;
    this.#policies = parts.policies;
    this.#bus = parts.bus;
    this.#leases = new LeaseWatch(() => this.#monotonicMs());
    this.#bus.subscribe('entries', () => this.#pushAll());
    this.#tick();
  }

  connect(connection: NodeConnection): () => void {
    this.#connections.add(connection);
    return () => this.#connections.delete(connection);
  }

  /** The process dies and starts again: connections and everything seen are gone. */
  restart(): void {
    this.#life += 1;
    this.#connections.clear();
    this.#leases = new LeaseWatch(() => this.#monotonicMs());
  }

  async beat(connection: NodeConnection, { id, applied, channels, fresh }: Beat): Promise<void> {
    const life = this.#life;
    connection.applied = Math.max(connection.applied, applied);
    const { proxy } = connection;
    const record = { proxy, applied, channels, leaseMs: LEASE_MS, fresh, node: this.machine.name };
    const recorded = await recordBeat(this.#access, record).catch(() => undefined);
    if (!recorded || life !== this.#life) return;
    const { head, entries } = recorded;
    connection.send({ type: 'lease', id, head, entries: [...entries], leaseMs: LEASE_MS });
    this.#bus.publish('applied');
  }

  async grant(sid: string): Promise<Grant | undefined> {
    const life = this.#life;
    const grant = await reauthorise(this.#access, this.#policies, sid);
    if (life !== this.#life) throw new Error('the node was restarted');
    return grant;
  }

  /** Revokes and waits until it is in force; undefined when this node cannot say. The caller repeats with the same id. */
  async revoke(sid: string, requestId: string, waits: boolean): Promise<'in force' | undefined> {
    const life = this.#life;
    try {
      const row = await revoke(this.#access, { requestId, kind: 'session', subject: sid }, BY);
      if (!waits) return 'in force';
      const force = await untilInForce(
        {
          access: this.#access,
          leases: this.#leases,
          bus: this.#bus,
          monotonicMs: () => this.#monotonicMs(),
          trouble: () => undefined,
          nextBeat: (ms) => this.#world.sleep(ms, this.machine),
        },
        row.index,
        30_000,
      );
      return life === this.#life && force.waitingFor.length === 0 ? 'in force' : undefined;
    } catch {
      return undefined;
    }
  }

  #monotonicMs(): number {
    return this.#world.monotonicMs(this.machine);
  }

  #pushAll(): void {
    const life = this.#life;
    for (const connection of this.#connections) {
      const entries = this.#access.store.transaction((transaction) => entriesAfter(transaction, connection.applied));
      entries.then(
        (found) => {
          if (found.length > 0 && life === this.#life) connection.send({ type: 'push', entries: found });
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
        this.#access.store
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
}
