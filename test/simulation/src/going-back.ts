import { beginNewEpoch, type KnownLife } from '@sallyport/access';
import { LEASE_MS, type VirtualNode } from './node.ts';
import { BY } from './scene.ts';
import type { VirtualJournal } from './virtual-journal.ts';
import type { ServedAccess, VirtualServer } from './virtual-server.ts';
import type { Weather } from './virtual-store.ts';
import type { World } from './world.ts';

/**
 * What goes back to an earlier state, and nobody says so: the database alone, a machine with the database, the journal and what the
 * nodes remember, or the journal alone. Proxies run on.
 */
const KINDS = ['database', 'machine', 'journal'] as const;
/** Share of runs in which something does. */
const SHARE = 0.5;
/** All leases that were given in silence are over by then. */
const SETTLED_MS = 2 * LEASE_MS;

interface GoingBackParts {
  readonly world: World;
  readonly access: ServedAccess;
  readonly journal: VirtualJournal;
  readonly nodes: readonly VirtualNode[];
  readonly weather: Weather;
  readonly say: (text: string) => void;
  readonly rightsAreBack: () => void;
}

/** Lets something go back once, in some runs; an operator gives the database a new epoch when nodes refuse it. */
export class GoingBack {
  count = 0;
  /** True in a run in which something may go back: then nobody restores a backup. */
  readonly happens: boolean;
  readonly #parts: GoingBackParts;
  /** Until when, in world time, nobody may know of a machine that went back: what goes back in silence cannot be made safe. */
  #silentUntil = Number.NEGATIVE_INFINITY;

  constructor(parts: GoingBackParts) {
    this.#parts = parts;
    const { world } = parts;
    this.happens = world.chance(SHARE);
    if (!this.happens) return;
    const kind = world.one(KINDS);
    world.after(world.between(500, 8_000), () => void this.#save(kind));
  }

  /** True while a machine has gone back, and leases may live that were given before somebody showed it. */
  get isSilent(): boolean {
    return this.#parts.world.now < this.#silentUntil;
  }

  async #save(kind: (typeof KINDS)[number]): Promise<void> {
    const { world, access, journal, nodes, say } = this.#parts;
    say(`the ${kind} is as it will be again`);
    const server = await access.store.save();
    const held = await journal.save();
    const remembered = nodes.map(({ memory }) => memory.known);
    world.after(world.between(200, 6_000), () => {
      this.count += 1;
      say(`the ${kind} goes back`);
      if (kind !== 'database') void journal.load(held);
      if (kind === 'machine') this.#machine(remembered);
      if (kind !== 'journal') void this.#database(server);
    });
  }

  #machine(remembered: readonly (KnownLife | undefined)[]): void {
    for (const [i, node] of this.#parts.nodes.entries()) {
      node.memory.known = remembered[i];
      node.restart();
    }
    this.#silentUntil = Number.POSITIVE_INFINITY;
  }

  async #database(server: Awaited<ReturnType<VirtualServer['save']>>): Promise<void> {
    const { world, access, weather } = this.#parts;
    weather.down = true;
    await access.store.load(server);
    world.after(world.between(0, 1_500), () => {
      weather.down = false;
    });
    world.after(world.between(200, 3_000), () => void this.#restoreOnceRefused());
  }

  /** Somebody reads what the nodes say, and does what it tells them. */
  async #restoreOnceRefused(): Promise<void> {
    const { world, nodes } = this.#parts;
    while (!nodes.some(({ refused }) => refused)) await world.sleep(200);
    // They know more or less of it: the one that knows most is believed.
    const known = nodes.map(({ memory }) => memory.known).sort((a, b) => (b?.head ?? 0) - (a?.head ?? 0))[0];
    // A journal that lay on the machine counts as lost: a proof says how far the log was at least.
    if ((!this.isSilent && (await this.#newEpoch(false, known))) || (await this.#newEpoch(true, known))) return;
    world.after(500, () => void this.#restoreOnceRefused());
  }

  async #newEpoch(lost: boolean, seen: KnownLife | undefined): Promise<boolean> {
    const { access, journal, nodes, say, world, rightsAreBack } = this.#parts;
    try {
      const restored = await beginNewEpoch({ access, journal, lost, by: BY, seen });
      say(`the database that went back is open again${lost ? ', its journal counts as lost' : ''}`);
      if (restored.rights.length > 0 || lost) rightsAreBack();
      if (this.isSilent) this.#silentUntil = world.now + SETTLED_MS;
      for (const node of nodes) node.restart();
      return true;
    } catch (error) {
      say(`no new epoch: ${(error as Error).message}`);
      return false;
    }
  }
}
