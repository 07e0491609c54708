import type { SyncProgress, SyncQuestion, SyncReport } from '@sallyport/security-api';
import type { AccessContext } from '../realm/context.ts';
import { bumpMapVersion } from '../realm/realm.ts';
import type { Json } from '../store/shape.ts';
import type { Transaction } from '../store/store.ts';
import { readDirectory } from './directories.ts';
import type { DirectoryRow } from './rows.ts';

/** Where the next incremental sync begins: only at the same server, whose numbers or clock it is made of. */
export interface SyncCursor {
  readonly server: string;
  readonly changed: string;
  /** When everything was read last, epoch ms. */
  readonly fullAt: number;
}

/** An account that could not become a user, and why. */
export interface AccountConflict {
  readonly subject: string;
  readonly login: string;
  readonly why: string;
}

/** Logout tokens that were used, each with its time and the log entry it led to. */
export type UsedLogouts = readonly (readonly [id: string, at: number, index: number])[];

/** What a directory's row remembers between syncs, and of its provider. */
export interface DirectoryState {
  readonly cursor?: SyncCursor;
  readonly report?: SyncReport;
  readonly progress?: SyncProgress | null;
  readonly question?: SyncQuestion | null;
  /** At most `MAX_CONFLICTS`. */
  readonly conflicts?: readonly AccountConflict[];
  /** Why it does not work, and since when; null when it does. */
  readonly trouble?: string | null;
  readonly troubleSince?: number | null;
  /** When the last attempt ended, by the store's clock. */
  readonly endedAt?: number;
  /** Endpoints of an OpenID provider as it published them last, for the site map. */
  readonly provider?: { readonly authorizationEndpoint: string };
  readonly logouts?: UsedLogouts;
}

/** Conflicts that are kept; an officer who has solved these sees the others with the next sync. */
export const MAX_CONFLICTS = 100;

/** What a directory remembers. */
export function stateOf({ state }: Pick<DirectoryRow, 'state'>): DirectoryState {
  return state as DirectoryState;
}

/** Merges into a directory's state, in the caller's transaction. */
export async function mergeState(transaction: Transaction, name: string, change: DirectoryState): Promise<void> {
  const row = await readDirectory(transaction, name, 'update');
  const state = { ...stateOf(row), ...change } as Json;
  await transaction.tables.directories.update({ where: { name } }, { state });
}

/** What a provider published when it was asked last, or why it did not answer, in words. */
export type ProviderAnswer = { readonly authorizationEndpoint: string } | { readonly trouble: string };

/**
 * Keeps what a provider published, so that the site map does not depend on whether it answers now. `row` is what it is held
 * against: an answer that says nothing new changes no row and no version of the site map.
 */
export async function noteProvider(access: AccessContext, row: DirectoryRow, answer: ProviderAnswer): Promise<void> {
  const { provider, trouble: before = null } = stateOf(row);
  const trouble = 'trouble' in answer ? answer.trouble : null;
  const endpoint = 'trouble' in answer ? provider?.authorizationEndpoint : answer.authorizationEndpoint;
  if (before === trouble && provider?.authorizationEndpoint === endpoint) return;
  await access.store.transaction(async (transaction) => {
    await bumpMapVersion(transaction);
    const troubleSince = trouble === null ? null : (stateOf(row).troubleSince ?? transaction.now());
    const published = endpoint === undefined ? {} : { provider: { authorizationEndpoint: endpoint } };
    await mergeState(transaction, row.name, { ...published, trouble, troubleSince });
  });
}
