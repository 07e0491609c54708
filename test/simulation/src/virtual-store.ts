import { type RealmStore, StoreError } from '@sallyport/access';
import type { Transaction } from '@sallyport/access/store';
import type { VirtualServer } from './virtual-server.ts';
import type { Machine, World } from './world.ts';

/** How the database does at a moment. */
export interface Weather {
  /** Nothing is answered. */
  down: boolean;
  /** Its clock less world time; a failover may change it. */
  clockOffsetMs: number;
}

/** Share of transactions that end without a word on whether they happened. */
const UNKNOWN_SHARE = 0.02;

/** The same store for a node that takes every run of its server for the first one. */
export function withoutRuns(store: RealmStore, serverRun: string): RealmStore {
  return {
    realm: store.realm,
    transaction: (work, urgency) => store.transaction(({ tables, now }) => work({ tables, now, serverRun }), urgency),
  };
}

/**
 * The store as one node reaches it over a network: slow, sometimes down, sometimes silent about a commit. What it says is
 * always true, as with a database that confirms every read.
 */
export function reachedFrom(
  machine: Machine,
  parts: { world: World; store: VirtualServer; weather: Weather; reachable: () => boolean },
): RealmStore {
  const { world, store, weather, reachable } = parts;
  const lost = async (code: 'ERR_STORE_UNAVAILABLE' | 'ERR_STORE_UNKNOWN'): Promise<never> => {
    await world.sleep(world.between(50, 800), machine);
    throw new StoreError(code, 'the database of the simulation does not answer');
  };
  return {
    realm: store.realm,
    async transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
      await world.sleep(world.between(0.5, world.chance(0.05) ? 150 : 4));
      if (weather.down || !reachable()) return lost('ERR_STORE_UNAVAILABLE');
      const silent = world.chance(UNKNOWN_SHARE);
      const happened = !silent || world.chance(0.5);
      const { lives } = store;
      const result = happened ? await store.transaction(work) : undefined;
      await world.sleep(world.between(0.5, world.chance(0.05) ? 150 : 4));
      const broken = lives !== store.lives;
      if (silent || broken || weather.down || !reachable()) return lost('ERR_STORE_UNKNOWN');
      // The answer waits for the machine, should it stand still.
      await world.sleep(0, machine);
      return result as T;
    },
  };
}
