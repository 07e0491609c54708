import { beginNewEpoch, getRealm, type Journal } from '@sallyport/access';
import type { VirtualNode } from './node.ts';
import { BY, SIDS } from './scene.ts';
import { type SavedServer, type ServedAccess, VirtualServer } from './virtual-server.ts';
import type { World } from './world.ts';

/** What a restore leaves out, to see that it would be noticed. */
export interface RestoreGaps {
  /** By hand: rows of a backup, and nothing else. */
  readonly newEpoch: boolean;
  /** Nothing is claimed; the old database is closed instead, and all nodes leave it at once. */
  readonly claim: boolean;
}

interface RestoreParts {
  readonly world: World;
  readonly access: ServedAccess;
  readonly journal: Journal;
  readonly nodes: readonly VirtualNode[];
  readonly nowMs: () => number;
  readonly say: (text: string) => void;
  readonly gaps: RestoreGaps;
  /** The rights are those of the backup again: somebody has to take them anew. */
  readonly rightsAreBack: () => void;
  /** False in a run in which something else goes back. */
  readonly happens: boolean;
}

/**
 * The database comes back from a backup: not at all, once, twice, or by two people whose steps overlap. Each restored one is
 * a server of its own; a node may be left on the one before, which nobody has closed, for seconds.
 */
export class Restores {
  count = 0;
  #current: ServedAccess;
  readonly #parts: RestoreParts;

  constructor(parts: RestoreParts) {
    this.#parts = parts;
    this.#current = parts.access;
    const { world } = parts;
    const many = Math.floor(world.random() * 3);
    for (let left = parts.happens ? many : 0; left > 0; left--) {
      const backupAt = world.between(0, 8_000);
      world.after(backupAt, () => void this.#backup(world.between(100, 4_000)));
    }
    this.#signIn();
  }

  async #backup(backInMs: number): Promise<void> {
    const { world, say } = this.#parts;
    say('a backup is taken');
    const rows = await this.#current.store.save();
    world.after(backInMs, () => void this.#restore(rows));
    // Somebody else does not know of that, and does the same.
    if (world.chance(0.4)) world.after(backInMs + world.between(0, 1_000), () => void this.#restore(rows));
  }

  async #restore(rows: SavedServer): Promise<void> {
    const { access, gaps, say, world, nowMs } = this.#parts;
    const number = ++this.count;
    say(`restore ${number} begins`);
    const store = new VirtualServer(`restore ${number}`, nowMs);
    await store.load(rows);
    if (gaps.newEpoch) return this.#move({ ...access, store });
    if (gaps.claim || world.chance(0.3)) await setClosed(this.#current.store);
    await setClosed(store);
    try {
      const restored = await beginNewEpoch({
        access: { ...access, store },
        journal: this.#slowly(),
        lost: false,
        by: BY,
      });
      say(`restore ${number} is open`);
      if (restored.rights.length > 0) this.#parts.rightsAreBack();
      this.#move({ ...access, store });
    } catch {
      say(`restore ${number} has lost the claim`);
      if (this.count < 5) world.after(200, () => void this.#restore(rows));
    }
  }

  /** Steps of people: most are quick, some wait for seconds. */
  #slowly(): Journal {
    const { world, journal, gaps } = this.#parts;
    const pause = (): Promise<void> =>
      world.sleep(world.chance(0.2) ? world.between(500, 6_000) : world.between(1, 50));
    let claimed: string | undefined;
    return {
      ...journal,
      async claimed() {
        await pause();
        return gaps.claim ? claimed : journal.claimed();
      },
      async claim(from, epoch) {
        await pause();
        claimed = epoch;
        return journal.claim(gaps.claim ? await journal.claimed() : from, epoch);
      },
      async read() {
        await pause();
        return journal.read();
      },
    };
  }

  #move(access: ServedAccess): void {
    const { nodes, world, gaps, say } = this.#parts;
    this.#current = access;
    const together = gaps.newEpoch || gaps.claim;
    for (const node of nodes) {
      if (together || world.chance(0.6)) node.restart(access.store);
      else {
        say(`${node.machine.name} is left on the database of before`);
        const left = world.between(0, 8_000);
        world.after(left, () => this.#current.store === access.store && node.restart(access.store));
      }
    }
  }

  /** Who may come back does so, where sessions have ended with a restore. */
  #signIn(): void {
    const { world } = this.#parts;
    world.after(300, () => {
      void this.#current.store.transaction(async (transaction) => {
        const { generation, closed } = await getRealm(transaction);
        if (closed) return;
        for (const id of SIDS)
          await transaction.tables.sessions.update({ where: { id, endedAt: null } }, { generation });
      });
      this.#signIn();
    });
  }
}

async function setClosed(store: VirtualServer): Promise<void> {
  await store.transaction(({ tables }) => tables.realms.update({}, { closed: true }));
}
