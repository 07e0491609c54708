/** What a repository holds of our database. */
export interface ArchiveContents {
  /** Base backups, oldest first. */
  readonly backups: readonly BaseBackup[];
  /** Name of the newest WAL segment of the present timelines; undefined for none. */
  readonly newestWal: string | undefined;
  /** pgBackRest's own words when not all is well. */
  readonly complaint: string | undefined;
}

/** A base backup: any time after its end can be restored from it and the WAL that follows. */
export interface BaseBackup {
  readonly label: string;
  readonly type: string;
  /** Epoch ms. */
  readonly startedAt: number;
  readonly endedAt: number;
  /** Bytes that it takes in the repository. */
  readonly bytes: number;
  /** Pages of the database had wrong checksums when it was made. */
  readonly damaged: boolean;
}

interface Listed {
  readonly archive: readonly { readonly max: string | null }[];
  readonly backup: readonly {
    readonly label: string;
    readonly type: string;
    readonly error?: boolean | null;
    readonly timestamp: { readonly start: number; readonly stop: number };
    readonly info: { readonly repository: { readonly delta: number } };
  }[];
  readonly status: { readonly code: number; readonly message: string };
  readonly repo?: readonly { readonly status: { readonly message: string } }[];
}

/** Reads what `pgbackrest info --output=json` printed about one stanza. @throws SyntaxError */
export function parseArchiveContents(json: string): ArchiveContents {
  const [listed] = JSON.parse(json) as readonly Listed[];
  if (!listed) return { backups: [], newestWal: undefined, complaint: 'the repository is empty' };
  const wal = listed.archive.map(({ max }) => max).filter((max) => max !== null);
  const { status, repo = [] } = listed;
  const complaints = [status.message, ...repo.map((one) => one.status.message)].join('\n');
  return {
    backups: listed.backup.map(({ label, type, error, timestamp, info }) => ({
      label,
      type,
      startedAt: timestamp.start * 1_000,
      endedAt: timestamp.stop * 1_000,
      bytes: info.repository.delta,
      damaged: error === true,
    })),
    newestWal: wal.at(-1),
    complaint: status.code === 0 ? undefined : complaints,
  };
}
