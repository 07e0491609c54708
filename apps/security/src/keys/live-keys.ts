import {
  type AccessContext,
  type KeyChangeTimes,
  type NodeRow,
  publishHandshakeKey,
  stepKeyChanges,
} from '@sallyport/access';
import type { KeyPair } from '@sallyport/channel';
import { type RealmKeys, readRealmKeys, rereadHandshakeKeys } from './keys.ts';

/** Whoever asks for a key that nobody has makes a node look into the store at most this often, ms. */
const REREAD_MS = 1_000;

/** What a node has just seen of the farm. */
export interface KeyView {
  readonly mapVersion: number;
  /** Nodes that may be answering devices. */
  readonly awake: readonly Pick<NodeRow, 'keyId' | 'knownKeys'>[];
}

/**
 * The keys of a realm on one node while the farm goes on. A handshake key is first stored, then learnt by every node, and
 * only then published: no device comes with a key that some node does not have.
 */
export class LiveKeys {
  readonly #access: AccessContext;
  readonly #monotonicMs: () => number;
  /** How long next keys are known before they are used, and old ones trusted beside them. */
  readonly times: KeyChangeTimes;
  #keys: RealmKeys;
  #reading: Promise<void> | undefined;
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(
    access: AccessContext,
    keys: RealmKeys,
    { monotonicMs, times }: { readonly monotonicMs: () => number; readonly times: KeyChangeTimes },
  ) {
    this.#access = access;
    this.times = times;
    this.#keys = keys;
    this.#monotonicMs = monotonicMs;
  }

  get current(): RealmKeys {
    return this.#keys;
  }

  /** Puts renewed keys in place. */
  use(keys: RealmKeys): void {
    this.#keys = keys;
  }

  /** Reads the keys again, because they were changed here. */
  async reread(): Promise<void> {
    await this.#read();
  }

  /** Follows the farm: reads the keys again when they have changed, publishes one that every node has. */
  async follow({ mapVersion, awake }: KeyView): Promise<void> {
    if (mapVersion !== this.#keys.mapVersion) await this.#read();
    const known = awake.map(({ knownKeys }) => knownKeys);
    const view = { known, times: this.times };
    if (this.#keys.changing && (await stepKeyChanges(this.#access, view))) await this.#read();
    const { newestId, published } = this.#keys;
    if (published || !awake.every(({ keyId }) => keyId === newestId)) return;
    await publishHandshakeKey(this.#access, newestId);
    await this.#read();
  }

  /**
   * The key pair of a kid; an unknown one is looked for in the store, for all who ask at once and not often.
   * @throws StoreError when the store does not answer: that is "later", never "unknown"
   */
  async find(kid: number): Promise<KeyPair | undefined> {
    const known = this.#keys.handshake.get(kid);
    if (known) return known;
    if (this.#monotonicMs() - this.#readAt >= REREAD_MS) this.#reading ??= this.#readHandshake();
    await this.#reading;
    return this.#keys.handshake.get(kid);
  }

  async #read(): Promise<void> {
    this.#keys = await readRealmKeys(this.#access);
    this.#readAt = this.#monotonicMs();
  }

  async #readHandshake(): Promise<void> {
    try {
      this.#keys = await rereadHandshakeKeys(this.#access, this.#keys);
      this.#readAt = this.#monotonicMs();
    } finally {
      this.#reading = undefined;
    }
  }
}
