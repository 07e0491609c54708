import { type AccessContext, type DelegatedToken, type DirectoryRow, delegationsOf } from '@sallyport/access';
import { MAX_DELEGATED_CHARACTERS } from '@sallyport/security-api';
import type { Log } from '@sallyport/telemetry';
import type { Connectors } from '../directories/connectors.ts';

interface DelegationParts {
  readonly access: AccessContext;
  readonly connectors: Connectors;
  readonly log: Log;
  readonly wallMs: () => number;
}

/**
 * Tokens for the backends that want one of this provider, exchanged for the user's (RFC 8693); undefined when there are
 * none. A backend whose token cannot be had is opened without: it decides itself what that is worth.
 */
export async function delegatedTokens(
  { access, connectors, log, wallMs }: DelegationParts,
  row: DirectoryRow,
  accessToken: string,
): Promise<string | undefined> {
  const wanting = await delegationsOf(access, row.name);
  if (wanting.length === 0) return undefined;
  const connector = connectors.oidc(row);
  const tokens = await Promise.all(
    wanting.map(async ({ resource, audience }): Promise<DelegatedToken[]> => {
      try {
        const { token, expiresInMs } = await connector.exchange(accessToken, audience);
        // No Proxy would take the grant, and the user would have no channel at all.
        if (token.length > MAX_DELEGATED_CHARACTERS)
          throw new Error(`it has ${token.length} characters, more than ${MAX_DELEGATED_CHARACTERS}`);
        return [{ resource, token, expiresAt: wallMs() + expiresInMs }];
      } catch (error) {
        log.warn({ err: error, resource }, 'no token for a backend could be had from the provider');
        return [];
      }
    }),
  );
  return JSON.stringify(tokens.flat());
}
