import { AccessError, type RealmStore, StoreError } from '@sallyport/access';
import {
  type AnyRow,
  makeTables,
  shapeOf,
  TABLE_NAMES,
  type TableName,
  type Transaction,
  type Urgency,
} from '@sallyport/access/store';
import pg from 'pg';
import { COMMIT_UNCERTAIN, isDatabaseError, isOutage } from './outage.ts';
import { type DatabaseAddress, type DatabaseHost, gatherWrites, READ_ONLY } from './primary.ts';
import { PrimaryPool } from './primary-pool.ts';
import { untilOthersEnded } from './standby.ts';
import { type SqlShape, sqlShape } from './statements.ts';
import { type Query, SqlTable } from './table.ts';

const INT8 = 20;
const BYTEA = 17;
/** A statement that takes longer is given up and its connection dropped, ms. */
const QUERY_TIMEOUT_MS = 3_000;
/** A node that stops in the middle of a transaction must not hold its locks, ms. */
const IDLE_IN_TRANSACTION_MS = 2_000;
const LOCK_TIMEOUT_MS = 2_500;
const POOL_SIZE = 16;
/** Share of the connections that is kept for beats and revocations. */
const RESERVED = 1 / 4;
const RETRIES = 5;
/** Serialization failure and deadlock: nothing was done, the transaction may run again. */
const RETRYABLE = new Set(['40001', '40P01']);
/** The server goes down, starts, is a standby, or a lock was not to be had: nothing was done. */
const UNAVAILABLE = new Set(['57P01', '57P02', '57P03', '25P03', '53300', '55P03', READ_ONLY]);
const UNIQUE_VIOLATION = '23505';
/** Class of values that a column cannot hold: a NUL in a text, a number out of range. */
const DATA_EXCEPTION = '22';
/** One round trip begins the transaction, reads the clock, and which run of the server it is: each start has a time of its own. */
const BEGIN = `begin; select (extract(epoch from clock_timestamp()) * 1000)::bigint as "now",
  extract(epoch from pg_postmaster_start_time())::text as "serverRun"`;
/**
 * Commits what has only read, and proves at the same time that the server still is the primary: the message is a write
 * that waits for the standbys. A primary that was replaced without noticing serves stale reads for ever, but never this.
 */
const COMMIT_READ = "select pg_logical_emit_message(true, 'sallyport', ''); commit";

const NOT_CONFIRMED =
  'the database answers and does not confirm: does a standby follow it? (sallyport doctor --from security)';

const SHAPES = Object.fromEntries(TABLE_NAMES.map((name) => [name, sqlShape(name, shapeOf(name))])) as Record<
  TableName,
  SqlShape
>;

function typesOf(): pg.CustomTypesConfig {
  return {
    getTypeParser: ((oid: number, format: 'text' | 'binary') => {
      if (oid === INT8) return Number;
      const parse = pg.types.getTypeParser(oid, format) as (value: string) => unknown;
      return oid === BYTEA ? (value: string) => new Uint8Array(parse(value) as Buffer) : parse;
    }) as pg.CustomTypesConfig['getTypeParser'],
  };
}

/** How a store works with its database. */
export interface SqlStoreOptions {
  readonly poolSize?: number;
  /** True for a database with standbys: transactions that only read prove that they read from the primary. */
  readonly replicated?: boolean;
}

/** PostgreSQL behind the store port. One pool for all realms; close it last. */
export class SqlStore {
  readonly #address: DatabaseAddress;
  readonly #pool: PrimaryPool;
  readonly #replicated: boolean;
  readonly #statements = new Map<string, string>();
  /** How often the pool's connections led to another run of the server than before. */
  #newRuns = 0;
  #serverRun: string | undefined;

