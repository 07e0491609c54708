import { effectOn, LogFollower } from '@sallyport/access';
import { nodeCrypto } from '@sallyport/channel/node';
import type { ControlMessage, Grant, RevocationEntry } from '@sallyport/security-api';
import type { VirtualNetwork } from './network.ts';
import type { NodeConnection, VirtualNode } from './node.ts';
import type { Machine, World } from './world.ts';

const BEAT_MS = 500;
const ANSWER_TIMEOUT_MS = 700;
const APP = 'app@1';
const crypto = nodeCrypto();

/** What a proxy is made of. */
export interface ProxyParts {
  /** Its identity: two processes may have the same one. */
  readonly name: string;
  readonly machine: Machine;
  readonly world: World;
  readonly network: VirtualNetwork;
  readonly nodes: readonly VirtualNode[];
  readonly sids: readonly string[];
  /** Hears of every request that would reach a backend now. */
  readonly served: (sid: string, machine: Machine) => void;
  /** Without the guard against clocks that drift apart, to see what it is good for. */
  readonly driftGuard: boolean;
}

interface Channel {
  readonly sid: string;
  grant: Grant | undefined;
  opening: boolean;
}

/** A Proxy: the real follower of the log and the real lease, with sessions that are served as fast as they may. */
export class VirtualProxy {
  readonly machine: Machine;
  readonly #parts: ProxyParts;
  readonly #follower: LogFollower;
  readonly #channels: Channel[];
  #connection: NodeConnection | undefined;
  #disconnect: () => void = () => undefined;
  #node = 0;
  #generation = 0;
  #beats = 0;

  constructor(parts: ProxyParts) {
    this.#parts = parts;
    this.machine = parts.machine;
    const { world, machine, driftGuard } = parts;
    const monotonicMs = (): number => world.monotonicMs(machine);
    const wallMs = driftGuard ? () => world.wallMs(machine) : monotonicMs;
    // Counts in suspend, in steps of 10 ms.
    const bootMs = driftGuard ? () => Math.floor(world.now / 10) * 10 : monotonicMs;
    this.#follower = new LogFollower({
      clocks: { wallMs, monotonicMs, bootMs, nextTurn: queueMicrotask },
      crypto,
      listener: {
        apply: (entry) => this.#apply(entry),
        anew: () => this.#dropAll(),
        done: (seen) => seen,
        channelCount: () => this.#channels?.length ?? 0,
      },
    });
    this.#channels = parts.sids.map((sid) => ({ sid, grant: undefined, opening: false }));
    this.#connect();
    this.#watch();
    for (const channel of this.#channels) this.#serve(channel);
  }

  #connect(): void {
    const { nodes, network } = this.#parts;
    this.#disconnect();
    this.#follower.disconnected();
    this.#node = (this.#node + 1) % nodes.length;
    const node = nodes[this.#node]!;
    const connection: NodeConnection = {
      seen: undefined,
      proxy: this.#parts.name,
      send: (message) => network.send(node.machine, this.machine, () => this.#receive(connection, message)),
    };
    this.#connection = connection;
    this.#disconnect = node.connect(connection);
    this.#beat();
  }

  #beat(): void {
    const connection = this.#connection;
    const node = this.#parts.nodes[this.#node]!;
    if (!connection) return;
    const beat = this.#follower.beat();
    this.#parts.network.send(this.machine, node.machine, () => void node.beat(connection, beat));
    const number = ++this.#beats;
    this.#parts.world.after(BEAT_MS, () => number === this.#beats && this.#beat(), this.machine);
  }

  #receive(connection: NodeConnection, message: ControlMessage): void {
    if (connection !== this.#connection) return;
    if (this.#follower.receive(message)) this.#beat();
  }

  /** Goes to the next node when this one does not answer. */
  #watch(): void {
    const { world } = this.#parts;
    world.after(
      100,
      () => {
        const since = this.#follower.unansweredSince;
        if (since !== undefined && world.monotonicMs(this.machine) - since > ANSWER_TIMEOUT_MS) this.#connect();
        this.#watch();
      },
      this.machine,
    );
  }

  #apply(entry: RevocationEntry): void {
    for (const channel of this.#channels) {
      if (channel.grant && effectOn(entry, { grant: channel.grant, app: APP })) channel.grant = undefined;
    }
  }

  /** Serves one session again and again, with the check that stands last before each upstream write. */
  #serve(channel: Channel): void {
    const { world, served } = this.#parts;
    world.after(
      world.between(10, 40),
      () => {
        this.#dropAfterDrift();
        if (channel.grant && this.#follower.lease.live) served(channel.sid, this.machine);
        else if (!channel.grant) this.#open(channel);
        this.#serve(channel);
      },
      this.machine,
    );
  }

  #dropAfterDrift(): void {
    const { generation } = this.#follower.lease;
    if (generation === this.#generation) return;
    this.#generation = generation;
    this.#dropAll();
  }

  #dropAll(): void {
    for (const channel of this.#channels) channel.grant = undefined;
  }

  /** Asks for a grant over the network, and takes it only when nothing of the log speaks against it. */
  #open(channel: Channel): void {
    if (channel.opening || !this.#follower.lease.live) return;
    channel.opening = true;
    const { world, network, nodes } = this.#parts;
    const node = world.one(nodes);
    world.after(1_000, () => {
      channel.opening = false;
    });
    network.send(this.machine, node.machine, () => {
      node.grant(channel.sid, { proxy: this.#parts.name, site: 'here', instance: this.#follower.instance }).then(
        (grant) => network.send(node.machine, this.machine, () => this.#take(channel, grant)),
        () => undefined,
      );
    });
  }

  #take(channel: Channel, grant: Grant | undefined): void {
    if (!grant || channel.grant) return;
    if (this.#follower.judge({ grant, app: APP }) === 'current') channel.grant = grant;
  }
}
