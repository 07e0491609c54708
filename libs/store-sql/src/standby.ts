import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { connectionOf, connectToPrimary, type DatabaseAddress, type DatabaseHost } from './primary.ts';

const CONNECT_TIMEOUT_MS = 2_000;
const QUERY_TIMEOUT_MS = 5_000;
/** How long a promotion may take, s. */
const PROMOTION_S = 60;

/** What a server of the database of one site is, whether a primary or a standby. */
export interface FoundServer {
  readonly server: DatabaseHost;
  /** It only follows another one. */
  readonly standby: boolean;
  /** A standby: it has a connection to what it follows. */
  readonly following: boolean;
  /** A standby: when what it has replayed last was committed, epoch ms; 0 when it is not known. */
  readonly replayedAt: number;
  /** Undefined where there is no such realm yet. */
  readonly realm: { readonly epoch: string; readonly closed: boolean } | undefined;
  /** The newest of the events that were asked for. */
  readonly event: { readonly action: string; readonly subject: string } | undefined;
}

const SERVER = `select pg_is_in_recovery() as "standby", exists (select 1 from pg_stat_wal_receiver where "status" = 'streaming') as "following",
  coalesce(extract(epoch from pg_last_xact_replay_timestamp()) * 1000, 0)::bigint as "replayedAt"`;
const REALM = 'select "epoch", "closed" from "realms" where "realm" = $1';
const EVENT = `select "action", "subject" from "audit" where "realm" = $1 and "action" = any($2) order by "seq" desc limit 1`;

/**
 * Looks at the servers of an address: at the primary where one says that it is, else at the first that answers. A primary that was
 * replaced may be among them: only what it says of itself counts.
 * @throws Error when none answers
 */
export async function findServer(
  address: DatabaseAddress,
  wanted: { readonly realm: string; readonly events: readonly string[] },
): Promise<FoundServer> {
  const servers = address.hosts ?? [address];
  const looked = await Promise.allSettled(servers.map((server) => lookAt({ ...address, hosts: [server] }, wanted)));
  const found = looked.filter((one) => one.status === 'fulfilled').map(({ value }) => value);
  const [first] = found;
  if (!first) throw (looked[0] as PromiseRejectedResult).reason;
  return found.find(({ standby }) => !standby) ?? first;
}

function lookAt(
  address: DatabaseAddress,
  { realm, events }: { readonly realm: string; readonly events: readonly string[] },
): Promise<FoundServer> {
  return onFirst(address, async (client, server) => {
    const { rows } = await client.query<{ standby: boolean; following: boolean; replayedAt: string }>(SERVER);
    const { standby, following, replayedAt } = rows[0]!;
    const realms = await client.query<{ epoch: string; closed: boolean }>(REALM, [realm]);
    const found = await client.query<{ action: string; subject: string }>(EVENT, [realm, events]);
    return { server, standby, following, replayedAt: Number(replayedAt), realm: realms.rows[0], event: found.rows[0] };
  });
}

/** Makes a standby a primary; when this returns it is one. @throws Error */
export async function promoteServer(address: DatabaseAddress): Promise<void> {
  await onFirst(
    address,
    async (client) => {
      const { rows } = await client.query<{ done: boolean }>(`select pg_promote(true, ${PROMOTION_S}) as "done"`);
      if (!rows[0]!.done) throw new Error(`the standby is not promoted after ${PROMOTION_S} s`);
    },
    (PROMOTION_S + 5) * 1_000,
  );
}

/** Transactions that were under way at a moment, but for our own. */
const UNDER_WAY = `select count(*)::int as "count" from pg_stat_activity where "datname" = current_database()
  and "pid" <> pg_backend_pid() and "backend_type" = 'client backend' and "xact_start" <= $1`;
const ENDED_WITHIN_MS = 30_000;
const LOOK_MS = 100;

/** Waits until every transaction that is under way on the primary has ended. @throws Error when some do not */
export async function untilOthersEnded(address: DatabaseAddress): Promise<void> {
  const client = await connectToPrimary(address, CONNECT_TIMEOUT_MS);
  try {
    const { rows } = await client.query<{ now: string }>('select clock_timestamp()::text as "now"');
    for (const deadline = performance.now() + ENDED_WITHIN_MS; ; await sleep(LOOK_MS)) {
      const under = await client.query<{ count: number }>(UNDER_WAY, [rows[0]!.now]);
      if (under.rows[0]!.count === 0) return;
      if (performance.now() > deadline) throw new Error('transactions that began before do not end');
    }
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function onFirst<T>(
  address: DatabaseAddress,
  work: (client: pg.Client, server: DatabaseHost) => Promise<T>,
  queryTimeoutMs: number = QUERY_TIMEOUT_MS,
): Promise<T> {
  let failure: unknown;
  for (const server of address.hosts ?? [address]) {
    const client = new pg.Client({
      ...connectionOf(address),
      ...{ host: server.host, port: server.port, application_name: 'sallyport-standby' },
      ...{ connectionTimeoutMillis: CONNECT_TIMEOUT_MS, query_timeout: queryTimeoutMs },
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
    } catch (error) {
      failure = error;
      await client.end().catch(() => undefined);
      continue;
    }
    try {
      return await work(client, server);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
  throw failure;
}
