import type { SqlStore } from './store.ts';

/** A server of a replicated database, as its primary sees it. */
export interface DatabaseServer {
  readonly name: string;
  readonly role: 'primary' | 'standby';
  /** How commits wait for it, in PostgreSQL's word; empty for the primary, `unknown` for who may not see it. */
  readonly sync: string;
  readonly state: string;
  /** Of a primary its own, of a standby that from which it follows; empty where the database does not say. */
  readonly address: string;
  readonly lagBytes: number;
  readonly lagMs: number;
}

interface StandbyRow {
  readonly name: string;
  readonly sync: string | null;
  readonly state: string | null;
  readonly address: string | null;
  readonly bytes: number;
  readonly ms: number;
}

/** What the primary knows of its standbys; a role without pg_monitor sees their names only. */
const STANDBYS = `select application_name as name, sync_state as sync, state, host(client_addr) as address,
    coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn), 0)::bigint as bytes,
    coalesce(extract(epoch from flush_lag) * 1000, 0)::bigint as ms
  from pg_stat_replication where application_name <> 'pg_basebackup' order by 1`;

/** How many standbys a commit waits for (PostgreSQL, synchronous_standby_names): a list without a number means its first one. */
const ASKED = `select case when trim(names) = '' then 0
    else coalesce(substring(lower(names) from '^\\s*(?:(?:first|any)\\s+)?(\\d+)\\s*\\(')::int, 1) end as asked
  from current_setting('synchronous_standby_names') as names`;

/** The server's identity, and how far its log of changes has come. */
const POSITION = `select system_identifier::text as "system", pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint as "walBytes"
  from pg_control_system()`;

/** The version of the server. */
export async function readVersion(store: SqlStore): Promise<string> {
  const [row] = await store.query<{ server_version: string }>('show server_version');
  return row!.server_version;
}

/** The primary first, then its standbys, from the primary's own view of replication. */
export async function readServers(store: SqlStore): Promise<DatabaseServer[]> {
  const rows = await store.query<StandbyRow>(STANDBYS);
  const [own] = await store.query<{ address: string | null }>('select host(inet_server_addr()) as "address"');
  const address = own?.address ?? '';
  const { host, port } = store.server;
  const name = host.startsWith('/') ? 'local' : `${host}:${port}`;
  return [
    { name, role: 'primary', sync: '', state: 'running', address, lagBytes: 0, lagMs: 0 },
    ...rows.map(standbyOf),
  ];
}

/** How many standbys have to confirm a commit before it is acknowledged; 0 where those that follow are mere copies. */
export async function readAskedStandbys(store: SqlStore): Promise<number> {
  const [row] = await store.query<{ asked: number }>(ASKED);
  return row!.asked;
}

function standbyOf({ name, sync, state, address, bytes, ms }: StandbyRow): DatabaseServer {
  const known = { sync: sync ?? 'unknown', state: state ?? 'unknown', address: address ?? '' };
  return { name, role: 'standby', ...known, lagBytes: bytes, lagMs: ms };
}

/** Which data directory a database is, and how far it has come. */
export interface DatabasePosition {
  /** PostgreSQL's own id of the data directory. */
  readonly system: string;
  /** How far its log of changes has come, bytes. */
  readonly walBytes: number;
}

/** The position of the primary at this moment. */
export async function readPosition(store: SqlStore): Promise<DatabasePosition> {
  // Leases wait for it when the database was out of reach.
  const [row] = await store.query<{ system: string; walBytes: string }>(POSITION, { urgent: true });
  return { system: row!.system, walBytes: Number(row!.walBytes) };
}

/** Whether the primary's log of changes reaches its archive. Times are epoch ms, 0 for never. */
export interface ArchiveState {
  /** When the newest segment was taken. */
  readonly takenAt: number;
  /** Since when none was taken that was offered; 0 while all are. */
  readonly failingSince: number;
}

/** The archiver's own account. It repeats what failed until that is taken, so the newer of both times tells how it is. */
const ARCHIVER = `select coalesce(extract(epoch from last_archived_time) * 1000, 0)::bigint as "takenAt",
    coalesce(extract(epoch from last_failed_time) * 1000, 0)::bigint as "failedAt"
  from pg_stat_archiver where current_setting('archive_mode') <> 'off'`;

/** How the archive of the primary is; undefined where there is none. */
export async function readArchiver(store: SqlStore): Promise<ArchiveState | undefined> {
  const [row] = await store.query<{ takenAt: string; failedAt: string }>(ARCHIVER);
  if (!row) return undefined;
  const [takenAt, failedAt] = [Number(row.takenAt), Number(row.failedAt)];
  return { takenAt, failingSince: failedAt > takenAt ? takenAt || failedAt : 0 };
}
