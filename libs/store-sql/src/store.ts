import {
  AccessError,
  type RealmStore,
  StoreError,
  TABLE_NAMES,
  TABLES,
  type TableShape,
  type Tables,
  type Transaction,
} from '@sallyport/access';
import pg from 'pg';
import { type AnyRow, type Query, sqlTable } from './table.ts';

/** Where the database is. `password` never reaches a log: errors of `pg` do not hold it. */
export interface DatabaseAddress {
  /** Host name, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** TLS for a database on another host: PEM of its CA. */
  readonly ca?: string;
}

const INT8 = 20;
const BYTEA = 17;
/** A statement that takes longer is given up and its connection dropped, ms. */
const QUERY_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 2_000;
const POOL_SIZE = 16;
const RETRIES = 5;
/** Serialization failure and deadlock: nothing was done, the transaction may run again. */
const RETRYABLE = new Set(['40001', '40P01']);
/** SQLSTATE of a commit whose wait for a standby was cancelled: it stands here, but perhaps nowhere else. */
const COMMIT_UNCERTAIN = '01000';

function typesOf(): pg.CustomTypesConfig {
  return {
    getTypeParser: ((oid: number, format: 'text' | 'binary') => {
      if (oid === INT8) return Number;
      const parse = pg.types.getTypeParser(oid, format) as (value: string) => unknown;
      return oid === BYTEA ? (value: string) => new Uint8Array(parse(value) as Buffer) : parse;
    }) as pg.CustomTypesConfig['getTypeParser'],
  };
}

/** PostgreSQL behind the store port. One pool for all realms; close it last. */
export class SqlStore {
  readonly #pool: pg.Pool;
  readonly #statements = new Map<string, string>();

  constructor(address: DatabaseAddress, poolSize: number = POOL_SIZE) {
    const { ca, ...connection } = address;
    this.#pool = new pg.Pool({
      ...connection,
      ...(ca === undefined ? {} : { ssl: { ca, rejectUnauthorized: true } }),
      max: poolSize,
      types: typesOf(),
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
      application_name: 'sallyport-security',
    });
    // An idle connection that breaks is replaced at the next use; without a listener it would end the process.
    this.#pool.on('error', () => undefined);
    this.#pool.on('connect', (client) => void client.on('error', () => undefined));
  }

  /** The store of one realm. */
  in(realm: string): RealmStore {
    return { realm, transaction: (work) => this.#retrying(realm, work) };
  }

  /** Version of the server. @throws StoreError ERR_STORE_UNAVAILABLE */
  async serverVersion(): Promise<string> {
    try {
      const { rows } = await this.#pool.query<{ server_version: string }>('show server_version');
      return rows[0]!.server_version;
    } catch (cause) {
      throw unavailable(cause);
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #retrying<T>(realm: string, work: (transaction: Transaction) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#run(realm, work);
      } catch (error) {
        const again = RETRYABLE.has((error as { code?: string }).code ?? '') && attempt < RETRIES;
        if (!again) throw error instanceof StoreError || !isDatabaseError(error) ? error : unavailable(error);
      }
    }
  }

  async #run<T>(realm: string, work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const client = await this.#begin();
    let broken: Error | undefined;
    const onError = (error: Error): void => {
      broken = error;
    };
    client.on('error', onError);
    try {
      const result = await work(this.#transaction(client, realm));
      await commit(client);
      return result;
    } catch (error) {
      broken ??= await rollback(client, error);
      throw error;
    } finally {
      client.removeListener('error', onError);
      client.release(broken ?? false);
    }
  }

  /** Begins on a connection that lives: one that died in the pool shows only now, and nothing was done on it. */
  async #begin(): Promise<pg.PoolClient> {
    for (let left = this.#pool.options.max ?? POOL_SIZE; ; left--) {
      const client = await this.#pool.connect().catch((cause: unknown) => {
        throw unavailable(cause);
      });
      try {
        await client.query('begin');
        return client;
      } catch (cause) {
        client.release(true);
        if (left === 0) throw unavailable(cause);
      }
    }
  }

  #transaction(client: pg.PoolClient, realm: string): Transaction {
    const query: Query = async (text, values) => {
      const { rows, rowCount } = await client.query<AnyRow>({ name: this.#nameOf(text), text, values: [...values] });
      return { rows, count: rowCount ?? 0 };
    };
    const tables = Object.fromEntries(
      TABLE_NAMES.map((name) => [name, sqlTable(name, TABLES[name] as unknown as TableShape<AnyRow>, realm, query)]),
    );
    const now = async (): Promise<number> => {
      const { rows } = await query('select (extract(epoch from clock_timestamp()) * 1000)::bigint as "now"', []);
      return rows[0]!['now'] as number;
    };
    return { tables: tables as unknown as Tables, now };
  }

  /** Named statements are planned once per connection. Their number is bounded by our own code. */
  #nameOf(text: string): string {
    const known = this.#statements.get(text) ?? `s${this.#statements.size}`;
    this.#statements.set(text, known);
    return known;
  }
}

/** Commits; whatever goes wrong here leaves the outcome unknown. */
async function commit(client: pg.PoolClient): Promise<void> {
  let uncertain = false;
  const onNotice = (notice: { code?: string | undefined }): void => {
    if (notice.code === COMMIT_UNCERTAIN) uncertain = true;
  };
  client.on('notice', onNotice);
  try {
    await client.query('commit');
  } catch (cause) {
    if (RETRYABLE.has((cause as { code?: string }).code ?? '')) throw cause;
    throw new StoreError('ERR_STORE_UNKNOWN', 'the database did not confirm the commit', { cause });
  } finally {
    client.removeListener('notice', onNotice);
  }
  if (uncertain) throw new StoreError('ERR_STORE_UNKNOWN', 'the commit was not confirmed by a standby');
}

/** Undoes a transaction; gives the error when the connection must be dropped. */
async function rollback(client: pg.PoolClient, error: unknown): Promise<Error | undefined> {
  const usable = error instanceof AccessError || (error instanceof StoreError && error.code === 'ERR_STORE_CONFLICT');
  const sqlstate = (error as { code?: string }).code?.length === 5;
  if (isDatabaseError(error) && !usable && !sqlstate) return error as Error;
  if (error instanceof StoreError && error.code === 'ERR_STORE_UNKNOWN') return error;
  try {
    await client.query('rollback');
    return undefined;
  } catch (cause) {
    return cause as Error;
  }
}

/** Errors of the driver or the connection, in contrast to those that the work itself throws. */
function isDatabaseError(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return true;
  const { code, message } = error as { code?: string; message?: string };
  const network = ['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH'].includes(code ?? '');
  return (
    network ||
    /timeout|Connection terminated|Client has encountered a connection error|not queryable/i.test(message ?? '')
  );
}

function unavailable(cause: unknown): StoreError {
  return new StoreError('ERR_STORE_UNAVAILABLE', 'the database does not answer', { cause });
}
