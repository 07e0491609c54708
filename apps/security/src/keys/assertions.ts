import { ASSERTION_TTL_MS } from '@sallyport/access';
import type { Grant } from '@sallyport/security-api';
import { type JWK, SignJWT } from 'jose';
import type { LiveKeys } from './live-keys.ts';

/** What assertions are signed with. */
export interface AssertionParts {
  readonly liveKeys: Pick<LiveKeys, 'current'>;
  /** Epoch ms. */
  readonly wallMs: () => number;
}

/** Signs one identity assertion for each HTTP resource of a grant: who the user is, for that backend only. */
export async function withAssertions(parts: AssertionParts, grant: Grant): Promise<Grant> {
  const resources = await Promise.all(
    grant.resources.map(async (resource) =>
      resource.kind === 'http' ? { ...resource, assertion: await sign(parts, grant, resource.authority) } : resource,
    ),
  );
  return { ...grant, resources };
}

function sign({ wallMs, liveKeys }: AssertionParts, grant: Grant, audience: string): Promise<string> {
  const { assertion } = liveKeys.current;
  const issuedAt = Math.floor(wallMs() / 1000);
  return new SignJWT({ groups: grant.groups, name: grant.userName, sid: grant.sid, iid: grant.installationId })
    .setProtectedHeader({ alg: 'ES256', typ: 'sallyport-assertion+jwt', kid: assertion.id })
    .setIssuer(`sallyport:${grant.realm}`)
    .setSubject(grant.userId)
    .setAudience(audience)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + ASSERTION_TTL_MS / 1000)
    .sign(assertion.privateKey);
}

/** The keys with which backends verify assertions (RFC 7517). */
export function assertionJwks({ liveKeys }: Pick<AssertionParts, 'liveKeys'>): { keys: JWK[] } {
  const { assertion } = liveKeys.current;
  return { keys: [{ ...assertion.publicJwk, kid: assertion.id, alg: 'ES256', use: 'sig' }] };
}
