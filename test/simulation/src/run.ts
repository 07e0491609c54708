import {
  type AccessContext,
  beginNewEpoch,
  createKeyring,
  ensureRealm,
  getRealm,
  issueJoinToken,
  type Journal,
  MemoryStore,
  memoryBus,
  memoryJournal,
  openClaim,
  PolicyCache,
  putSite,
  type RealmStore,
  redeemJoinToken,
  type SessionRow,
  TABLE_NAMES,
  type Table,
} from '@sallyport/access';
import { nodeCrypto } from '@sallyport/channel/node';
import { VirtualNetwork } from './network.ts';
import { LEASE_MS, VirtualNode } from './node.ts';
import { VirtualProxy } from './proxy.ts';
import { reachedFrom, type Weather } from './virtual-store.ts';
import { type Machine, World } from './world.ts';

const END_MS = 16_000;
const BY = { actor: 'officer', reason: 'simulation' };
const PROXIES = ['p1', 'p2', 'p3'];
/** Processes by machine: the last one has the identity of the first. */
const PROCESSES = [...PROXIES, 'p1'];
const NODES = ['s1', 's2'];
const SIDS = ['a', 'b', 'c'].map((letter) => letter.repeat(32));

/** What is left out, to see that the simulation would notice. */
export type Omission = 'waiting' | 'drift guard' | 'new epoch';

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
  const memory = new MemoryStore(() => 1_800_000_000_000 + Math.round(world.now + weather.clockOffsetMs));
  const setup = accessOn(memory.in('main'));
  await prepare(setup);
  const journal = memoryJournal();
  const { epoch } = await setup.store.transaction((transaction) => getRealm(transaction));
  await openClaim(journal, epoch);
  const network = new VirtualNetwork(world);
  const bus = memoryBus();
  const policies = new PolicyCache();
  const nodes = NODES.map((name) => {
    const machine = world.machine(name);
    const reachable = (): boolean => network.open(name, 'db');
    const store = reachedFrom(machine, { world, store: setup.store, weather, reachable });
    return new VirtualNode({ machine, world, access: { ...setup, store }, policies, bus, journal });
  });
  const acknowledgedAt = new Map<string, number>();
  const late: number[] = [];
  let served = 0;
  const onServed = (sid: string, machine: Machine): void => {
    served += 1;
    const at = acknowledgedAt.get(sid);
    if (at === undefined) return;
    late.push(world.now - at);
    say(`${machine.name} serves ${sid[0]} although it is revoked`);
  };
  const driftGuard = omit !== 'drift guard';
  const proxies = PROCESSES.map(
    (name, i) =>
      new VirtualProxy({
        name,
        machine: world.machine(i < PROXIES.length ? name : `${name} again`),
        world,
        network,
        nodes,
        sids: SIDS,
        served: onServed,
        driftGuard,
      }),
  );
  const faults = new Faults({ world, network, nodes, weather, machines: proxies.map(({ machine }) => machine), say });
  const restores = new Restores({ world, access: setup, journal, nodes, say, byHand: omit === 'new epoch' });
  const times: number[] = [];
  SIDS.forEach((sid, i) => {
    const askedAt = world.between(2_500, 9_000);
    world.after(askedAt, () => {
      say(`${sid[0]} is to be revoked`);
      void officer(sid, `revocation-${i}`).then(() => {
        acknowledgedAt.set(sid, world.now);
        say(`${sid[0]} is acknowledged`);
        times.push(world.now - askedAt);
      });
    });
  });
  const officer = async (sid: string, requestId: string): Promise<void> => {
    for (;;) {
      if ((await world.one(nodes).revoke(sid, requestId, omit !== 'waiting')) === 'in force') return;
      await world.sleep(100);
    }
  };
  await world.run(END_MS);
  return { seed, late, acknowledged: times, served, faults: faults.count + restores.count };
}

function accessOn(store: RealmStore): AccessContext {
  const crypto = nodeCrypto();
  const keyring = createKeyring(crypto, new Map([[1, new Uint8Array(32).fill(1)]]), 1);
  const passwords = { hash: async (text: string) => text, verify: async () => false };
  return { store, crypto, keyring, passwords };
}

/** A realm with Proxies that have joined, and a user with three sessions. */
async function prepare(access: AccessContext): Promise<void> {
  await ensureRealm(access, LEASE_MS);
  await putSite(access, { name: 'here', origins: [], resources: [] }, BY);
  for (const name of PROXIES) {
    await redeemJoinToken(access, await issueJoinToken(access, { name, site: 'here' }, BY), name);
  }
  await access.store.transaction(async ({ tables }) => {
    const createdAt = 1;
    const user = {
      id: 'u',
      name: 'ada',
      displayName: 'Ada',
      passwordHash: null,
      enabled: true,
      outByOperator: false,
      outByDirectory: false,
      pastAccount: '',
      directory: '',
      createdAt,
    };
    await tables.users.insert(user);
    const key = new Uint8Array(32);
    await tables.installations.insert({
      id: 'i',
      userId: 'u',
      deviceStatic: key,
      signingKey: {},
      status: 'active',
      generation: 0,
      currentKey: key,
      nextKey: null,
      previousKey: null,
      rotatedAt: createdAt,
      app: 'app@1',
      model: 'm',
      createdAt,
      lastSeenAt: null,
      resumeId: null,
    });
    for (const id of SIDS) await tables.sessions.insert(sessionOf(id));
  });
}

