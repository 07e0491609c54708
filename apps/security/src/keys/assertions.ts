import { sign as signBytes } from 'node:crypto';
import { ASSERTION_TTL_MS, isUpdates } from '@sallyport/access';
import { type Grant, type ResourceGrant, SPENT_EVIDENCE_MS } from '@sallyport/security-api';
import type { JWK } from 'jose';
import type { LiveKeys } from './live-keys.ts';

/** What assertions are signed with. */
export interface AssertionParts {
  readonly liveKeys: Pick<LiveKeys, 'current'>;
  /** Epoch ms. */
  readonly wallMs: () => number;
}

/** Signs one identity assertion for each HTTP resource of a grant: who the user is, for that backend only. */
export function withAssertions(parts: AssertionParts, grant: Grant): Grant {
  const resources = grant.resources.map((resource) =>
    resource.kind === 'http'
      ? { ...withOwnCa(parts, resource), assertion: sign(parts, grant, resource.authority) }
      : resource,
  );
  return { ...grant, resources };
}

/** Updates are served by Security itself, whose CAs every Proxy knows: they go along with the backend, also while another one takes over. */
export function withOwnCa<Resource extends Pick<ResourceGrant, 'kind' | 'authority' | 'backend'>>(
  { liveKeys }: Pick<AssertionParts, 'liveKeys'>,
  resource: Resource,
): Resource {
  if (!isUpdates(resource) || resource.backend.ca !== undefined) return resource;
  const ca = liveKeys.current.authorities.map((pem) => pem.trimEnd()).join('\n');
  return { ...resource, backend: { ...resource.backend, ca } };
}

/** A JWT (RFC 7519, RFC 7515 section 7.1). Every channel needs one: the way to another thread and back would cost half as much again. */
function sign({ wallMs, liveKeys }: AssertionParts, grant: Grant, audience: string): string {
  const { id, privateKey } = liveKeys.current.assertion;
  const issuedAt = Math.floor(wallMs() / 1000);
  const claims = {
    ...{ groups: grant.groups, name: grant.userName, sid: grant.sid, iid: grant.installationId },
    ...attestedClaim(grant, issuedAt),
    ...{ iss: `sallyport:${grant.realm}`, sub: grant.userId, aud: audience },
    ...{ iat: issuedAt, exp: issuedAt + ASSERTION_TTL_MS / 1000 },
  };
  const text = `${part({ alg: 'ES256', typ: 'sallyport-assertion+jwt', kid: id })}.${part(claims)}`;
  const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const;
  return `${text}.${signBytes('sha256', Buffer.from(text), key).toString('base64url')}`;
}

/** What evidence has proved of the app, where a rule demands some: how strongly, by which connector, and when (NumericDate). */
function attestedClaim({ verdict }: Grant, issuedAt: number): object {
  if (!verdict || verdict.ageMs >= SPENT_EVIDENCE_MS) return {};
  return { attested: { level: verdict.level, by: verdict.connector, at: issuedAt - Math.ceil(verdict.ageMs / 1000) } };
}

function part(json: object): string {
  return Buffer.from(JSON.stringify(json)).toString('base64url');
}

/** The keys with which backends verify assertions (RFC 7517). */
export function assertionJwks({ liveKeys }: Pick<AssertionParts, 'liveKeys'>): { keys: JWK[] } {
  const { assertions } = liveKeys.current;
  return { keys: assertions.map(({ id, publicJwk }) => ({ ...publicJwk, kid: id, alg: 'ES256', use: 'sig' })) };
}
