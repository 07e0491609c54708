import { NODE_SILENCE_MS } from '../farm/nodes.ts';
import type { NodeRow } from '../farm/rows.ts';
import { getRealm } from '../realm/realm.ts';
import type { RealmStore, Transaction } from '../store/store.ts';
import { JournalError } from './journal.ts';

/** How often the beats of others are looked at, ms. */
const LOOK_MS = 500;

/** What a node keeps that has no journal: a node without one acknowledges what no journal holds. */
export const NO_JOURNAL = 'none';

/** A node that is about to start. */
export interface JournalKeeper {
  /** Id of the node. */
  readonly id: string;
  /** Identity of its journal, or `NO_JOURNAL`. */
  readonly journal: string;
  /** Where its journal is, in words. */
  readonly description: string;
  readonly monotonicMs: () => number;
  readonly sleep: (ms: number) => Promise<unknown>;
}

/** How far the beats of nodes were when they were first seen, by id. */
type Beats = ReadonlyMap<string, number>;

/**
 * Makes a node's journal the one of the database, unless another node lives that keeps another one: a restore could claim one
 * of the two only, and the node with the other one would go on acknowledging. Nodes whose beats stand still for long enough
 * count as dead; one that wakes later is stopped by its fence.
 * @throws JournalError ERR_JOURNAL_ELSEWHERE
 */
export async function settleJournal(store: RealmStore, keeper: JournalKeeper): Promise<void> {
  const beats = new Map<string, number>();
  const beganAt = keeper.monotonicMs();
  for (;;) {
    const dead = keeper.monotonicMs() - beganAt >= NODE_SILENCE_MS ? beats : new Map();
    const others = await store.transaction((transaction) => takePlace(transaction, keeper, dead));
    if (others.length === 0) return;
    for (const { id, beat } of others) {
      if ((beats.get(id) ?? beat) !== beat) throw elsewhere(keeper, id);
      beats.set(id, beat);
    }
    await keeper.sleep(LOOK_MS);
  }
}

/** Gives the nodes that may live and keep another journal; takes the place when there are none. */
async function takePlace(
  transaction: Transaction,
  { id, journal }: JournalKeeper,
  dead: Beats,
): Promise<readonly NodeRow[]> {
  const { realms, nodes } = transaction.tables;
  const realm = await getRealm(transaction, 'update');
  if (realm.journal === journal) return [];
  const keepers = realm.journal === '' ? [] : await nodes.list({ where: { journal: realm.journal } });
  const others = keepers.filter((row) => row.id !== id && dead.get(row.id) !== row.beat);
  if (others.length === 0) await realms.update({ where: { id: 'realm' } }, { journal });
  return others;
}

function elsewhere({ journal, description }: JournalKeeper, node: string): JournalError {
  const own = journal === NO_JOURNAL ? 'this one has none' : `this one keeps its own ${description}`;
  return new JournalError(
    'ERR_JOURNAL_ELSEWHERE',
    `node ${node} keeps another journal, and ${own}: all nodes of a database need the same one, in a PostgreSQL that each of ` +
      'them reaches (SALLYPORT_JOURNAL=postgresql://…), or in one folder if all run on one machine; to change it stop all nodes first',
  );
}
