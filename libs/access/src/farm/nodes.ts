import { change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { getRealm } from '../realm/realm.ts';
import type { RealmRow } from '../realm/rows.ts';
import type { LeaseRow } from '../revocation/rows.ts';
import type { NodeRow } from './rows.ts';
import { Sightings } from './sightings.ts';

/** What a node knows of all others after it has told of itself. */
export interface FarmView {
  readonly nodes: readonly NodeRow[];
  readonly leases: readonly LeaseRow[];
  /** The realm's row: epoch, head of the revocation log, hold. */
  readonly realm: RealmRow;
  /** The run of the database server in which it was read. */
  readonly serverRun: string;
  /** The store's clock, epoch ms. */
  readonly now: number;
  /** True when the row was written by another process of that name before: the one of an earlier run, or one that lives. */
  readonly replaced: boolean;
  /** By how much the node's clock is off from the store's at least, ms. */
  readonly clockOffsetMs: number;
}

/** What a node says of itself. */
export type NodeReport = Omit<NodeRow, 'beat' | 'seenAt' | 'clockOffsetMs'>;

/**
 * Records that a node lives, and reads the farm in the same durable transaction. `wallMs` is the node's clock; it is read
 * before and after the store's, so that a slow store or a paused node does not look like a wrong clock.
 */
export async function recordNode(access: AccessContext, word: NodeReport, wallMs: () => number): Promise<FarmView> {
  const asked = wallMs();
  return access.store.transaction(
    async (transaction) => {
      const { tables, serverRun } = transaction;
      const now = transaction.now();
      const clockOffsetMs = offsetAtLeast(asked - now, wallMs() - now);
      const before = await tables.nodes.find({ id: word.id }, 'update');
      const row = { ...word, beat: (before?.beat ?? 0) + 1, seenAt: now, clockOffsetMs };
      if (before) await tables.nodes.update({ where: { id: word.id } }, row);
      else await tables.nodes.insert(row);
      const realm = await getRealm(transaction);
      const replaced = before !== undefined && before.startedAt !== word.startedAt;
      const [all, leases] = [await tables.nodes.list(), await tables.leases.list()];
      return { nodes: all, leases, realm, serverRun, now, clockOffsetMs, replaced };
    },
    { urgent: true },
  );
}

/**
 * Forgets processes of Proxies whose rows have not moved since they were read, with the channels that they opened. One that
 * beats after all gets a new row, and its channels open anew.
 */
export async function forgetInstances(access: AccessContext, rows: readonly LeaseRow[]): Promise<void> {
  await access.store.transaction(async ({ tables }) => {
    for (const { proxy, beat } of rows) await tables.leases.remove({ where: { proxy, beat } });
  });
}

/** The smallest offset that lies between the two; 0 when they enclose it. */
function offsetAtLeast(low: number, high: number): number {
  if (low > 0) return low;
  return high < 0 ? high : 0;
}

/** All Security nodes: they are few. */
export function listNodes({ store }: AccessContext): Promise<readonly NodeRow[]> {
  return store.transaction(({ tables }) => tables.nodes.list());
}

/** Forgets a node that will not come back, so that Proxies stop trying it; false for an unknown one. */
export async function removeNode(access: AccessContext, id: string, by: Actor): Promise<boolean> {
  return change(access, by, async (begun) => {
    const removed = (await begun.tables.nodes.remove({ where: { id } })) > 0;
    const held = await begun.tables.kekHolders.remove({ where: { node: id } });
    const shown = await begun.tables.seenCertificates.remove({ where: { holder: `node/${id}` } });
    if (removed || held + shown > 0) begun.audit('node.remove', id);
    else begun.unchanged();
    return removed;
  });
}

/** A node that is silent for longer counts as down, ms. */
export const NODE_SILENCE_MS = 3_500;

/** Which nodes live, judged on one node's own monotonic clock by whether their beats go on. */
export class NodeWatch {
  readonly #now: () => number;
  readonly #sightings: Sightings<NodeRow>;

  constructor(monotonicMs: () => number) {
    this.#now = monotonicMs;
    this.#sightings = new Sightings(
      monotonicMs,
      ({ id }) => id,
      ({ beat }) => String(beat),
    );
  }

  /** Takes all nodes as just read from the store. */
  observe(nodes: readonly NodeRow[]): void {
    this.#sightings.observe(nodes);
  }

  /** Ms since a node's beat was last seen to go on. */
  silentMs(id: string): number {
    return this.#now() - (this.#sightings.seenAt(id) ?? Number.NEGATIVE_INFINITY);
  }

  /** True while a node may be answering: up, or draining. */
  awake({ id }: Pick<NodeRow, 'id'>): boolean {
    return this.silentMs(id) < NODE_SILENCE_MS;
  }

  lives({ id, state }: NodeRow): boolean {
    return state === 'up' && this.silentMs(id) < NODE_SILENCE_MS;
  }
}
