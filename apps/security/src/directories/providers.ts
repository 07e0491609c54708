import { type AccessContext, type DirectoryRow, noteProvider, type ProviderAnswer } from '@sallyport/access';
import type { Connectors } from './connectors.ts';

/** An OpenID provider as devices learn of it from the site map. */
export interface ProviderEntry {
  readonly directory: string;
  readonly issuer: string;
  readonly authorizationEndpoint: string;
  readonly clientId: string;
  readonly scope: string;
  readonly redirects: readonly string[];
  readonly acr?: readonly string[];
}

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

/** Providers at which devices can sign in now. */
export function providerEntries(rows: readonly DirectoryRow[]): ProviderEntry[] {
  return rows.flatMap((row) => {
    const { provider } = row.state;
    if (row.kind !== 'oidc' || row.stage !== 'active' || !provider) return [];
    const { issuer, clientId, scope, redirects, acr } = row.settings;
    const { authorizationEndpoint } = provider;
    const entry = { directory: row.name, issuer, authorizationEndpoint, clientId, scope: scopeOf(scope), redirects };
    return [acr ? { ...entry, acr } : entry];
  });
}

/** The scope to ask for; `openid` is always in it. */
function scopeOf(scope: string | undefined): string {
  return [...new Set(['openid', ...(scope ?? 'profile').split(' ')])].join(' ');
}
