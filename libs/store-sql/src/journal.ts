import {
  claimedByOther,
  epochsWithGaps,
  type Journal,
  type JournalEntry,
  JournalError,
  journalDamaged,
  journalDiffers,
} from '@sallyport/access';
import pg from 'pg';
import type { DatabaseAddress } from './primary.ts';
import { PrimaryPool } from './primary-pool.ts';

const QUERY_TIMEOUT_MS = 3_000;
/** Nodes append and look at the claim; both are rare. */
const POOL_SIZE = 4;
/** Entries that are written by one statement when all are written again. */
const AT_ONCE = 1_000;
const INT8 = 20;

/** One row for each claim and each entry; the highest number of a realm's claims is the one that counts. */
const SCHEMA = `
  create table if not exists "journal_identities" ("realm" text primary key, "id" text not null);
  create table if not exists "journal_claims" (
    "realm" text not null, "number" bigint not null, "epoch" text not null, primary key ("realm", "number"));
  create table if not exists "journal_entries" (
    "realm" text not null, "epoch" text not null, "index" bigint not null, "hash" text not null, "request_id" text not null,
    "kind" text not null, "subject" text not null, "reason" text not null, "actor" text not null, "at" bigint not null,
    "number" bigserial, primary key ("realm", "epoch", "index"))`;
/** Made once, so that whoever reaches these tables reads the same one. */
const MAKE_IDENTITY = `insert into "journal_identities" ("realm", "id") values ($1, gen_random_uuid()::text)
  on conflict do nothing`;
const IDENTITY = 'select "id" from "journal_identities" where "realm" = $1';
const HOLDS = 'select 1 from "journal_entries" where "realm" = $1 and "epoch" = $2 and "index" = $3';
const LAST_ENTRY = `select "index", "hash" from "journal_entries" where "realm" = $1 and "epoch" = $2
  order by "index" desc limit 1`;
/** Of these entries, those that the journal holds as others. */
const OTHERS = `select 1 from json_to_recordset($2) as e("epoch" text, "index" bigint, "hash" text)
  join "journal_entries" j on j."realm" = $1 and j."epoch" = e."epoch" and j."index" = e."index"
  where j."hash" <> e."hash" limit 1`;
const LAST_CLAIM = 'select "number", "epoch" from "journal_claims" where "realm" = $1 order by "number" desc limit 1';
/** Appends hold each other's claims, not each other; a claim waits for appends under way and they for it. */
const SHARED = 'select pg_advisory_xact_lock_shared(hashtextextended($1, 7))';
const EXCLUSIVE = 'select pg_advisory_xact_lock(hashtextextended($1, 7))';
const APPEND = `insert into "journal_entries"
    ("realm", "epoch", "index", "hash", "request_id", "kind", "subject", "reason", "actor", "at")
  select $1, e."epoch", e."index", e."hash", e."requestId", e."kind", e."subject", e."reason", e."actor", e."at"
  from json_to_recordset($2) as e("epoch" text, "index" bigint, "hash" text, "requestId" text, "kind" text,
    "subject" text, "reason" text, "actor" text, "at" bigint)
  order by e."index" on conflict do nothing`;
const READ = `select "epoch", "index", "hash", "request_id" as "requestId", "kind", "subject", "reason", "actor", "at"
  from "journal_entries" where "realm" = $1 order by "number"`;