  constructor(address: DatabaseAddress, { poolSize = POOL_SIZE, replicated = false }: SqlStoreOptions = {}) {
    this.#address = address;
    this.#replicated = replicated;
    this.#pool = new PrimaryPool(address, {
      max: poolSize,
      reserved: Math.floor(poolSize * RESERVED),
      types: typesOf(),
      // What a transaction asks at once goes out at once: PostgreSQL answers in the order of the questions.
      pipeline: true,
      query_timeout: QUERY_TIMEOUT_MS,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
      lock_timeout: LOCK_TIMEOUT_MS,
      application_name: 'sallyport-security',
    });
  }

  /**
   * Opens all connections now, so that beats need none in the middle of a storm. Those that cannot be opened are, when they
   * are needed.
   */
  openAll(): Promise<void> {
    return this.#pool.openAll();
  }

  /** The store of one realm. Its transactions also throw BusyError, with nothing done. */
  in(realm: string): RealmStore {
    return { realm, transaction: (work, urgency) => this.#retrying(realm, work, urgency) };
  }

  /** The server that is asked now. */
  get server(): DatabaseHost {
    return this.#pool.server;
  }

  /** How many connections were ever made, and runs of the server seen: another number means that there is one which nobody has looked at. */
  get connections(): number {
    return this.#pool.made + this.#newRuns;
  }

  /** Resolves when every transaction that is under way now, of whomever, has ended. @throws Error when some do not within 30 s */
  othersEnded(): Promise<void> {
    return untilOthersEnded(this.#address);
  }

  /** Runs one statement of the operator's kind outside of any realm. @throws StoreError ERR_STORE_UNAVAILABLE */
  query<Row extends object>(text: string, urgency?: Urgency): Promise<Row[]> {
    return this.#pool.run(() => this.#query<Row>(text), urgency);
  }

  async #query<Row extends object>(text: string): Promise<Row[]> {
    const { client } = await this.#begin();
    try {
      const { rows } = await client.query<Row>(text);
      await client.query('commit');
      client.release();
      return rows;
    } catch (cause) {
      client.release(true);
      throw unavailable(cause);
    }
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }

  async #retrying<T>(
    realm: string,
    work: (transaction: Transaction) => Promise<T>,
    urgency: Urgency | undefined,
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#pool.run(() => this.#run(realm, work), urgency);
      } catch (error) {
        const again = RETRYABLE.has((error as { code?: string }).code ?? '') && attempt < RETRIES;
        if (!again) throw storeErrorOf(error);
      }
    }
  }

  async #run<T>(realm: string, work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const { client, now, serverRun } = await this.#begin();
    const begun = performance.now();
    const course: Course = { written: 0, failure: undefined, isOver: false };
    let broken: Error | undefined;
    const onError = (error: Error): void => {
      broken = error;
    };
    client.on('error', onError);
    try {
      const clock = (): number => now + Math.round(performance.now() - begun);
      const result = await worked(work(this.#transaction(client, realm, { clock, course, serverRun })), course);
      if (course.written > 0) await commit(client);
      else await endRead(client, this.#replicated);
      return result;
    } catch (error) {
      broken ??= await rollback(client, error);
      throw error;
    } finally {
      client.removeListener('error', onError);
      this.#pool.giveBack(client, broken);
    }
  }

  /** Begins, and gives the store's clock too. @throws StoreError ERR_STORE_UNAVAILABLE */
  async #begin(): Promise<Begun> {
    try {
      const { client, results } = await this.#pool.begin(BEGIN);
      const begun: Begun = { client, ...results[1]!.rows[0]! };
      this.#sawRun(begun.serverRun);
      return begun;
    } catch (cause) {
      throw unavailable(cause);
    }
  }

  /** Behind a pooler a connection may outlive its server: what is behind it then is a new one. */
  #sawRun(serverRun: string): void {
    if (this.#serverRun !== undefined && this.#serverRun !== serverRun) this.#newRuns += 1;
    this.#serverRun = serverRun;
  }

  #transaction(
    client: pg.PoolClient,
    realm: string,
    { clock, course, serverRun }: { clock: () => number; course: Course; serverRun: string },
  ): Transaction {
    const query: Query = async ({ text, values }) => {
      if (course.isOver) throw new StoreError('ERR_STORE_UNAVAILABLE', 'the transaction is over');
      const named = values.some(isLong) ? {} : { name: this.#nameOf(text) };
      gatherWrites(client);
      try {
        const { rows, rowCount } = await client.query<AnyRow>({ ...named, text, values: [...values] });
        if (!text.startsWith('select')) course.written += rowCount ?? 0;
        return { rows, count: rowCount ?? 0 };
      } catch (error) {
        // What was asked behind it only hears that the transaction has failed, and may be heard first.
        course.failure ??= failureOf(error);
        throw course.failure;
      }
    };
    const tables = makeTables((name) => new SqlTable({ shape: SHAPES[name], realm }, query));
    return { tables, now: clock, serverRun };
  }

  /** Named statements are planned once per connection. Their number is bounded by our own code. */
  #nameOf(text: string): string {
    const known = this.#statements.get(text) ?? `s${this.#statements.size}`;
    this.#statements.set(text, known);
    return known;
  }
}

