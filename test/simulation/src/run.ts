import { getRealm, memoryBus, openClaim, PolicyCache } from '@sallyport/access';
import { Faults } from './faults.ts';
import { GoingBack } from './going-back.ts';
import { VirtualNetwork } from './network.ts';
import { LEASE_MS, VirtualNode } from './node.ts';
import type { Omission } from './omissions.ts';
import { VirtualProxy } from './proxy.ts';
import { Restores } from './restores.ts';
import { accessOn, PROXIES, prepare, SIDS } from './scene.ts';
import { journalReachedFrom, virtualJournal } from './virtual-journal.ts';
import { VirtualServer } from './virtual-server.ts';
import { reachedFrom, type Weather } from './virtual-store.ts';
import { type Machine, World } from './world.ts';

const END_MS = 20_000;
/** Processes by machine: the last one has the identity of the first. */
const PROCESSES = [...PROXIES, 'p1'];
/** How long the leases of each node are. */
const NODES = { s1: LEASE_MS, s2: LEASE_MS / 2 };
/** Share of runs in which the memory of a Proxy is copied while it runs. */
const COPIED_SHARE = 0.5;
/** Share of runs in which a Proxy is revoked. */
const REVOKED_SHARE = 0.3;

/** What happened under one seed. */
export interface RunResult {
  readonly seed: number;
  /** Requests that were served after the acknowledgement of their session's revocation, ms after it. */
  readonly late: readonly number[];
  /** ms from the first try to the acknowledgement, for each revocation that was acknowledged. */
  readonly acknowledged: readonly number[];
  readonly served: number;
  readonly faults: number;
}

/** How a seed is run. */
export interface RunOptions {
  readonly omit?: Omission | undefined;
  /** Hears what happens, with the virtual time. */
  readonly trace?: (text: string) => void;
}

/** Runs one seed: sessions are served, everything goes wrong, and each session is revoked at some time. */
export async function runSeed(seed: number, { omit, trace }: RunOptions = {}): Promise<RunResult> {
  const world = new World(seed);
  const say = (text: string): void => trace?.(`${world.now.toFixed(1).padStart(8)}  ${text}`);
  const weather: Weather = { down: false, clockOffsetMs: 0 };
  const nowMs = (): number => 1_800_000_000_000 + Math.round(world.now + weather.clockOffsetMs);
  const server = new VirtualServer('first', nowMs);
  const setup = { ...accessOn(server), store: server };
  await prepare(setup);
  const journal = virtualJournal();
  const { epoch } = await setup.store.transaction((transaction) => getRealm(transaction));
  await openClaim(journal, { epoch, supersedes: [] });
  const network = new VirtualNetwork(world);
  const bus = memoryBus();
  const policies = new PolicyCache();
  const nodes = Object.entries(NODES).map(([name, leaseMs]) => {
    const machine = world.machine(name);
    const reachable = (): boolean => network.open(name, 'db');
    const log = journalReachedFrom(machine, { world, journal, reachable: () => network.open(name, 'journal') });
    return new VirtualNode({
      machine,
      world,
      access: setup,
      reach: (store) => reachedFrom(machine, { world, store, weather, reachable }),
      policies,
      bus,
      journal: log,
      leaseMs,
      omit,
      wronglyLeased: () => officer.late.push(0),
    });
  });
  const officer: Officer = new Officer({
    ...{ world, nodes, waits: omit !== 'waiting', say },
    isSilent: () => goingBack.isSilent,
  });
  const proxies = PROCESSES.map(
    (name, i) =>
      new VirtualProxy({
        name,
        machine: world.machine(i < PROXIES.length ? name : `${name} again`),
        world,
        network,
        nodes,
        sids: SIDS,
        served: (sid, machine) => officer.served(sid, machine),
        omit,
      }),
  );
  if (world.chance(COPIED_SHARE)) {
    const original = world.one(proxies);
    world.after(world.between(1_000, 9_000), () => {
      say(`the memory of ${original.machine.name} is copied`);
      original.copy(world.between(100, 2_000));
    });
  }
  const faults = new Faults({ world, network, nodes, weather, machines: proxies.map(({ machine }) => machine), say });
  const gaps = { newEpoch: omit === 'new epoch', claim: omit === 'claim' };
  const rightsAreBack = (): void => officer.rightsAreBack();
  const back = { world, access: setup, journal, nodes, say, rightsAreBack };
  const goingBack: GoingBack = new GoingBack({ ...back, weather });
  const restores = new Restores({ ...back, nowMs, gaps, happens: !goingBack.happens });
  await world.run(END_MS);
  const { late, times, count } = officer;
  return { seed, late, acknowledged: times, served: count, faults: faults.count + restores.count + goingBack.count };
}

