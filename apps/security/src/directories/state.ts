import type { AccountConflict, DirectoryRow } from '@sallyport/access';
import type { SyncCursor } from '@sallyport/directory';
import type { SyncProgress, SyncQuestion, SyncReport } from '@sallyport/security-api';

/** What a directory's row remembers between syncs. */
export interface DirectoryState {
  readonly cursor?: SyncCursor;
  readonly report?: SyncReport;
  readonly progress?: SyncProgress | null;
  readonly question?: SyncQuestion | null;
  readonly conflicts?: readonly AccountConflict[];
  /** Why it does not work, and since when; null when it does. */
  readonly trouble?: string | null;
  readonly troubleSince?: number | null;
  /** When the last attempt ended, by the store's clock. */
  readonly endedAt?: number;
  /** Endpoints of an OpenID provider as it published them last, for the site map. */
  readonly provider?: { readonly authorizationEndpoint: string };
}

/** The state of a directory. */
export function stateOf({ state }: DirectoryRow): DirectoryState {
  return state as DirectoryState;
}

/** Conflicts that are kept; more than these are the same story. */
export const MAX_CONFLICTS = 100;
