import { type AccessContext, type DirectoryRow, noteProvider, type ProviderAnswer } from '@sallyport/access';
import type { Connectors } from './connectors.ts';

/** Asks a provider where it signs people in, and keeps that: the site map does not wait for anybody. */
export async function prepareProvider(
  { access, connectors }: { readonly access: AccessContext; readonly connectors: Connectors },
  row: DirectoryRow,
): Promise<void> {
  const connector = connectors.oidc(row);
  const answer = await connector
    .refresh()
    .then(() => connector.authorizationEndpoint())
    .then(
      (authorizationEndpoint): ProviderAnswer => ({ authorizationEndpoint }),
      (error: Error): ProviderAnswer => ({ trouble: error.message }),
    );
  await noteProvider(access, row, answer);
}
