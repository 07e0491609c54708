import type { Urgency } from '@sallyport/access/store';
import { Places } from '@sallyport/places';
import pg from 'pg';
import { clientOfPrimary, connectionOf, type DatabaseAddress, type DatabaseHost, PrimaryFinder } from './primary.ts';

/** How long a connection is looked for, ms: a few servers, each with its patience, or the only one. */
const BEGIN_PATIENCE_MS = 4_000;
/** Connections that are tried, besides one of each server: as many as may have died in a pool since it was last used. */
const TRIES = 16;
/** More that are made together take longer than one may: each has a handshake, of TLS and of the password. */
const OPEN_AT_ONCE = 4;
/** Pieces of work that may wait for a connection, and how long, ms: that many wait because we are busy, not the database. */
const MAX_WAITING = 1_000;
const MAX_WAIT_MS = 10_000;

/** How a pool works with its connections; the rest is the driver's. */
export interface PrimaryPoolOptions extends Omit<pg.PoolConfig, 'min' | 'connectionTimeoutMillis'> {
  /** Connections at once. */
  readonly max: number;
  /** So many of them are for urgent work only. */
  readonly reserved?: number;
}

/** A transaction that has begun, and what the statement that began it gave. */
export interface BegunTransaction {
  readonly client: pg.PoolClient;
  readonly results: readonly pg.QueryResult[];
}

/** Connections to whatever server of an address is the primary now. Close it last. */
export class PrimaryPool {
  readonly #pool: pg.Pool;
  readonly #finder: PrimaryFinder;
  readonly #places: Places;
  readonly #openings: Places;
  readonly #size: number;
  #made = 0;

  constructor(address: DatabaseAddress, { reserved = 0, ...options }: PrimaryPoolOptions) {
    this.#finder = new PrimaryFinder(address);
    this.#size = options.max;
    this.#places = new Places({ places: this.#size, reserved, maxWaiting: MAX_WAITING, maxWaitMs: MAX_WAIT_MS });
    this.#openings = new Places({ places: OPEN_AT_ONCE, maxWaiting: this.#size, maxWaitMs: BEGIN_PATIENCE_MS });
    this.#pool = new pg.Pool({
      ...connectionOf(address),
      keepAlive: true,
      ...options,
      Client: clientOfPrimary(this.#finder) as never,
      // None is closed for being idle: whoever has to connect anew in a storm is who comes too late.
      min: this.#size,
      connectionTimeoutMillis: this.#finder.patienceMs,
    });
    // An idle connection that breaks is replaced at the next use; without a listener it would end the process.
    this.#pool.on('error', () => undefined);
    this.#pool.on('connect', (client) => {
      this.#made += 1;
      client.on('error', () => undefined);
    });
  }

  /** The server that is asked now. */
  get server(): DatabaseHost {
    return this.#finder.current;
  }

  /** How many connections were ever made. */
  get made(): number {
    return this.#made;
  }

  /** Runs work that begins one transaction, once there is a place for it. @throws BusyError with nothing done */
  run<T>(work: () => Promise<T>, urgency?: Urgency): Promise<T> {
    return this.#places.run(work, urgency);
  }

  /** Opens all connections now. Those that cannot be opened are, when they are needed. */
  async openAll(): Promise<void> {
    const clients: pg.PoolClient[] = [];
    while (clients.length < this.#size) {
      const some = Array.from({ length: Math.min(OPEN_AT_ONCE, this.#size - clients.length) }, () =>
        this.#pool.connect(),
      );
      const opened = (await Promise.allSettled(some)).filter((one) => one.status === 'fulfilled');
      clients.push(...opened.map(({ value }) => value));
      if (opened.length < some.length) break;
    }
    for (const client of clients) client.release();
  }

  /**
   * Begins on a connection that lives and goes to the server that counts as the primary: one that died in the pool, or
   * that goes to a server which was given up, shows only now, and nothing was done on it. @throws Error of the last try
   */
  async begin(statement: string): Promise<BegunTransaction> {
    const deadline = performance.now() + BEGIN_PATIENCE_MS;
    for (let left = TRIES + this.#finder.count; ; left--) {
      let client: pg.PoolClient | undefined;
      try {
        client = await this.#connect();
        if (serverOf(client) === this.server) return { client, results: [await client.query(statement)].flat() };
        client.release(true);
      } catch (error) {
        if (client) this.giveBack(client, error as Error);
        const alone = !client && this.#finder.count === 1;
        if (left <= 0 || alone || performance.now() > deadline) throw error;
      }
    }
  }

  /** Takes a connection back; one that is broken is ended, and another server asked from now on. */
  giveBack(client: pg.PoolClient, broken?: Error): void {
    if (broken) this.#finder.failed(serverOf(client));
    client.release(broken ?? false);
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  /**
   * A connection that is idle, or a new one. Of those only a few are made at once, each with the time that servers now
   * need: all of them together would be too slow for the patience of each, and would begin anew for ever.
   */
  async #connect(): Promise<pg.PoolClient> {
    if (this.#pool.idleCount > 0) return this.#pool.connect();
    return this.#openings.run(() => {
      this.#pool.options.connectionTimeoutMillis = this.#finder.patienceMs;
      return this.#pool.connect();
    });
  }
}

/** The server that a connection goes to. */
function serverOf(client: pg.PoolClient): DatabaseHost {
  return (client as pg.PoolClient & { readonly server: DatabaseHost }).server;
}
