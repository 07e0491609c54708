import { type Journal, JournalError } from '@sallyport/access';
import type { Machine, World } from './world.ts';

/** The journal as one node reaches it over a network. */
export function journalReachedFrom(
  machine: Machine,
  parts: { world: World; journal: Journal; reachable: () => boolean },
): Journal {
  const { world, journal, reachable } = parts;
  const over = async <T>(work: () => Promise<T>): Promise<T> => {
    await world.sleep(world.between(0.5, world.chance(0.05) ? 300 : 4));
    const happened = reachable();
    const result = happened ? await work() : undefined;
    await world.sleep(world.between(0.5, world.chance(0.05) ? 300 : 4), machine);
    if (!happened || !reachable()) throw new JournalError('ERR_JOURNAL_UNAVAILABLE', 'it does not answer');
    return result as T;
  };
  return {
    ...journal,
    claimed: () => over(() => journal.claimed()),
    append: (epoch, entries) => over(() => journal.append(epoch, entries)),
  };
}

/** A journal that takes everything from everybody. */
export function withoutClaims(journal: Journal, epoch: string): Journal {
  return {
    ...journal,
    claimed: async () => epoch,
    append: async (_, entries) => journal.append((await journal.claimed())!, entries),
  };
}
