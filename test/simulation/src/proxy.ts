import type { ChannelHolder, ReadRights } from '@sallyport/access';
import { nodeCrypto } from '@sallyport/channel/node';
import { effectOn, LogFollower, type Revocable } from '@sallyport/lease';
import type { ControlMessage, Grant, RevocationEntry } from '@sallyport/security-api';
import type { VirtualNetwork } from './network.ts';
import type { NodeConnection, VirtualNode } from './node.ts';
import type { Omission } from './omissions.ts';
import { appOf } from './scene.ts';
import type { Machine, World } from './world.ts';

const BEAT_MS = 500;
const ANSWER_TIMEOUT_MS = 700;
/** What takes longer ends the channel: then nothing of it is left to be done. */
const REREAD_MS = 1_000;
/** How often a device opens its channel anew, of all its requests: so grants are under way whenever something is revoked. */
const REOPENED_SHARE = 0.02;
/** What every device claims to be: none is. */
const CLAIMED = 'other@9';
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
  readonly omit: Omission | undefined;
}

interface Channel {
  readonly sid: string;
  grant: Grant | undefined;
  opening: boolean;
  /** While its rights are read: the entry that asked for it. Nothing is served. */
  rereading: { readonly index: number } | undefined;
}

/** A run of a process in memory: what a copy of it shares, and what it has of its own. */
interface Memory {
  readonly follower: LogFollower;
  readonly channels: Channel[];
  readonly at: Place;
}

/** Where a memory runs: the clocks that it reads. */
interface Place {
  machine: Machine;
  /** What its wall clock and its time since boot hide of a stop. */
  hiddenMs: number;
}

/**
 * A Proxy: the real follower of the log and the real lease, with sessions that are served as fast as they may. Beside it runs
 * a second memory that hears the same and says nothing, so that a copy of the process can begin with it at any time.
 */
export class VirtualProxy {
  readonly machine: Machine;
  readonly #parts: ProxyParts;
  readonly #memory: Memory;
  #mirror: Memory | undefined;
  #connection: NodeConnection | undefined;
  #disconnect: () => void = () => undefined;
  #node = 0;
  #generation = 0;
  #beats = 0;

  constructor(parts: ProxyParts, memory?: Memory) {
    this.#parts = parts;
    this.machine = parts.machine;
    const randomBytes = sameAtFirst(parts.world);
    this.#memory = memory ?? newMemory(parts, randomBytes());
    this.#mirror = memory ? undefined : newMemory(parts, randomBytes());
    this.#connect();
    this.#watch();
    for (const channel of this.#memory.channels) this.#serve(channel);
  }

  /** Its memory goes on a second time, on a machine of its own that was stopped for so long meanwhile. */
  copy(stoppedMs: number): void {
    const mirror = this.#mirror;
    if (!mirror) return;
    this.#mirror = undefined;
    const { machine, world, omit } = this.#parts;
    const copied = { ...machine, name: `${machine.name} copied`, missedMs: machine.missedMs + stoppedMs };
    copied.pausedUntil = Math.max(world.now, machine.pausedUntil) + stoppedMs;
    mirror.channels.forEach((channel, i) => {
      Object.assign(channel, this.#memory.channels[i], { opening: false });
    });
    mirror.at.machine = copied;
    if (omit === 'copy guard') mirror.at.hiddenMs = stoppedMs;
    world.after(stoppedMs, () => void new VirtualProxy({ ...this.#parts, machine: copied }, mirror), copied);
  }

  get #follower(): LogFollower {
    return this.#memory.follower;
  }

  /** As a node knows it: the hash of its key is its name here. */
  get #holder(): ChannelHolder {
    const { name } = this.#parts;
    return { name, keyHash: name, site: 'here', instance: this.#follower.instance };
  }

  get #channels(): readonly Channel[] {
    return this.#memory.channels;
  }

  #connect(): void {
    const { nodes, network } = this.#parts;
    this.#disconnect();
    this.#follower.disconnected();
    this.#mirror?.follower.disconnected();
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
    this.#mirror?.follower.beat();
    this.#parts.network.send(this.machine, node.machine, () => void node.beat(connection, beat));
    const number = ++this.#beats;
    this.#parts.world.after(BEAT_MS, () => number === this.#beats && this.#beat(), this.machine);
  }

  #receive(connection: NodeConnection, message: ControlMessage): void {
    // Also what comes late over a connection that was given up: only the follower knows what still counts.
    this.#mirror?.follower.receive(message);
    const again = this.#follower.receive(message);
    this.#reread();
    if (connection !== this.#connection) return;
    // Two databases: this node is not asked any more.
    if (message.type === 'anew' && !message.supersedes) return this.#connect();
    if (again) this.#beat();
  }

  /** Reads rights anew, as an entry has asked for; what takes too long ends the channel. */
  #reread(): void {
    const { world, network, nodes } = this.#parts;
    for (const channel of this.#channels) {
      const { rereading } = channel;
      if (!rereading || channel.opening) continue;
      channel.opening = true;
      const over = (): boolean => channel.rereading !== rereading;
      const node = world.one(nodes);
      const holder = this.#holder;
      const slow = world.chance(0.3) ? world.between(200, 3_000) : 0;
      world.after(
        REREAD_MS,
        () => {
          channel.opening = false;
          if (over()) return;
          if (this.#parts.omit === 'slow rights') channel.rereading = undefined;
          else this.#end(channel);
        },
        this.machine,
      );
      network.send(this.machine, node.machine, () => {
        world.after(slow, () => {
          node.grant(channel.sid, holder).then(
            (read) =>
              network.send(node.machine, this.machine, () => {
                if (over()) return;
                this.#end(channel);
                this.#take(channel, read);
              }),
            () => undefined,
          );
        });
      });
    }
  }

  #end(channel: Channel): void {
    channel.grant = undefined;
    channel.rereading = undefined;
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

  /** Serves one session again and again, with the check that stands last before each upstream write. */
  #serve(channel: Channel): void {
    const { world, served, omit } = this.#parts;
    world.after(
      world.between(10, 40),
      () => {
        this.#dropAfterDrift();
        const looks = channel.rereading === undefined || omit === 'last look';
        const serves = channel.grant?.app === appOf(channel.sid) && looks && this.#follower.lease.live;
        if (serves) served(channel.sid, this.machine);
        if (serves && world.chance(REOPENED_SHARE)) this.#end(channel);
        else if (!channel.grant) this.#open(channel);
        this.#serve(channel);
      },
      this.machine,
    );
  }

  #dropAfterDrift(): void {
    const { generation } = this.#follower.lease;
    if (generation === this.#generation || this.#parts.omit === 'begin anew') return;
    this.#generation = generation;
    this.#dropAll();
  }

  #dropAll(): void {
    dropAll(this.#channels);
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
      node.grant(channel.sid, this.#holder).then(
        (read) => network.send(node.machine, this.machine, () => this.#take(channel, read)),
        () => undefined,
      );
    });
  }

