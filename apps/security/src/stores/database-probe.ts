import type { DatabaseView } from '@sallyport/security-api';
import {
  type ArchiveState,
  readArchiver,
  readAskedStandbys,
  readServers,
  readVersion,
  type SqlStore,
} from '@sallyport/store-sql';

/** Asks the database about itself. */
export interface DatabaseProbe {
  /** How it is reached, in words. */
  readonly description: string;
  /** True for a database of its own, perhaps with standbys. */
  readonly external: boolean;
  version(): Promise<string>;
  /** The primary first, then its standbys, from the primary's own view of replication. */
  servers(): Promise<DatabaseView[]>;
  /** How many standbys have to confirm a commit. */
  askedStandbys(): Promise<number>;
  /** How the archive of its log is; undefined where there is none. */
  archive(): Promise<ArchiveState | undefined>;
}

/** The probe of a PostgreSQL. */
export function probeOf(
  store: SqlStore,
  { description, external }: Pick<DatabaseProbe, 'description' | 'external'>,
): DatabaseProbe {
  return {
    description,
    external,
    version: () => readVersion(store),
    servers: () => readServers(store),
    askedStandbys: () => readAskedStandbys(store),
    archive: () => readArchiver(store),
  };
}
