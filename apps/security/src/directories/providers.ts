import { bumpMapVersion, type DirectoryRow, mergeState } from '@sallyport/access';
import type { OidcSettings } from '@sallyport/security-api';
import type { RealmContext } from '../realm-context.ts';
import { stateOf } from './state.ts';

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

/** Reads where a provider signs people in and keeps it, so that an outage of theirs is none of the site map. */
export async function prepareProvider({ access, connectors, wallMs }: RealmContext, row: DirectoryRow): Promise<void> {
  const connector = connectors.oidc(row);
  const found = await connector
    .refresh()
    .then(() => connector.authorizationEndpoint())
    .then(
      (authorizationEndpoint) => ({ provider: { authorizationEndpoint }, trouble: null, troubleSince: null }),
      (error: Error) => ({ trouble: error.message, troubleSince: stateOf(row).troubleSince ?? wallMs() }),
    );
  const before = JSON.stringify([stateOf(row).provider, stateOf(row).trouble ?? null]);
  const after = JSON.stringify([('provider' in found && found.provider) || stateOf(row).provider, found.trouble]);
  if (before === after) return;
  await access.store.transaction(async (transaction) => {
    await bumpMapVersion(transaction);
    await mergeState(transaction, row.name, found);
  });
}

/** Providers at which devices can sign in now. */
export function providerEntries(rows: readonly DirectoryRow[]): ProviderEntry[] {
  return rows.flatMap((row) => {
    const { provider } = stateOf(row);
    if (row.kind !== 'oidc' || row.stage !== 'active' || !provider) return [];
    const { issuer, clientId, scope, redirects, acr } = row.settings as unknown as OidcSettings;
    const { authorizationEndpoint } = provider;
    const entry = { directory: row.name, issuer, authorizationEndpoint, clientId, scope: scopeOf(scope), redirects };
    return [acr ? { ...entry, acr } : entry];
  });
}

/** The scope to ask for; `openid` is always in it. */
function scopeOf(scope: string | undefined): string {
  return [...new Set(['openid', ...(scope ?? 'profile').split(' ')])].join(' ');
}
