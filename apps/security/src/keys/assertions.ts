import { ASSERTION_TTL_MS, type BareGrant } from '@sallyport/access';
import type { Grant } from '@sallyport/security-api';
import { type JWK, SignJWT } from 'jose';
import type { RealmContext } from '../realm-context.ts';

/** Signs one identity assertion for each HTTP resource of a grant: who the user is, for that backend only. */
export async function withAssertions(context: RealmContext, grant: BareGrant): Promise<Grant> {
  const resources = await Promise.all(
    grant.resources.map(async (resource) =>
      resource.kind === 'http' ? { ...resource, assertion: await sign(context, grant, resource.authority) } : resource,
    ),
  );
  return { ...grant, resources };
}

function sign({ wallMs, keys }: RealmContext, grant: BareGrant, audience: string): Promise<string> {
  const issuedAt = Math.floor(wallMs() / 1000);
  return new SignJWT({ groups: grant.groups, name: grant.userName, sid: grant.sid, iid: grant.installationId })
    .setProtectedHeader({ alg: 'ES256', typ: 'sallyport-assertion+jwt', kid: keys.assertion.id })
    .setIssuer(`sallyport:${grant.realm}`)
    .setSubject(grant.userId)
    .setAudience(audience)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + ASSERTION_TTL_MS / 1000)
    .sign(keys.assertion.privateKey);
}

/** The keys with which backends verify assertions (RFC 7517). */
export function assertionJwks({ keys }: RealmContext): { keys: JWK[] } {
  return { keys: [{ ...keys.assertion.publicJwk, kid: keys.assertion.id, alg: 'ES256', use: 'sig' }] };
}