/** A journal in a PostgreSQL, which is to be another server than the realm's. Makes its tables when they are missing. */
export async function openSqlJournal(address: DatabaseAddress, realm: string): Promise<Journal> {
  const types = { getTypeParser: typeParser } as pg.CustomTypesConfig;
  const pool = new PrimaryPool(address, {
    max: POOL_SIZE,
    types,
    query_timeout: QUERY_TIMEOUT_MS,
    application_name: 'sallyport-journal',
  });
  const within = <T>(lock: string, work: (client: pg.PoolClient) => Promise<T>): Promise<T> =>
    transaction(pool, async (client) => {
      await client.query(lock, [`sallyport ${realm}`]);
      return work(client);
    });
  const holds = async (client: pg.PoolClient, epoch: string, index: number): Promise<boolean> =>
    index === 0 || (await client.query(HOLDS, [realm, epoch, index])).rows.length > 0;
  const asOwner = <T>(epoch: string, work: (client: pg.PoolClient) => Promise<T>): Promise<T> =>
    within(SHARED, async (client) => {
      if ((await lastClaim(client, realm))?.epoch !== epoch) throw claimedByOther();
      return work(client);
    });
  const identity = await transaction(pool, (client) => makeTables(client, realm));
  return {
    identity: `${identity} in PostgreSQL`,
    description: `in PostgreSQL at ${(address.hosts ?? [address]).map(({ host, port }) => `${host}:${port}`).join(', ')}`,
    claimed: () => within(SHARED, async (client) => (await lastClaim(client, realm))?.epoch),
    claim: (from, epoch) =>
      within(EXCLUSIVE, async (client) => {
        const last = await lastClaim(client, realm);
        if (last?.epoch !== from) return false;
        const values = [realm, (last?.number ?? 0) + 1, epoch];
        await client.query('insert into "journal_claims" ("realm", "number", "epoch") values ($1, $2, $3)', values);
        return true;
      }),
    append: (epoch, entries) =>
      asOwner(epoch, async (client) => {
        const [first] = entries;
        if (first && !(await holds(client, epoch, first.index - 1))) throw journalDamaged();
        await write(client, realm, entries);
      }),
    mend: (epoch, entries) =>
      asOwner(epoch, async (client) => {
        for (let from = 0; from < entries.length; from += AT_ONCE)
          await write(client, realm, entries.slice(from, from + AT_ONCE));
      }),
    holds: (epoch, index) => within(SHARED, (client) => holds(client, epoch, index)),
    last: (epoch) =>
      within(SHARED, async (client) => (await client.query<JournalEntry>(LAST_ENTRY, [realm, epoch])).rows[0]),
    read: () =>
      within(SHARED, async (client) => {
        const claims = 'select "epoch" from "journal_claims" where "realm" = $1 order by "number"';
        const epochs = (await client.query<{ epoch: string }>(claims, [realm])).rows.map(({ epoch }) => epoch);
        const { rows } = await client.query<JournalEntry>(READ, [realm]);
        return { epochs, entries: rows, damaged: epochsWithGaps(rows) };
      }),
    close: () => pool.close(),
  };
}

/** Makes the tables when they are missing; gives what they are known by. */
async function makeTables(client: pg.PoolClient, realm: string): Promise<string> {
  // Nodes that start together do not make the tables at the same time.
  await client.query(EXCLUSIVE, ['sallyport']);
  await client.query(SCHEMA);
  await client.query(MAKE_IDENTITY, [realm]);
  return (await client.query<{ id: string }>(IDENTITY, [realm])).rows[0]!.id;
}

/** Writes entries that are not there yet. @throws JournalError for one that stands there as another one */
async function write(client: pg.PoolClient, realm: string, entries: readonly JournalEntry[]): Promise<void> {
  const values = [realm, JSON.stringify(entries)];
  await client.query(APPEND, values);
  if ((await client.query(OTHERS, values)).rows.length > 0) throw journalDiffers();
}

function typeParser(oid: number, format: 'text' | 'binary'): unknown {
  return oid === INT8 ? Number : pg.types.getTypeParser(oid, format as 'text');
}

async function lastClaim(client: pg.PoolClient, realm: string): Promise<{ number: number; epoch: string } | undefined> {
  return (await client.query<{ number: number; epoch: string }>(LAST_CLAIM, [realm])).rows[0];
}

/** What was committed without a standby's word, or without ours, counts as not done: the same again changes nothing. */
async function transaction<T>(pool: PrimaryPool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  try {
    return await pool.run(async () => {
      const { client } = await pool.begin('begin');
      return onConnection(pool, client, work);
    });
  } catch (cause) {
    if (cause instanceof JournalError) throw cause;
    throw new JournalError('ERR_JOURNAL_UNAVAILABLE', 'the database of the journal does not answer', { cause });
  }
}

async function onConnection<T>(
  pool: PrimaryPool,
  client: pg.PoolClient,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  try {
    const result = await work(client);
    await client.query('commit');
    pool.giveBack(client);
    return result;
  } catch (error) {
    if (error instanceof JournalError) client.release(true);
    else pool.giveBack(client, error as Error);
    throw error;
  }
}
