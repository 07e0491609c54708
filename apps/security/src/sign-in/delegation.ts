import type { DelegatedToken, DirectoryRow } from '@sallyport/access';
import type { Backend } from '@sallyport/security-api';
import type { RealmContext } from '../realm-context.ts';

/**
 * Tokens for the backends that want one of this provider, exchanged for the user's (RFC 8693); undefined when there are
 * none. A backend whose token cannot be had is opened without: it decides itself what that is worth.
 */
export async function delegatedTokens(
  context: RealmContext,
  row: DirectoryRow,
  accessToken: string,
): Promise<string | undefined> {
  const { access, log, wallMs } = context;
  const resources = await access.store.transaction(({ tables }) => tables.resources.list());
  const wanting = resources.flatMap(({ name, backend }) => {
    const { delegate } = backend as unknown as Backend;
    return delegate?.directory === row.name ? [{ resource: name, audience: delegate.audience }] : [];
  });
  if (wanting.length === 0) return undefined;
  const connector = context.connectors.oidc(row);
  const tokens = await Promise.all(
    wanting.map(async ({ resource, audience }): Promise<DelegatedToken[]> => {
      try {
        const { token, expiresInMs } = await connector.exchange(accessToken, audience);
        return [{ resource, token, expiresAt: wallMs() + expiresInMs }];
      } catch (error) {
        log.warn({ err: error, resource }, 'no token for a backend could be had from the provider');
        return [];
      }
    }),
  );
  return JSON.stringify(tokens.flat());
}