  #take(channel: Channel, read: ReadRights | undefined): void {
    if (!read || channel.grant) return;
    const { omit } = this.#parts;
    const { grant, asOfHash } = read;
    const judgement = this.#follower.judge({ ...revocable(grant, omit), asOfHash });
    if (judgement === 'current' || omit === 'late grants') channel.grant = grant;
  }
}

function newMemory(parts: ProxyParts, randomBytes: (bytes: number) => Uint8Array): Memory {
  const { world, omit, sids } = parts;
  const blind = omit === 'drift guard';
  const channels: Channel[] = sids.map((sid) => ({ sid, grant: undefined, opening: false, rereading: undefined }));
  const at: Place = { machine: parts.machine, hiddenMs: 0 };
  const monotonicMs = (): number => world.monotonicMs(at.machine);
  const follower = new LogFollower({
    clocks: {
      wallMs: () => (blind ? monotonicMs() : world.wallMs(at.machine) - at.hiddenMs),
      monotonicMs,
      // Counts in suspend, in steps of 10 ms.
      bootMs: () => (blind ? monotonicMs() : Math.floor((world.now - at.hiddenMs) / 10) * 10),
      nextTurn: queueMicrotask,
    },
    // Without instances a process is known by the name of its Proxy.
    crypto: {
      sha256: crypto.sha256,
      randomBytes: omit === 'instance' ? (bytes) => new Uint8Array(bytes) : randomBytes,
    },
    listener: {
      apply: (entry) => apply(channels, entry, omit),
      anew: () => omit !== 'begin anew' && dropAll(channels),
      done: (seen) => doneOf(channels, seen, omit),
      channelCount: () => channels.length,
    },
  });
  return { follower, channels, at };
}

/** Two sources of random bytes that give the same ones at first: the instance, which a copy of a memory shares. */
function sameAtFirst(world: World): () => (bytes: number) => Uint8Array {
  const first = Array.from({ length: 64 }, () => Math.floor(world.random() * 256));
  return () => {
    let drawn = false;
    return (bytes) => {
      if (drawn) return Uint8Array.from({ length: bytes }, () => Math.floor(world.random() * 256));
      drawn = true;
      return Uint8Array.from(first.slice(0, bytes));
    };
  };
}

function revocable(grant: Grant, omit: Omission | undefined): Revocable & { readonly grant: Grant } {
  return { grant: omit === 'app of the grant' ? { ...grant, app: CLAIMED } : grant, app: CLAIMED };
}

function apply(channels: readonly Channel[], entry: RevocationEntry, omit: Omission | undefined): void {
  for (const channel of channels) {
    const effect = channel.grant && effectOn(entry, revocable(channel.grant, omit));
    if (effect === 'end' || effect === 'refuse') {
      channel.grant = undefined;
      channel.rereading = undefined;
    } else if (effect === 'reauthorise') channel.rereading = { index: entry.index };
  }
}

/** What is read stands before what is done. */
function doneOf(channels: readonly Channel[], seen: number, omit: Omission | undefined): number {
  if (omit === 'last look') return seen;
  return Math.min(seen, ...channels.map(({ rereading }) => (rereading ? rereading.index - 1 : seen)));
}

function dropAll(channels: readonly Channel[]): void {
  for (const channel of channels) {
    channel.grant = undefined;
    channel.rereading = undefined;
  }
}
