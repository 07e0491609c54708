import { type Journal, type JournalContent, JournalError, memoryJournal } from '@sallyport/access';
import type { Machine, World } from './world.ts';

/** A journal that may become again what it was. */
export interface VirtualJournal extends Journal {
  save(): Promise<JournalContent>;
  load(content: JournalContent): Promise<void>;
}

/** An empty one. */
export function virtualJournal(): VirtualJournal {
  let inner = memoryJournal();
  return {
    description: 'of the simulation',
    identity: 'simulation',
    claimed: () => inner.claimed(),
    claim: (from, epoch) => inner.claim(from, epoch),
    append: (epoch, entries) => inner.append(epoch, entries),
    mend: (epoch, entries) => inner.mend(epoch, entries),
    holds: (epoch, index) => inner.holds(epoch, index),
    last: (epoch) => inner.last(epoch),
    read: () => inner.read(),
    close: async () => undefined,
    save: () => inner.read(),
    async load({ epochs, entries }) {
      const back = memoryJournal();
      for (const [i, epoch] of epochs.entries()) {
        await back.claim(epochs[i - 1], epoch);
        await back.append(
          epoch,
          entries.filter((entry) => entry.epoch === epoch),
        );
      }
      inner = back;
    },
  };
}

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
    mend: (epoch, entries) => over(() => journal.mend(epoch, entries)),
    last: (epoch) => over(() => journal.last(epoch)),
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
