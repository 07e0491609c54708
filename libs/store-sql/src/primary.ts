import type { Writable } from 'node:stream';
import pg from 'pg';

/** One server of a replicated database. */
export interface DatabaseHost {
  /** Host name, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
}

/** Where the database is. `password` never reaches a log: errors of `pg` do not hold it. */
export interface DatabaseAddress extends DatabaseHost {
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** TLS for a database on another host: PEM of its CA. */
  readonly ca?: string;
  /** All servers of a replicated database; the primary among them is found by asking. `host` and `port` do not count then. */
  readonly hosts?: readonly DatabaseHost[];
}

/** The SQLSTATE that a standby answers writes with. */
export const READ_ONLY = '25006';

/** How long one server may take to take a connection, ms: one of several must not keep us from the others. */
const ONE_OF_SEVERAL_MS = 1_000;
const THE_ONLY_ONE_MS = 4_000;

/**
 * Remembers which of several servers was the primary when last asked, and how patiently to ask. When none of them has
 * taken a connection in time, it may be this machine that is slow: each then gets more time, until one is quick again.
 */
export class PrimaryFinder {
  readonly #hosts: readonly DatabaseHost[];
  #index = 0;
  #silent = 0;

  constructor(address: DatabaseAddress) {
    this.#hosts = address.hosts?.length ? address.hosts : [{ host: address.host, port: address.port }];
  }

  get current(): DatabaseHost {
    return this.#hosts[this.#index]!;
  }

  get count(): number {
    return this.#hosts.length;
  }

  /** How long a server may take to take a connection now, ms. */
  get patienceMs(): number {
    if (this.count === 1) return THE_ONLY_ONE_MS;
    const rounds = Math.floor(this.#silent / this.count);
    return Math.min(ONE_OF_SEVERAL_MS * 2 ** rounds, THE_ONLY_ONE_MS);
  }

  /** A server took a connection, as the primary or not. One that needed long for it says that the next will, too. */
  answered(tookMs: number): void {
    if (tookMs < ONE_OF_SEVERAL_MS / 2) this.#silent = 0;
  }

  /** A server did not answer, or is a standby: the next one is asked from now on. */
  failed(host: DatabaseHost): void {
    if (host === this.current) this.#index = (this.#index + 1) % this.#hosts.length;
  }

  /** A server took no connection in time. Connections that were tried together count once. */
  silent(host: DatabaseHost): void {
    if (host === this.current) this.#silent += 1;
    this.failed(host);
  }
}

/** What goes to the server in one turn goes in one write. */
export function gatherWrites(client: pg.PoolClient): void {
  const { stream } = (client as pg.PoolClient & { readonly connection: { readonly stream: Writable } }).connection;
  stream.cork();
  process.nextTick(() => stream.uncork());
}

type ConnectCallback = (error: Error | undefined, client?: unknown) => void;

/**
 * Connections to whatever server is the primary now. A standby tells so in the parameter status `in_hot_standby`
 * (PostgreSQL 14 and later) before the first query, and is refused.
 */
export function clientOfPrimary(finder: PrimaryFinder): typeof pg.Client {
  return class extends pg.Client {
    readonly server: DatabaseHost;
    readonly #patienceMs: number;
    #standby = false;

    constructor(config: pg.ClientConfig) {
      const server = finder.current;
      // The pool hides the password from enumeration, a spread would lose it.
      super({ ...config, password: config.password, host: server.host, port: server.port });
      this.server = server;
      this.#patienceMs = config.connectionTimeoutMillis ?? Number.POSITIVE_INFINITY;
      const { connection } = this as this & { readonly connection: NodeJS.EventEmitter };
      connection.on('parameterStatus', ({ parameterName, parameterValue }) => {
        if (parameterName === 'in_hot_standby') this.#standby = parameterValue === 'on';
      });
      this.on('error', () => finder.failed(server));
    }

    /** With a callback as the pool calls it, or with a promise; `never` fits both of the driver's signatures. */
    override connect(callback?: unknown): never {
      const connected = this.#connect();
      if (callback === undefined) return connected as never;
      const done = callback as ConnectCallback;
      connected.then(
        () => done(undefined, this),
        (error) => done(error),
      );
      return undefined as never;
    }

    async #connect(): Promise<unknown> {
      const begun = performance.now();
      try {
        await super.connect();
        finder.answered(performance.now() - begun);
        if (this.#standby) throw Object.assign(new Error('this server is a standby'), { code: READ_ONLY });
        return this;
      } catch (error) {
        if (performance.now() - begun < this.#patienceMs) finder.failed(this.server);
        else finder.silent(this.server);
        void this.end().catch(() => undefined);
        throw error;
      }
    }
  } as typeof pg.Client;
}

/** How `pg` is to reach an address, except for the host. */
export function connectionOf(address: DatabaseAddress): pg.ClientConfig {
  const { ca, user, password, database, host, port } = address;
  return {
    user,
    password,
    database,
    host,
    port,
    ...(ca === undefined ? {} : { ssl: { ca, rejectUnauthorized: true } }),
  };
}

/** A single connection to the primary, which is looked for until `maxMs` have passed. For work outside of the pool. */
export async function connectToPrimary(address: DatabaseAddress, maxMs: number): Promise<pg.Client> {
  const finder = new PrimaryFinder(address);
  const Client = clientOfPrimary(finder);
  const deadline = performance.now() + maxMs;
  for (;;) {
    const client = new Client({ ...connectionOf(address), connectionTimeoutMillis: finder.patienceMs });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
