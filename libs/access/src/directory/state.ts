import type { AccessContext } from '../realm/context.ts';
import { bumpMapVersion } from '../realm/realm.ts';
import type { Transaction } from '../store/store.ts';
import { readDirectory } from './directories.ts';
import type { DirectoryRow, DirectoryState } from './rows.ts';

/** Conflicts that are kept; an officer who has solved these sees the others with the next sync. */
export const MAX_CONFLICTS = 100;

/** Merges into a directory's state, in the caller's transaction. */
export async function mergeState(transaction: Transaction, name: string, change: DirectoryState): Promise<void> {
  const { state } = await readDirectory(transaction, name, 'update');
  await transaction.tables.directories.update({ where: { name } }, { state: { ...state, ...change } });
}

/** What a provider published when it was asked last, or why it did not answer, in words. */
export type ProviderAnswer = { readonly authorizationEndpoint: string } | { readonly trouble: string };

/**
 * Keeps what a provider published, so that the site map does not depend on whether it answers now. `row` is what it is held
 * against: an answer that says nothing new changes no row and no version of the site map.
 */
export async function noteProvider(access: AccessContext, row: DirectoryRow, answer: ProviderAnswer): Promise<void> {
  const { provider, trouble: before = null } = row.state;
  const trouble = 'trouble' in answer ? answer.trouble : null;
  const endpoint = 'trouble' in answer ? provider?.authorizationEndpoint : answer.authorizationEndpoint;
  if (before === trouble && provider?.authorizationEndpoint === endpoint) return;
  await access.store.transaction(async (transaction) => {
    await bumpMapVersion(transaction);
    const troubleSince = trouble === null ? null : (row.state.troubleSince ?? transaction.now());
    const published = endpoint === undefined ? {} : { provider: { authorizationEndpoint: endpoint } };
    await mergeState(transaction, row.name, { ...published, trouble, troubleSince });
  });
}