/** Revokes a session, an app, a right and perhaps a Proxy, repeats until each is in force, and counts what is served after that. */
class Officer {
  readonly late: number[] = [];
  readonly times: number[] = [];
  count = 0;
  readonly #acknowledgedAt = new Map<string, number>();
  readonly #parts: {
    readonly world: World;
    readonly nodes: readonly VirtualNode[];
    readonly waits: boolean;
    readonly say: (text: string) => void;
    readonly isSilent: () => boolean;
  };
  /** Rises when a restore has brought rights back. */
  #rights = 0;
  #rightAsked = false;

  constructor(parts: {
    world: World;
    nodes: readonly VirtualNode[];
    waits: boolean;
    say: (text: string) => void;
    isSilent: () => boolean;
  }) {
    this.#parts = parts;
    SIDS.forEach((sid) => {
      const { world } = parts;
      world.after(world.between(2_500, 9_000), () => void this.#revoke(sid));
    });
    const { world } = parts;
    if (world.chance(REVOKED_SHARE)) world.after(world.between(2_500, 9_000), () => void this.#revokeProxy());
  }

  served(sid: string, machine: Machine): void {
    const { world, say } = this.#parts;
    this.count += 1;
    const at = this.#acknowledgedAt.get(sid) ?? this.#acknowledgedAt.get(machine.name.split(' ')[0]!);
    if (at === undefined || this.#parts.isSilent()) return;
    this.late.push(world.now - at);
    say(`${machine.name} serves ${sid[0]} although it is revoked`);
  }

  /** All processes of one Proxy, also its copies: machines are named after it. */
  async #revokeProxy(): Promise<void> {
    const { world, nodes, waits, say } = this.#parts;
    const name = world.one(PROXIES);
    const askedAt = world.now;
    say(`Proxy ${name} is to be revoked`);
    while ((await world.one(nodes).revokeProxy(name, waits)) !== 'in force') await world.sleep(100);
    this.#acknowledgedAt.set(name, world.now);
    this.times.push(world.now - askedAt);
    say(`Proxy ${name} is acknowledged`);
  }

  /** A restore names rights that were changed since the backup; an operator takes them again. */
  rightsAreBack(): void {
    this.#rights += 1;
    this.#acknowledgedAt.delete(SIDS[2]!);
    if (this.#rightAsked) void this.#revoke(SIDS[2]!);
  }

  async #revoke(sid: string): Promise<void> {
    const { world, nodes, waits, say } = this.#parts;
    const askedAt = world.now;
    const isRight = sid === SIDS[2];
    if (isRight) this.#rightAsked = true;
    const rights = this.#rights;
    say(`${sid[0]} is to be revoked`);
    const requestId = `revocation-${sid[0]}-${isRight ? rights : 0}`;
    while ((await world.one(nodes).revoke(sid, requestId, waits)) !== 'in force') await world.sleep(100);
    if (isRight && rights !== this.#rights) return;
    this.#acknowledgedAt.set(sid, world.now);
    this.times.push(world.now - askedAt);
    say(`${sid[0]} is acknowledged`);
  }
}
