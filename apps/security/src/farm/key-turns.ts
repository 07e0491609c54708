import {
  type AccessContext,
  isUnderWay,
  type KekNode,
  type KekView,
  listKeks,
  type TurnWait,
  turnWaits,
} from '@sallyport/access';
import type { Log } from '@sallyport/telemetry';
import type { SecurityNode } from './node.ts';

/** A node looks at the realm's key-encryption keys this often, ms. */
const LOOK_MS = 1_000;
/** A key that is missing is said again after, ms. */
const SAY_MS = 60_000;

/** What the realm's key-encryption keys are watched with. */
export interface KeyTurnsParts {
  readonly access: AccessContext;
  readonly kekNode: Pick<KekNode, 'step' | 'stop' | 'missing'>;
  readonly node: Pick<SecurityNode, 'id' | 'nodes'>;
  readonly log: Log;
}

/** The realm's key-encryption keys, and whom their turn waits for. */
export interface SeenKeks extends KekView {
  readonly waits: readonly TurnWait[];
}

/** Takes part in turns of the key-encryption key while this node lives. */
export class KeyTurns {
  readonly #parts: KeyTurnsParts;
  #timer: NodeJS.Timeout | undefined;
  #step: Promise<void> | undefined;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(parts: KeyTurnsParts) {
    this.#parts = parts;
  }

  start(): void {
    const next = (): void => {
      this.#timer = setTimeout(() => {
        this.#step = this.#look().finally(() => this.#timer && next());
      }, LOOK_MS);
    };
    next();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#step;
    await this.#parts.kekNode.stop();
  }

  /** True for a node that may be answering: the only one that is known without having been seen is this one. */
  readonly awake = (id: string): boolean => id === this.#parts.node.id || this.#parts.node.nodes.awake({ id });

  /** What the realm knows of its keys now. */
  async see(): Promise<SeenKeks> {
    const view = await listKeks(this.#parts.access);
    return { ...view, waits: turnWaits(view, this.awake) };
  }

  async #look(): Promise<void> {
    const { kekNode, log } = this.#parts;
    try {
      await kekNode.step({ awake: this.awake });
    } catch (error) {
      log.warn({ err: error }, 'the turn of the key-encryption key goes on later');
    }
    const { missing } = kekNode;
    if (missing === undefined || performance.now() - this.#saidAt < SAY_MS) return;
    this.#saidAt = performance.now();
    log.error({ missing: missing.words }, 'this node cannot read the database');
  }
}

/** What a turn that goes on no further means, in words. */
export function turnWords({ turn, waits }: SeenKeks): string[] {
  if (!isUnderWay(turn)) return [];
  const what = turn.kek === 0 ? 'a new key-encryption key' : `key-encryption key ${turn.kek}`;
  return waits.flatMap(({ node, why }) => {
    if (why === 'silent')
      return [
        `${what} waits for node ${node}, which is silent: start it, or go on with "sallyport kek rotate --without ${node}"`,
      ];
    return why === 'older version' ? [`${what} waits for node ${node}, whose version cannot take it: update it`] : [];
  });
}
