import type { DatabaseView } from '@sallyport/security-api';
import type { SqlStore } from '@sallyport/store-sql';

/** Asks the database about itself. */
export interface DatabaseProbe {
  /** How it is reached, in words. */
  readonly description: string;
  version(): Promise<string>;
  /** The primary first, then its standbys, from the primary's own view of replication. */
  servers(): Promise<DatabaseView[]>;
}

interface StandbyRow {
  readonly name: string;
  readonly sync: string | null;
  readonly state: string | null;
  readonly bytes: number;
  readonly ms: number;
}

/** What the primary knows of its standbys; a role without pg_monitor sees their names only. */
const STANDBYS = `select application_name as name, sync_state as sync, state,
    coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn), 0)::bigint as bytes,
    coalesce(extract(epoch from flush_lag) * 1000, 0)::bigint as ms
  from pg_stat_replication where application_name <> 'pg_basebackup' order by 1`;

/** The probe of a PostgreSQL. */
export function probeOf(store: SqlStore, description: string): DatabaseProbe {
  return {
    description,
    async version() {
      const [row] = await store.query<{ server_version: string }>('show server_version');
      return row!.server_version;
    },
    async servers() {
      const rows = await store.query<StandbyRow>(STANDBYS);
      const { host, port } = store.server;
      const name = host.startsWith('/') ? 'local' : `${host}:${port}`;
      return [{ name, role: 'primary', sync: '', state: 'running', lagBytes: 0, lagMs: 0 }, ...rows.map(standbyView)];
    },
  };
}

function standbyView({ name, sync, state, bytes, ms }: StandbyRow): DatabaseView {
  return { name, role: 'standby', sync: sync ?? 'unknown', state: state ?? 'unknown', lagBytes: bytes, lagMs: ms };
}
