import { AccessError, StoreError } from '@sallyport/access';
import { PG_MIGRATE_LOCK_ID } from 'node-pg-migrate';
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { connectToPrimary, type DatabaseAddress } from './primary.ts';
import { quoteName, realmTables, type TableOfRealm } from './realm-tables.ts';

/** A database that fails over is waited for, ms. */
const CONNECT_WITHIN_MS = 20_000;
/** A snapshot that is open keeps what is deleted meanwhile: it ends after this time, ms. */
const LONGEST_MS = 30 * 60_000;
/** How long nothing may come of a table, ms. */
const STALLED_MS = 120_000;
/** No limit of the server's settings ends a snapshot; locks of whoever changes tables are waited for. */
const SESSION = `set statement_timeout = 0; set idle_in_transaction_session_timeout = 0; set lock_timeout = '20s';
  set bytea_output = 'hex'`;
const BEGIN = 'begin isolation level repeatable read, read only';
/** A write that waits for the standbys: a primary that was replaced without noticing cannot do it. */
const PROOF = "select pg_logical_emit_message(true, 'sallyport', '')";
/** SQLSTATE of the notice that the wait for a standby was cancelled. */
const UNCERTAIN = '01000';

/** Where a realm is in its life, as its snapshot shows it. */
export interface SnapshotHeads {
  readonly epoch: string;
  /** Head of the revocation log: index, and hash of the entry there (empty for an empty log). */
  readonly log: { readonly head: number; readonly hash: string };
  /** Newest event of the audit log: number and hash (hex). */
  readonly audit: { readonly seq: number; readonly hash: string };
}

/** One table of a snapshot. */
export interface SnapshotPart extends TableOfRealm {
  /** Its rows of the realm, as the text of COPY. To be read to its end before the next part. */
  rows(): AsyncIterable<Uint8Array>;
}

/** A realm at one moment. */
export interface RealmSnapshot extends SnapshotHeads {
  /** When it was taken, by the clock of the database, epoch ms. */
  readonly takenAt: number;
  /** The newest migration of the schema. */
  readonly migration: string;
  readonly parts: readonly SnapshotPart[];
}

/**
 * Reads a realm as it is at one moment, in a transaction that only reads, on a connection of its own: who logs in meanwhile
 * waits for nothing of it. Migrations wait for its end, and it does not begin while one runs. It is taken from the primary, which
 * proves at the end that it still is the primary where `replicated` is said: a standby cannot prove whom it follows, and a
 * query that long is cancelled there, or holds up what it replays.
 * @throws StoreError ERR_STORE_UNAVAILABLE: nothing of what `work` saw counts
 */
export async function readSnapshot<Result>(
  address: DatabaseAddress,
  { realm, replicated }: { readonly realm: string; readonly replicated: boolean },
  work: (snapshot: RealmSnapshot) => Promise<Result>,
): Promise<Result> {
  const client = await connectToPrimary(address, CONNECT_WITHIN_MS).catch(unavailable);
  const limit = setTimeout(() => cut(client), LONGEST_MS);
  try {
    await client.query(SESSION).catch(unavailable);
    await holdMigrations(client);
    const snapshot = await openSnapshot(client, realm);
    const result = await work(snapshot);
    await client.query('commit').catch(unavailable);
    if (replicated) await prove(client);
    return result;
  } finally {
    clearTimeout(limit);
    cut(client);
  }
}

/** Migrations lock tables as a whole: while they waited for a snapshot, every login would wait behind them. */
async function holdMigrations(client: pg.Client): Promise<void> {
  await client.query(`select pg_advisory_lock_shared(${PG_MIGRATE_LOCK_ID})`).catch((cause: unknown) => {
    throw new StoreError('ERR_STORE_UNAVAILABLE', 'the schema is being migrated', { cause });
  });
}

interface HeadsRow {
  readonly taken_at: string;
  readonly migration: string;
  readonly epoch: string;
  readonly head: string;
  readonly head_hash: string;
  readonly seq: string;
  readonly hash: string;
}

const HEADS = `select (extract(epoch from clock_timestamp()) * 1000)::bigint as "taken_at",
    (select max("name") from "schema_migrations") as "migration",
    r."epoch", r."head", r."head_hash", coalesce(a."seq", 0) as "seq", coalesce(encode(a."hash", 'hex'), '') as "hash"
  from "realms" r left join "audit_heads" a on a."realm" = r."realm" and a."id" = 'head' where r."realm" = $1`;

async function openSnapshot(client: pg.Client, realm: string): Promise<RealmSnapshot> {
  await client.query(BEGIN).catch(unavailable);
  const { rows } = await client.query<HeadsRow>(HEADS, [realm]).catch(unavailable);
  const [row] = rows;
  if (!row) throw new AccessError('ERR_ACCESS_NOT_FOUND', `the database has no realm ${JSON.stringify(realm)}`);
  const tables = await realmTables(client).catch(unavailable);
  return {
    takenAt: Number(row.taken_at),
    migration: row.migration,
    epoch: row.epoch,
    log: { head: Number(row.head), hash: row.head_hash },
    audit: { seq: Number(row.seq), hash: row.hash },
    parts: tables.map((table) => ({ ...table, rows: () => readRows(client, realm, table) })),
  };
}

async function* readRows(client: pg.Client, realm: string, { name, columns }: TableOfRealm): AsyncIterable<Uint8Array> {
  const list = columns.map(quoteName).join(', ');
  const where = `where "realm" = ${client.escapeLiteral(realm)}`;
  const stream = client.query(copyTo(`copy (select ${list} from ${quoteName(name)} ${where}) to stdout`));
  const stalled = setTimeout(() => cut(client), STALLED_MS);
  try {
    for await (const bytes of stream as AsyncIterable<Uint8Array>) {
      stalled.refresh();
      yield bytes;
      stalled.refresh();
    }
  } catch (cause) {
    throw unavailable(cause);
  } finally {
    clearTimeout(stalled);
  }
}

async function prove(client: pg.Client): Promise<void> {
  let uncertain = false;
  client.on('notice', ({ code }) => {
    uncertain ||= code === UNCERTAIN;
  });
  await client.query(PROOF).catch(unavailable);
  if (uncertain) unavailable(new Error('no standby confirmed that this server is the primary'));
}

function unavailable(cause: unknown): never {
  throw new StoreError('ERR_STORE_UNAVAILABLE', 'the database does not answer', { cause });
}

/** Ends a connection whatever it does: one that is in the middle of a table does not take leave. */
function cut(client: pg.Client): void {
  const { connection } = client as pg.Client & { readonly connection: { readonly stream: { destroy(): void } } };
  connection.stream.destroy();
}