function sessionOf(id: string): SessionRow {
  return {
    id,
    installationId: 'i',
    userId: 'u',
    secret: new Uint8Array(32),
    app: 'app@1',
    createdAt: 1,
    expiresAt: 4_000_000_000_000,
    chanNo: 0,
    chanRequest: null,
    endedAt: null,
    endReason: null,
    directory: '',
    providerSession: null,
    delegated: null,
    generation: 0,
    holders: [],
    endKey: null,
  };
}

type AnyTable = Table<Record<string, unknown>>;

interface RestoreParts {
  readonly world: World;
  readonly access: AccessContext;
  readonly journal: Journal;
  readonly nodes: readonly VirtualNode[];
  readonly say: (text: string) => void;
  readonly byHand: boolean;
}

/** The database comes back from a backup, not at all, once or twice: as an operator restores it, or by hand, as nobody should. */
class Restores {
  count = 0;
  readonly #parts: RestoreParts;

  constructor(parts: RestoreParts) {
    this.#parts = parts;
    const { world } = parts;
    for (let left = Math.floor(world.random() * 3); left > 0; left--) {
      const backupAt = world.between(0, 8_000);
      world.after(backupAt, () => void this.#backup(world.between(100, 4_000)));
    }
  }

  async #backup(backInMs: number): Promise<void> {
    const { world, access, say } = this.#parts;
    say('a backup is taken');
    const rows = await access.store.transaction(async ({ tables }) => {
      const all = tables as unknown as Record<string, AnyTable>;
      const listed = TABLE_NAMES.map(async (name) => [name, await all[name]!.list()] as const);
      return new Map(await Promise.all(listed));
    });
    world.after(backInMs, () => void this.#restore(rows));
  }

  async #restore(rows: ReadonlyMap<string, readonly Record<string, unknown>[]>): Promise<void> {
    const { access, journal, nodes, say, byHand } = this.#parts;
    this.count += 1;
    say('the database goes back to it');
    await access.store.transaction(async ({ tables }) => {
      const all = tables as unknown as Record<string, AnyTable>;
      for (const name of TABLE_NAMES) {
        await all[name]!.remove({});
        await all[name]!.insertEach(rows.get(name)!);
      }
      // A restored database is closed until its new epoch begins.
      if (!byHand) await tables.realms.update({}, { closed: true });
    });
    if (!byHand) await beginNewEpoch({ access, journal, lost: false, by: BY });
    // As their supervisors do when they meet another life of the database.
    for (const node of nodes) node.restart();
  }
}

/** Everything that goes wrong in a run, at times that the seed chooses. */
class Faults {
  count = 0;

  constructor(parts: {
    world: World;
    network: VirtualNetwork;
    nodes: readonly VirtualNode[];
    weather: Weather;
    machines: readonly Machine[];
    say: (text: string) => void;
  }) {
    const { world, network, nodes, weather, machines, say } = parts;
    const pause = (machine: Machine, ms: number): void => {
      say(`${machine.name} stands still for ${ms.toFixed(1)} ms`);
      machine.pausedUntil = Math.max(machine.pausedUntil, world.now + ms);
    };
    const kinds: readonly (() => void)[] = [
      // A partition, one-way or both ways, between a Proxy and a node.
      () => {
        const [proxy, node, ms] = [world.one(machines).name, world.one(nodes).machine.name, world.random() * 6_000];
        const direction = world.random();
        say(`${proxy} and ${node} are apart for ${ms.toFixed(1)} ms (${direction.toFixed(2)})`);
        if (direction < 0.7) network.cut(proxy, node, ms);
        if (direction > 0.3) network.cut(node, proxy, ms);
      },
      // A Proxy that reaches no node, or a node that reaches nobody.
      () => {
        const [proxy, ms] = [world.one(machines).name, world.random() * 6_000];
        say(`${proxy} reaches no node for ${ms.toFixed(1)} ms`);
        for (const { machine } of nodes) {
          network.cut(proxy, machine.name, ms);
          network.cut(machine.name, proxy, ms);
        }
      },
      () => network.cut(world.one(nodes).machine.name, 'db', world.random() * 4_000),
      // A garbage collection, or SIGSTOP.
      () => pause(world.one([...machines, ...nodes.map(({ machine }) => machine)]), world.random() * 5_000),
      // A suspend: the monotonic clock stands still, the wall clock jumps ahead on resume.
      () => {
        const machine = world.one(machines);
        const ms = world.random() * 5_000;
        // While it stands still already, only what comes on top is missed.
        const standsUntil = Math.max(world.now, machine.pausedUntil);
        pause(machine, ms);
        say('… suspended: its monotonic clock stands still too');
        machine.missedMs += machine.pausedUntil - standsUntil;
      },
      () => {
        const machine = world.one([...machines, ...nodes.map((node) => node.machine)]);
        const step = world.between(-20_000, 20_000);
        say(`the wall clock of ${machine.name} steps by ${step.toFixed(1)} ms`);
        machine.wallOffsetMs += step;
      },
      () => {
        say('a node is restarted');
        world.one(nodes).restart();
      },
      // The database fails over, to a host with another clock.
      () => {
        weather.down = true;
        say('the database fails over');
        world.after(world.random() * 3_000, () => {
          weather.down = false;
          weather.clockOffsetMs = world.between(-600_000, 600_000);
        });
      },
    ];
    const many = 2 + Math.floor(world.random() * 8);
    for (let i = 0; i < many; i++) {
      world.after(world.random() * 10_000, () => {
        this.count += 1;
        world.one(kinds)();
      });
    }
  }
}
