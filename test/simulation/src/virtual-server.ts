import { type AccessContext, type RealmStore, StoreError } from '@sallyport/access';
import { MemoryStore, TABLE_NAMES, type Table, type Transaction } from '@sallyport/access/store';

type Row = Record<string, unknown>;

/** Everything that a server holds at a moment. */
export interface SavedServer {
  readonly rows: ReadonlyMap<string, readonly Row[]>;
  readonly walBytes: number;
}

/** The rules on a server of their own. */
export type ServedAccess = AccessContext & { readonly store: VirtualServer };

/** A database server. What it holds may be replaced by what it held before, and nothing of it says so. */
export class VirtualServer implements RealmStore {
  readonly realm = 'main';
  /** Another one for each data directory. */
  readonly system: string;
  readonly #nowMs: () => number;
  #store: RealmStore;
  #walBytes = 0;
  #lives = 1;

  constructor(system: string, nowMs: () => number) {
    this.system = system;
    this.#nowMs = nowMs;
    this.#store = this.#started(this.#lives);
  }

  /** Rises when it goes back: all connections break by that. */
  get lives(): number {
    return this.#lives;
  }

  get walBytes(): number {
    return this.#walBytes;
  }

  async transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const lives = this.#lives;
    const result = await this.#store.transaction(work);
    if (lives !== this.#lives) throw new StoreError('ERR_STORE_UNKNOWN', 'the connection broke');
    this.#walBytes += 1;
    return result;
  }

  async save(): Promise<SavedServer> {
    return { rows: await rowsOf(this.#store), walBytes: this.#walBytes };
  }

  /** A server of its own that begins with what another one held. */
  async load({ rows, walBytes }: SavedServer): Promise<void> {
    const store = this.#started(this.#lives + 1);
    await insertAll(store, rows);
    this.#store = store;
    this.#walBytes = walBytes;
    this.#lives += 1;
  }

  /** With each life begins another run of the server. */
  #started(life: number): RealmStore {
    return new MemoryStore(this.#nowMs, `${this.system}/${life}`).in('main');
  }
}

async function rowsOf(store: RealmStore): Promise<SavedServer['rows']> {
  return store.transaction(async ({ tables }) => {
    const all = tables as unknown as Record<string, Table<Row>>;
    return new Map(await Promise.all(TABLE_NAMES.map(async (name) => [name, await all[name]!.list()] as const)));
  });
}

async function insertAll(store: RealmStore, rows: SavedServer['rows']): Promise<void> {
  await store.transaction(async ({ tables }) => {
    const all = tables as unknown as Record<string, Table<Row>>;
    for (const name of TABLE_NAMES) await all[name]!.insertEach(rows.get(name)!);
  });
}