/** A transaction as it begins. */
interface Begun {
  readonly client: pg.PoolClient;
  /** The server's clock, epoch ms. */
  readonly now: number;
  readonly serverRun: string;
}

/** How a transaction goes. */
interface Course {
  /** Rows that were changed. */
  written: number;
  /** Why the first statement failed that did: PostgreSQL does nothing more in this transaction. */
  failure: unknown;
  /** True once its work has ended: whoever still asks would ask in the transaction of somebody else. */
  isOver: boolean;
}

/** Waits for the work of a transaction. Work that passes over a statement that failed would commit nothing, and not hear of it. */
async function worked<T>(work: Promise<T>, course: Course): Promise<T> {
  try {
    const result = await work;
    if (course.failure !== undefined) throw course.failure;
    return result;
  } finally {
    course.isOver = true;
  }
}

function failureOf(error: unknown): unknown {
  if ((error as { code?: string }).code !== UNIQUE_VIOLATION) return error;
  return new StoreError('ERR_STORE_CONFLICT', 'the key is taken', { cause: error });
}

/** Values of a list over which a statement is planned each time: 32 HELLOs together ask the log about 96 subjects. */
const LONG_LIST = 100;

/**
 * A plan that was made once for lists of any length reads the whole table for a long one when the table was small at that
 * time: 100 ms instead of two for 500 ids among 10,000 rows.
 */
function isLong(value: unknown): boolean {
  return Array.isArray(value) && value.length > LONG_LIST;
}

/** Ends a transaction that changed nothing: whatever goes wrong, nothing was done. */
async function endRead(client: pg.PoolClient, replicated: boolean): Promise<void> {
  try {
    await confirm(client, replicated ? COMMIT_READ : 'commit');
  } catch (cause) {
    // What came before was answered: a primary that is silent now waits for those that follow it.
    if (replicated && /timeout/i.test((cause as Error).message))
      throw new StoreError('ERR_STORE_UNAVAILABLE', NOT_CONFIRMED, { cause });
    throw unavailable(cause);
  }
}

/** Commits; whatever goes wrong here leaves the outcome unknown. */
async function commit(client: pg.PoolClient): Promise<void> {
  try {
    await confirm(client, 'commit');
  } catch (cause) {
    if (RETRYABLE.has((cause as { code?: string }).code ?? '')) throw cause;
    throw new StoreError('ERR_STORE_UNKNOWN', 'the database did not confirm the commit', { cause });
  }
}

/** @throws Error also when the wait for a standby was cancelled: the server then answers with a mere notice. */
async function confirm(client: pg.PoolClient, statement: string): Promise<void> {
  let uncertain = false;
  const onNotice = (notice: { code?: string | undefined }): void => {
    if (notice.code === COMMIT_UNCERTAIN) uncertain = true;
  };
  client.on('notice', onNotice);
  try {
    await client.query(statement);
  } finally {
    client.removeListener('notice', onNotice);
  }
  if (uncertain)
    throw Object.assign(new Error('the commit was not confirmed by a standby'), { code: COMMIT_UNCERTAIN });
}

/** Undoes a transaction; gives the error when the connection must be dropped. */
async function rollback(client: pg.PoolClient, error: unknown): Promise<Error | undefined> {
  const usable = error instanceof AccessError || (error instanceof StoreError && error.code === 'ERR_STORE_CONFLICT');
  const code = (error as { code?: string }).code ?? '';
  const sqlstate = code.length === 5 && !UNAVAILABLE.has(code);
  if (isDatabaseError(error) && !usable && !sqlstate) return error as Error;
  const dropped = error instanceof StoreError && error.code !== 'ERR_STORE_CONFLICT';
  if (dropped) return error;
  try {
    await client.query('rollback');
    return undefined;
  } catch (cause) {
    return cause as Error;
  }
}

/** An error of a transaction as callers may take it: only what is an outage is called one. */
function storeErrorOf(error: unknown): unknown {
  if (error instanceof StoreError || !isDatabaseError(error)) return error;
  const sqlstate = error instanceof pg.DatabaseError ? (error.code ?? '') : '';
  if (sqlstate.startsWith(DATA_EXCEPTION))
    return new StoreError('ERR_STORE_INVALID', 'a value cannot be stored', { cause: error });
  return isOutage(error) ? unavailable(error) : error;
}

function unavailable(cause: unknown): StoreError {
  return new StoreError('ERR_STORE_UNAVAILABLE', 'the database does not answer', { cause });
}
